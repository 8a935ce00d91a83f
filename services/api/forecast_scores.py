"""What forecasts turned out to be worth: sums of scored ones, and what they come to."""

from __future__ import annotations

from typing import Literal, NamedTuple

Verdict = Literal["edge", "no edge", "too early"]

ENOUGH_SCORED = 100  # forecasts; fewer are luck
EDGE_BELOW = 0.97  # a few per cent better than "no change" are luck too


class Score(NamedTuple):
    """Sums over scored forecasts: errors of the logarithm of the price, of the forecast and of "no
    change"; calls (Bullish or Bearish) and hits among them; bands, and prices that they held."""

    abs_error: float
    abs_no_change: float
    scored: int
    called: int
    hit: int
    banded: int
    covered: int

    @property
    def mase(self) -> float | None:
        """Mean absolute error against that of "no change"; below 1 it is better. None: unknown."""
        return self.abs_error / self.abs_no_change if self.abs_no_change else None

    @property
    def hit_rate(self) -> float | None:
        """The share of calls whose direction came, 0 to 1."""
        return self.hit / self.called if self.called else None

    @property
    def coverage(self) -> float | None:
        """The share of bands that held the price, 0 to 1; 0.8 is promised."""
        return self.covered / self.banded if self.banded else None

    @property
    def verdict(self) -> Verdict:
        """Whether listening to the forecast was better than to expect no change."""
        if self.scored < ENOUGH_SCORED or self.mase is None:
            return "too early"
        return "edge" if self.mase < EDGE_BELOW else "no edge"
