"""What alerts are judged by: since when a coin is watched, its prices, its alerts."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sentinel.analytics.calibration import Series
from sentinel.analytics.crossings import Alert
from sentinel.storage.connection import Connection

WATCHED_SINCE = """
SELECT t.coin_key, t.watched_since
FROM sentinel.alert_trackers t JOIN sentinel.coins c USING (coin_key)
WHERE c.coin_id = %(coin_id)s
"""

# The last observed price of each step: max() compares the times. A coin is one row, and a price
# 8 bytes of it: the seconds before `end` and the price, as PostgreSQL sends an int4 and a float4.
# A row for each price would be seven times as long.
# Backfilled prices never trigger an alert, so they cannot be missed either.
OBSERVED_PRICES = """
SELECT coin_key, string_agg(int4send(ceil(last[1])::int4) || float4send(last[2]::float4), ''
                            ORDER BY last)
FROM (
    SELECT w.coin_key,
           max(ARRAY[extract(epoch FROM o.observed_at - %(end)s)::float8, o.price_usd]) AS last
    FROM unnest(%(coin_keys)s::int4[], %(since)s::timestamptz[]) AS w (coin_key, since)
    JOIN sentinel.observations o ON o.coin_key = w.coin_key AND o.observed_at >= w.since
    WHERE o.observed_at >= %(start)s AND o.observed_at < %(end)s
      AND o.source = 'observed' AND o.price_usd BETWEEN 1e-30 AND 1e30
    GROUP BY w.coin_key, date_bin(%(step)s, o.observed_at, 'epoch')) AS steps
GROUP BY coin_key
"""
_PRICE = struct.Struct(">if")

RAISED_ALERTS = """
SELECT a.coin_key, a.kind::text, extract(epoch FROM a.observed_at)::float8, a.price_usd,
       a.reference_usd, extract(epoch FROM a.reference_at)::float8, a.move, a.threshold, a.level,
       a.basis
FROM unnest(%(coin_keys)s::int4[], %(since)s::timestamptz[]) AS w (coin_key, since)
JOIN sentinel.alerts a ON a.coin_key = w.coin_key AND a.observed_at >= w.since
WHERE a.observed_at < %(end)s
ORDER BY a.observed_at
"""


def find_watch_start(connection: Connection, coin_id: str) -> tuple[int, datetime] | None:
    """Return a coin's key and since when it has been watched; None if it is not watched."""
    rows = connection.execute(WATCHED_SINCE, {"coin_id": coin_id}).fetchall()
    return rows[0] if rows else None


def read_observed_prices(
    connection: Connection, since: Mapping[int, datetime], end: datetime, step: timedelta
) -> dict[int, Series]:
    """Return (UNIX seconds, USD) by coin key: the last observed price of every step.

    `since` has the first time of each coin. A price has 7 digits, a time full seconds.
    """
    parameters = _select(since, end) | {"start": min(since.values(), default=end), "step": step}
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(OBSERVED_PRICES, parameters).fetchall()
    seconds = end.timestamp()
    found = {
        key: [(seconds + before, price) for before, price in _PRICE.iter_unpack(prices)]
        for key, prices in rows
    }
    return {key: found.get(key, []) for key in since}


def list_raised_alerts(
    connection: Connection, since: Mapping[int, datetime], end: datetime
) -> dict[int, list[Alert]]:
    """Return the recorded alerts by coin key in order of time, muted ones too."""
    found: dict[int, list[Alert]] = {key: [] for key in since}
    with connection.cursor(binary=True) as cursor:
        for key, *alert in cursor.execute(RAISED_ALERTS, _select(since, end)):
            found[key].append(Alert(*alert))
    return found


def _select(since: Mapping[int, datetime], end: datetime) -> dict[str, object]:
    keys: Collection[int] = since.keys()
    return {"coin_keys": list(keys), "since": list(since.values()), "end": end}
