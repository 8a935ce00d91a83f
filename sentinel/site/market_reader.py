"""Reads the prices of the market pages from PostgreSQL: four bytes an hour, in one round trip."""

from __future__ import annotations

import math
import struct
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import dict_row

from sentinel.site.market import HOURS, HourSource, Market, MarketCoin
from sentinel.storage.connection import Connection
from sentinel.storage.transactions import limited_reads

# Received for each coin: its chart, its figures and its names.
BYTES_PER_COIN = 4 * HOURS + 120

# Each coin with an observation since then, and its last price of each hour as a float of four
# bytes: NaN for an hour without one, negative if all of the hour's observations are backfilled.
# PostgreSQL refuses to round a price below the smallest float to zero.
MARKET = """
WITH hourly AS (
    SELECT coin_key, floor(extract(epoch FROM observed_at - %(since)s) / 3600)::int AS hour,
           (array_agg(price_usd ORDER BY observed_at DESC))[1] AS price_usd,
           CASE WHEN bool_and(source = 'backfilled') THEN -1 ELSE 1 END AS sign
    FROM sentinel.observations
    WHERE observed_at >= %(since)s AND observed_at <= %(now)s
    GROUP BY 1, 2
),
charts AS (
    SELECT coin_key, string_agg(float4send(CASE
               WHEN price_usd IS NULL THEN 'NaN'
               ELSE sign * CASE WHEN price_usd < 1e-44 THEN 0 ELSE price_usd END
               END::float4), '' ORDER BY hour) AS chart
    FROM (SELECT DISTINCT coin_key FROM hourly) AS coins
    CROSS JOIN generate_series(0, %(hours)s - 1) AS hours (hour)
    LEFT JOIN hourly USING (coin_key, hour)
    GROUP BY coin_key
)
SELECT coin_id, symbol, name, rank, price_usd, observed_at, market_cap_usd, volume_24h_usd, chart
FROM sentinel.coins JOIN charts USING (coin_key)
WHERE price_usd IS NOT NULL
ORDER BY rank NULLS LAST, coin_id
"""

RUPIAH = """
SELECT per_usd, observed_at FROM sentinel.fx_rates
WHERE currency = 'idr' AND observed_at <= %(now)s
ORDER BY observed_at DESC LIMIT 1
"""


def read_market(connection: Connection, now: datetime) -> Market:
    """Return the prices of all coins with an observation of the last 7 days, in one round trip.

    Raises psycopg.Error, such as UndefinedTable without a schema.
    """
    since = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    with limited_reads(connection):
        # In binary, because the text of a bytea is twice as long.
        coins = connection.cursor(row_factory=dict_row, binary=True)
        coins.execute(MARKET, {"since": since, "now": now, "hours": HOURS})
        rupiah = connection.execute(RUPIAH, {"now": now})
    idr_per_usd, idr_at = rupiah.fetchone() or (None, None)
    found = [_unpack(row) for row in coins]
    return Market(now, since, found, idr_per_usd, idr_at)


def _unpack(row: dict[str, Any]) -> MarketCoin:
    prices = struct.unpack(f">{HOURS}f", row.pop("chart"))
    return MarketCoin(
        **row,
        prices_usd=[None if math.isnan(price) else abs(price) for price in prices],
        sources=[_find_source(price) for price in prices],
    )


def _find_source(price: float) -> HourSource:
    if math.isnan(price):
        return "gap"
    return "backfilled" if math.copysign(1, price) < 0 else "observed"
