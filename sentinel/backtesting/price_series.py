"""The prices of one coin as NumPy columns, for code that computes with thousands of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class PriceSeries:
    """Columns of equal length in order of time."""

    # UNIX seconds.
    times: Floats
    # USD.
    prices: Floats
    # False where a price was backfilled later: no order can be filled at such a price.
    is_observed: Flags

    def __len__(self) -> int:
        return len(self.times)

    def between(self, start: float, stop: float) -> PriceSeries:
        """Return the points from `start` to before `stop` (UNIX seconds)."""
        first, last = np.searchsorted(self.times, (start, stop))
        where = slice(int(first), int(last))
        return PriceSeries(self.times[where], self.prices[where], self.is_observed[where])


def from_points(points: Sequence[tuple[float, float]]) -> PriceSeries:
    """Return a series of (UNIX seconds, USD) in order of time, all of them observed."""
    times, prices = np.array(points, dtype=np.float64).T.copy()
    return PriceSeries(times, prices, np.ones(len(times), dtype=bool))
