"""The clocks that a run reads. Commands pass the system's clocks, tests pass their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clocks:
    """Three functions that depend on the time."""

    # The wall clock, UTC.
    now: Callable[[], datetime]
    # A clock that is never adjusted, in seconds.
    monotonic: Callable[[], float]
    # Waits for so many seconds.
    sleep: Callable[[float], None]


SYSTEM_CLOCKS = Clocks(lambda: datetime.now(UTC), time.monotonic, time.sleep)
