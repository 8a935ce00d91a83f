"""The time of the simulation."""

from __future__ import annotations

from datetime import datetime, timedelta

from sentinel.clocks import Clocks


class SimulatedClock:
    """Moves only when the simulation moves it, or when a run sleeps or does I/O."""

    def __init__(self, at: datetime) -> None:
        # The true time, UTC: CoinGecko's.
        self.at = at
        # How far the machine's clock is ahead of it.
        self.error = timedelta()

    @property
    def clocks(self) -> Clocks:
        """The clocks of the machine. The monotonic one is never adjusted."""
        return Clocks(lambda: self.at + self.error, self.timestamp, self.advance)

    def timestamp(self) -> float:
        """Return the true time as a UNIX time."""
        return self.at.timestamp()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.at += timedelta(seconds=seconds)
