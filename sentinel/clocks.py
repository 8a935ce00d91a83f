"""The clocks that a run reads. Commands pass the system's clocks, tests pass their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from safe_zone import MAX_CLOCK_SKEW


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


def is_clock_wrong(offset: timedelta | None) -> bool:
    """Whether a clock that is `offset` ahead of CoinGecko's (negative: behind; None: unknown)
    differs by more than MAX_CLOCK_SKEW."""
    return offset is not None and abs(offset) > MAX_CLOCK_SKEW


def describe_clock_error(offset: timedelta | None) -> str | None:
    """Return one sentence about a wrong clock of this machine, None if `is_clock_wrong` is not."""
    if offset is None or not is_clock_wrong(offset):
        return None
    side = "ahead of" if offset > timedelta() else "behind"
    minutes = abs(offset) / timedelta(minutes=1)
    return f"This machine's clock is {minutes:,.0f} minutes {side} CoinGecko's: set it (NTP)."
