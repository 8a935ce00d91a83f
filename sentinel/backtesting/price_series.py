"""The prices of one coin as NumPy columns, for code that computes with thousands of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sentinel.archive.parquet import Points

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
    # USD traded in the 24 hours before; NaN where it is unknown.
    volumes: Floats
    # USD; NaN where it is unknown.
    market_caps: Floats

    def __len__(self) -> int:
        return len(self.times)

    def between(self, start: float, stop: float) -> PriceSeries:
        """Return the points from `start` to before `stop` (UNIX seconds)."""
        first, last = np.searchsorted(self.times, (start, stop))
        where = slice(int(first), int(last))
        return PriceSeries(
            self.times[where],
            self.prices[where],
            self.is_observed[where],
            self.volumes[where],
            self.market_caps[where],
        )


class LoadedPrices(NamedTuple):
    """The prices of a backtest or a sweep."""

    # By coin id.
    series: Mapping[str, PriceSeries]
    # UNIX seconds. Trading starts here; the prices before it are for the strategy's averages.
    start: float


def from_prices(times: Floats, prices: Floats, is_observed: Flags | None = None) -> PriceSeries:
    """Return a series of prices alone, in order of time: all of them observed by default."""
    unknown = np.full(len(times), np.nan)
    observed = np.ones(len(times), dtype=bool) if is_observed is None else is_observed
    return PriceSeries(times, prices, observed, unknown, unknown)


def from_points(points: Sequence[tuple[float, float]]) -> PriceSeries:
    """Return a series of (UNIX seconds, USD) in order of time, all of them observed."""
    times, prices = np.array(points, dtype=np.float64).T.copy()
    return from_prices(times, prices)


def split_by_coin(points: Points) -> Mapping[str, PriceSeries]:
    """Return one series per coin. Points without a price above 0 are left out."""
    is_priced = points.price_usd > 0
    names = points.coin_id[is_priced]
    edges = np.flatnonzero(names[1:] != names[:-1]) + 1  # the first point of each further coin
    columns = (points.seconds, points.price_usd, points.is_observed)
    known = (points.volume_24h_usd, points.market_cap_usd)
    parts = zip(
        *(np.split(column, edges) for column in (names, *(c[is_priced] for c in columns + known))),
        strict=True,
    )
    return {str(coin[0]): PriceSeries(*own) for coin, *own in parts if len(coin)}
