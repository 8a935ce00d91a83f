"""How forecasts turned out: the figures that follow from sums over scored forecasts. Pure.

Most of the time a straight line has no edge over expecting no change; `result` says so.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

# Forecasts are scored over the last day and the last week.
SCORED_HOURS = (24, 168)
# With fewer scored forecasts a result would be luck.
MIN_SCORED = 100
# A MASE a few percent below 1 is luck too.
MAX_EDGE_MASE = 0.97
# Directions have an edge if their hits exceed half by more than this number of standard deviations
# of as many coin tosses. Forecasts overlap, so two would be too few.
MIN_EDGE_DEVIATIONS = 3.0

Result = Literal["edge", "no edge", "too early"]


class ScoreSums(NamedTuple):
    """Sums over scored forecasts, as the columns of `sentinel.forecast_scores`.

    A share is None without any such forecast.
    """

    abs_error: float
    abs_no_change: float
    scored: int
    directional: int
    hits: int
    with_interval: int
    within_interval: int
    interval_score: float = 0.0
    constant_score: float = 0.0
    calm: int = 0
    within_calm: int = 0
    middle: int = 0
    within_middle: int = 0
    wild: int = 0
    within_wild: int = 0

    @property
    def mase(self) -> float | None:
        """Mean absolute scaled error: below 1 the forecast beat "no change"."""
        return divide(self.abs_error, self.abs_no_change)

    @property
    def hit_rate(self) -> float | None:
        """Share of the directional forecasts whose direction was right."""
        return divide(self.hits, self.directional)

    @property
    def coverage(self) -> float | None:
        """Share of the forecasts with an interval whose interval held the price."""
        return divide(self.within_interval, self.with_interval)

    @property
    def result(self) -> Result:
        """Whether the line was clearly better than "no change"."""
        if self.mase is None or self.scored < MIN_SCORED:
            return "too early"
        return "edge" if self.mase < MAX_EDGE_MASE else "no edge"

    @property
    def direction_result(self) -> Result:
        """Whether the directions were right clearly more often than half the time."""
        if self.directional < MIN_SCORED:
            return "too early"
        surplus = self.hits - self.directional / 2
        is_edge = surplus > MIN_EDGE_DEVIATIONS * math.sqrt(self.directional) / 2
        return "edge" if is_edge else "no edge"


def divide(total: float, count: float) -> float | None:
    """Return a share or a mean; None without a count."""
    return total / count if count else None
