"""Alerts, trackers and the prices they read, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from sentinel.alerting.watched_coins import WatchedCoin
from sentinel.analytics.alerts import AlertRules, Tracker
from sentinel.analytics.crossings import Alert
from sentinel.storage.connection import Connection

# Converts a tracker to plain values and back. Floats survive JSON exactly.
TRACKER_JSON = TypeAdapter(Tracker)

# CoinGecko's clock may run ahead of ours. An observation further ahead is not read yet.
MAX_AHEAD = timedelta(minutes=15)

# The observations of each coin after its tracker's last one. Backfilled prices are left out: they
# never raise an alert.
NEW_PRICES = """
SELECT w.coin_key, o.observed_at, o.price_usd
FROM unnest(%(coin_key)s::int4[], %(since)s::timestamptz[]) AS w (coin_key, since)
JOIN sentinel.observations o ON o.coin_key = w.coin_key AND o.observed_at > w.since
WHERE o.source = 'observed' AND o.observed_at > %(oldest)s AND o.observed_at <= %(newest)s
  AND o.price_usd > 1e-30
ORDER BY o.observed_at
"""

SAVE_TRACKER = """
INSERT INTO sentinel.alert_trackers (coin_key, state, threshold_multiplier, target_rate,
    actual_rate, calibrated_at, threshold, effective_multiplier, watched_since)
VALUES (%(coin_key)s, %(state)s, %(threshold_multiplier)s, %(target_rate)s, %(actual_rate)s,
        %(calibrated_at)s, %(threshold)s, %(effective_multiplier)s, %(now)s)
ON CONFLICT (coin_key) DO UPDATE
SET state = excluded.state, threshold_multiplier = excluded.threshold_multiplier,
    target_rate = excluded.target_rate, actual_rate = excluded.actual_rate,
    calibrated_at = excluded.calibrated_at, threshold = excluded.threshold,
    effective_multiplier = excluded.effective_multiplier
"""

RECORD_ALERT = """
INSERT INTO sentinel.alerts (coin_key, kind, observed_at, price_usd, reference_usd, reference_at,
    move, threshold, level, basis, is_announced)
VALUES (%(coin_key)s, %(kind)s, %(observed_at)s, %(price_usd)s, %(reference_usd)s, %(marked_at)s,
        %(move)s, %(threshold)s, %(level)s, %(basis)s, %(is_announced)s)
ON CONFLICT (coin_key, kind, observed_at) DO NOTHING
"""

# The last observation before a time that is 24 hours ago. A price two hours older is none of them.
DAY_AGO_PRICES = """
SELECT w.coin_id, o.price_usd
FROM unnest(%(coin_id)s::text[], %(at)s::timestamptz[]) AS w (coin_id, at)
JOIN sentinel.coins c USING (coin_id)
CROSS JOIN LATERAL (
    SELECT price_usd FROM sentinel.observations
    WHERE coin_key = c.coin_key AND observed_at <= w.at - interval '24 hours'
      AND observed_at > w.at - interval '26 hours'
    ORDER BY observed_at DESC LIMIT 1) AS o
WHERE o.price_usd > 0
"""

NEWEST_IDR_RATE = """
SELECT per_usd FROM sentinel.fx_rates
WHERE currency = 'idr' AND observed_at > %(now)s - interval '1 day'
ORDER BY observed_at DESC LIMIT 1
"""

# The price change from each alert to the first observation an hour and a day later. It stays
# unknown if that observation came too late to stand for the hour or the day.
RECORD_OUTCOMES = """
UPDATE sentinel.alerts a
SET after_1h = coalesce(a.after_1h, hour.price_usd / a.price_usd - 1),
    after_24h = coalesce(a.after_24h, day.price_usd / a.price_usd - 1)
FROM sentinel.alerts b
LEFT JOIN LATERAL (
    SELECT price_usd FROM sentinel.observations o
    WHERE o.coin_key = b.coin_key AND o.observed_at >= b.observed_at + interval '1 hour'
      AND o.observed_at < b.observed_at + interval '90 minutes'
    ORDER BY o.observed_at LIMIT 1) AS hour ON true
LEFT JOIN LATERAL (
    SELECT price_usd FROM sentinel.observations o
    WHERE o.coin_key = b.coin_key AND o.observed_at >= b.observed_at + interval '24 hours'
      AND o.observed_at < b.observed_at + interval '25 hours'
    ORDER BY o.observed_at LIMIT 1) AS day ON true
WHERE a.alert_id = b.alert_id
  AND b.observed_at > %(now)s - interval '3 days' AND b.price_usd > 0
  AND ((b.after_1h IS NULL AND hour.price_usd IS NOT NULL)
       OR (b.after_24h IS NULL AND day.price_usd IS NOT NULL))
"""


def read_new_prices(
    connection: Connection, since: Mapping[int, datetime], now: datetime
) -> dict[int, list[tuple[datetime, float]]]:
    """Return (time, USD) by coin key: the observations after each coin's time in `since`."""
    parameters = {
        "coin_key": list(since),
        "since": list(since.values()),
        "oldest": min(since.values(), default=now),
        "newest": now + MAX_AHEAD,
    }
    prices: dict[int, list[tuple[datetime, float]]] = {key: [] for key in since}
    with connection.cursor(binary=True) as cursor:
        for key, at, price in cursor.execute(NEW_PRICES, parameters):
            prices[key].append((at, price))
    return prices


def save_trackers(
    connection: Connection,
    changed: Sequence[tuple[WatchedCoin, Tracker, AlertRules]],
    now: datetime,
) -> None:
    """Store trackers, each with the threshold and the multiplier that it applies now.

    A new tracker's coin has been watched since `now`.
    """
    values = [
        coin._asdict()
        | {
            "state": Jsonb(TRACKER_JSON.dump_python(tracker, mode="json")),
            "threshold": tracker.compute_threshold(rules),
            "effective_multiplier": tracker.effective_multiplier(rules),
            "now": now,
        }
        for coin, tracker, rules in changed
    ]
    for value in values:  # executemany would wait for its results, also in a pipeline
        connection.execute(SAVE_TRACKER, value)


def record_alert(
    connection: Connection, coin: WatchedCoin, alert: Alert, *, is_announced: bool
) -> None:
    """Store an alert, and whether a message is queued about it. A repeated one is ignored."""
    times = {"observed_at": alert.observed_at, "marked_at": alert.marked_at}
    own = {"coin_key": coin.coin_key, "is_announced": is_announced}
    connection.execute(RECORD_ALERT, alert._asdict() | times | own)


def read_day_ago_prices(connection: Connection, times: Mapping[str, datetime]) -> dict[str, float]:
    """Return the price (USD) 24 hours before each coin's time, by coin id, where it is known."""
    parameters = {"coin_id": list(times), "at": list(times.values())}
    return dict(connection.execute(DAY_AGO_PRICES, parameters).fetchall())


def read_idr_rate(connection: Connection, now: datetime) -> float | None:
    """Return rupiah per US dollar; None without a rate of the last day."""
    row = connection.execute(NEWEST_IDR_RATE, {"now": now}).fetchone()
    return row[0] if row else None


def record_outcomes(connection: Connection, now: datetime) -> None:
    """Store how the price moved in the hour and the day after each recent alert."""
    connection.execute(RECORD_OUTCOMES, {"now": now})
