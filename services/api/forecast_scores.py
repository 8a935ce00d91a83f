"""Scores of forecasts: sums over scored forecasts, and the measures that follow from them."""

from __future__ import annotations

from typing import Literal, NamedTuple

ForecastResult = Literal["edge", "no edge", "too early"]

# With fewer scored forecasts a result would be luck.
MIN_SCORED = 100
# A MASE a few percent below 1 is luck too.
MAX_EDGE_MASE = 0.97


class ForecastScore(NamedTuple):
    """Sums over scored forecasts; errors are those of the price's natural logarithm."""

    # The length of the time span.
    hours: int
    # Absolute errors of the forecast, and of expecting no change.
    abs_error: float
    abs_no_change: float
    scored: int
    # Forecasts that were bullish or bearish, and how many of them had the right direction.
    directional: int
    hits: int
    # Forecasts with an interval, and how many intervals held the price.
    with_interval: int
    within_interval: int

    @property
    def mase(self) -> float | None:
        """Mean absolute scaled error: below 1 the forecast beat "no change". None: unknown."""
        return self.abs_error / self.abs_no_change if self.abs_no_change else None

    @property
    def hit_rate(self) -> float | None:
        """The share of directional forecasts with the right direction, 0 to 1."""
        return self.hits / self.directional if self.directional else None

    @property
    def coverage(self) -> float | None:
        """The share of intervals that held the price, 0 to 1; the forecast promises 0.8."""
        return self.within_interval / self.with_interval if self.with_interval else None

    @property
    def result(self) -> ForecastResult:
        """Whether the forecasts were better than expecting no change."""
        if self.scored < MIN_SCORED or self.mase is None:
            return "too early"
        return "edge" if self.mase < MAX_EDGE_MASE else "no edge"
