"""Whether a coin is pegged to the US dollar, from its own prices. Pure."""

from __future__ import annotations

from dataclasses import dataclass

PEG_USD = 1.0
# A coin is pegged after a week within this distance of the peg, …
PEG_BAND = 0.01
# … and until it has been outside of it for as long.
PEG_SECONDS = 7 * 86_400.0
# The distance from the peg that raises an alert. Of 18 stablecoins recorded daily for two months,
# one went further.
PEG_THRESHOLD = 0.004
# Some pegs are noisy: then so many standard deviations of the price change over RETURN_SECONDS.
PEG_DEVIATIONS = 3.0
# After an alert the price has returned at this share of the threshold from the peg, or when a whole
# window was nearer than the threshold.
RETURN_SHARE = 0.25


@dataclass(slots=True)
class Peg:
    """What a tracker remembers about the peg. Times are UNIX seconds."""

    # When the price came near the peg, and when it left. None: it is not near, it has not left.
    since: float | None = None
    left_at: float | None = None
    is_held: bool = False

    def observe(self, at: float, price: float) -> None:
        """Process a price in USD."""
        if abs(price / PEG_USD - 1) <= PEG_BAND:
            self.since, self.left_at = at if self.since is None else self.since, None
            self.is_held = self.is_held or at - self.since >= PEG_SECONDS
        elif not self.is_held:
            self.since = None
        elif self.left_at is None:
            self.left_at = at
        elif at - self.left_at >= PEG_SECONDS:
            self.since, self.left_at, self.is_held = None, None, False
