"""A coin's prices as columns of numbers, for whoever computes with thousands of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Columns of equal length in order of time: UNIX seconds, USD, and whether each was observed
    (or backfilled later)."""

    times: Floats
    prices: Floats
    observed: Flags

    def __len__(self) -> int:
        return len(self.times)

    def part(self, start: float, stop: float) -> Series:
        """The points from `start` to before `stop` (UNIX seconds)."""
        first, last = np.searchsorted(self.times, (start, stop))
        where = slice(int(first), int(last))
        return Series(self.times[where], self.prices[where], self.observed[where])


def from_points(points: Sequence[tuple[float, float]]) -> Series:
    """A series of (UNIX seconds, USD) in order of time, all observed."""
    columns = np.array(points, dtype=np.float64).reshape(-1, 2)
    times, prices = np.ascontiguousarray(columns.T)
    return Series(times, prices, np.ones(len(times), dtype=bool))


def by_coin(
    coin_ids: Sequence[str] | NDArray[np.object_], times: Floats, prices: Floats, observed: Flags
) -> Mapping[str, Series]:
    """Columns that are sorted by coin and time, as a series for each coin; what costs nothing is
    no price and is left out."""
    names = np.asarray(coin_ids, dtype=object)
    priced = prices > 0
    names, times, prices, observed = names[priced], times[priced], prices[priced], observed[priced]
    if not len(names):
        return {}
    firsts = np.flatnonzero(np.concatenate(([True], names[1:] != names[:-1])))
    edges = [*firsts.tolist(), len(names)]
    return {
        str(names[a]): Series(times[a:b], prices[a:b], observed[a:b]) for a, b in pairwise(edges)
    }
