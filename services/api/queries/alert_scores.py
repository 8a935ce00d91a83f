"""What a coin's alerts are judged by: since when it is watched, its prices, its alerts."""

from __future__ import annotations

from datetime import datetime, timedelta

from sentinel.analytics.crossings import Alert
from sentinel.storage.connection import Connection

# A coin with a price per minute has 86,000 prices in 60 days.
STEP = timedelta(minutes=5)

WATCHED_SINCE = """
SELECT t.watched_since FROM sentinel.alert_trackers t JOIN sentinel.coins c USING (coin_key)
WHERE c.coin_id = %(coin_id)s
"""

# The last observed price of each step, as an array [UNIX seconds, USD]: max() compares the times.
# Backfilled prices never trigger an alert, so they cannot be missed either.
OBSERVED_PRICES = """
SELECT max(ARRAY[extract(epoch FROM observed_at)::float8, price_usd])
FROM sentinel.observations
WHERE coin_key = (SELECT coin_key FROM sentinel.coins WHERE coin_id = %(coin_id)s)
  AND observed_at >= %(start)s AND observed_at < %(end)s
  AND source = 'observed' AND price_usd > 0
GROUP BY date_bin(%(step)s, observed_at, 'epoch')
ORDER BY 1
"""

RAISED_ALERTS = """
SELECT a.kind::text, extract(epoch FROM a.observed_at)::float8, a.price_usd, a.reference_usd,
       extract(epoch FROM a.reference_at)::float8, a.move, a.threshold, a.level,
       a.basis
FROM sentinel.alerts a JOIN sentinel.coins c USING (coin_key)
WHERE c.coin_id = %(coin_id)s AND a.observed_at >= %(start)s AND a.observed_at < %(end)s
ORDER BY a.observed_at
"""


def find_watch_start(connection: Connection, coin_id: str) -> datetime | None:
    """Return since when a coin has been watched, None if it is not watched."""
    rows = connection.execute(WATCHED_SINCE, {"coin_id": coin_id}).fetchall()
    return rows[0][0] if rows else None


def read_observed_prices(
    connection: Connection, coin_id: str, start: datetime, end: datetime
) -> list[tuple[float, float]]:
    """Return (UNIX seconds, USD): the last observed price of every STEP."""
    parameters = {"coin_id": coin_id, "start": start, "end": end, "step": STEP}
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(OBSERVED_PRICES, parameters).fetchall()
    return [(at, price) for ((at, price),) in rows]


def list_raised_alerts(
    connection: Connection, coin_id: str, start: datetime, end: datetime
) -> list[Alert]:
    """Return the recorded alerts of a coin in order of time, muted ones too."""
    parameters = {"coin_id": coin_id, "start": start, "end": end}
    return [Alert(*row) for row in connection.execute(RAISED_ALERTS, parameters).fetchall()]
