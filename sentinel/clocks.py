"""The clocks that a run reads. Production passes the system's, tests pass their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clocks:
    """The wall clock (UTC), a monotonic clock in seconds, and a sleep in seconds."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


SYSTEM_CLOCKS = Clocks(lambda: datetime.now(UTC), time.monotonic, time.sleep)
