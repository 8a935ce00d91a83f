"""Reads prices: the newest of each coin, and the series of one coin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from psycopg.rows import class_row

from sentinel.models import Source
from sentinel.storage.connection import Connection

# `coins` repeats each coin's newest observation, so this does not read the history.
LATEST_PRICES = """
SELECT coin_id, symbol, name, rank, price_usd, market_cap_usd, volume_24h_usd, observed_at, source
FROM sentinel.coins
WHERE observed_at IS NOT NULL
ORDER BY rank NULLS LAST, coin_id
LIMIT %(limit)s
"""

# The times are parameters, so that the planner skips the partitions of other days. The columns are
# in the order of PricePoint.
PRICE_SERIES = """
SELECT o.observed_at, o.price_usd, o.market_cap_usd, o.volume_24h_usd, o.source::text
FROM sentinel.observations o
WHERE o.coin_key = (SELECT coin_key FROM sentinel.coins WHERE coin_id = %(coin_id)s)
  AND o.observed_at >= %(start)s AND o.observed_at < %(stop)s
ORDER BY o.observed_at
"""


@dataclass(frozen=True, slots=True)
class LatestPrice:
    """A coin's newest observation."""

    coin_id: str
    symbol: str
    name: str
    # None: outside the ranked coins.
    rank: int | None
    price_usd: float
    # None: CoinGecko does not know it.
    market_cap_usd: float | None
    volume_24h_usd: float | None
    observed_at: datetime
    source: Source


class PricePoint(NamedTuple):
    """One observation of a coin's history.

    It is a tuple, because a week of a coin has thousands of them.
    """

    observed_at: datetime
    price_usd: float
    # None: CoinGecko does not know it.
    market_cap_usd: float | None
    volume_24h_usd: float | None
    source: Source


def read_latest_prices(connection: Connection, limit: int) -> list[LatestPrice]:
    """Return the newest observation of the `limit` best-ranked coins; unranked coins come last."""
    with connection.cursor(row_factory=class_row(LatestPrice)) as cursor:
        return cursor.execute(LATEST_PRICES, {"limit": limit}).fetchall()


def read_price_series(
    connection: Connection, coin_id: str, start: datetime, stop: datetime
) -> list[PricePoint]:
    """Return a coin's observations from `start` to before `stop`, in order of time."""
    parameters = {"coin_id": coin_id, "start": start, "stop": stop}
    with connection.cursor(binary=True) as cursor:
        return list(map(PricePoint._make, cursor.execute(PRICE_SERIES, parameters)))
