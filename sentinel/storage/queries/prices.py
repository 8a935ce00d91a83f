"""Reads the newest price of each coin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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


def read_latest_prices(connection: Connection, limit: int) -> list[LatestPrice]:
    """Return the newest observation of the `limit` best-ranked coins; unranked coins come last."""
    with connection.cursor(row_factory=class_row(LatestPrice)) as cursor:
        return cursor.execute(LATEST_PRICES, {"limit": limit}).fetchall()
