"""The prices of one coin as NumPy columns, for code that computes with thousands of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
    columns = np.array(points, dtype=np.float64).reshape(-1, 2)
    times, prices = np.ascontiguousarray(columns.T)
    return PriceSeries(times, prices, np.ones(len(times), dtype=bool))


def split_by_coin(
    coin_ids: Sequence[str] | NDArray[np.object_], times: Floats, prices: Floats, is_observed: Flags
) -> Mapping[str, PriceSeries]:
    """Split columns that are sorted by coin and time into one series per coin.

    Points without a price above 0 are left out.
    """
    is_priced = prices > 0
    names = np.asarray(coin_ids, dtype=object)[is_priced]
    times, prices, is_observed = times[is_priced], prices[is_priced], is_observed[is_priced]
    if not len(names):
        return {}
    firsts = np.flatnonzero(np.concatenate(([True], names[1:] != names[:-1])))
    edges = [*firsts.tolist(), len(names)]
    return {
        str(names[first]): PriceSeries(
            times[first:stop], prices[first:stop], is_observed[first:stop]
        )
        for first, stop in pairwise(edges)
    }
