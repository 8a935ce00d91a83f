"""The alerts of a tick: trackers are read, fed and written in the transaction that queues what they
say, so that a restart repeats nothing and forgets nothing."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from psycopg.types.json import Jsonb

from sentinel.analytics.alerts import NEVER, Alert, Rules, Tracker
from sentinel.notifications import messages, outbox
from sentinel.notifications.messages import AlertContext, Message, MessageFormatter, Mover
from sentinel.storage.connection import Connection
from services.ingestion import calibration
from services.settings import MonitorOptions

log = logging.getLogger("sentinel.alerts")

STALE_AFTER = timedelta(minutes=15)  # an observation older than this is no news
GROUP_WINDOW = timedelta(minutes=30)  # in which coins going the same way are one event
GROUP_LEAST = 5  # coins that make it one, …
GROUP_SHARE = 1 / 3  # … and their share of those watched
HISTORY = timedelta(days=28)  # that a budget is solved on: eight alerts a coin at two a week
SOLVE_AGAIN = timedelta(days=7)
WARM_UP = timedelta(days=7)  # from which a new coin's volatility is learned
KEY_OF_LOCK = 0x414C5254  # "ALRT": the advisory lock of who judges prices

# Held coins, the best ranked, and those named by id, symbol or name: the registry's order.
WATCHED = """
WITH held AS (
    SELECT coin_id, sum(quantity) AS quantity
    FROM transactions GROUP BY coin_id HAVING sum(quantity) > 0
),
named AS (
    SELECT DISTINCT ON (lower(term)) c.coin_key
    FROM unnest(%(watchlist)s::text[]) AS term
    JOIN coins c ON c.coin_id = term OR lower(term) IN (lower(c.symbol), lower(c.name))
    ORDER BY lower(term), c.coin_id <> term, lower(c.symbol) <> lower(term), c.rank NULLS LAST,
             c.coin_id
),
top AS (
    SELECT coin_key FROM coins WHERE rank IS NOT NULL ORDER BY rank, coin_id LIMIT %(top_coins)s
)
SELECT c.coin_key, c.coin_id, c.symbol, c.name, coalesce(h.quantity, 0) AS quantity,
       t.state, t.k, t.wished, t.achieved, t.solved_at
FROM coins c
LEFT JOIN held h USING (coin_id)
LEFT JOIN alert_trackers t USING (coin_key)
WHERE h.coin_id IS NOT NULL OR c.coin_key IN (TABLE named) OR c.coin_key IN (TABLE top)
ORDER BY c.rank NULLS LAST, c.coin_id
"""

# What was observed of each coin since its tracker last looked; a backfilled value is no news.
NEWS = """
SELECT w.coin_key, o.observed_at, o.price
FROM unnest(%(coin_key)s::int4[], %(since)s::timestamptz[]) AS w (coin_key, since)
JOIN observations o ON o.coin_key = w.coin_key AND o.observed_at > w.since
WHERE o.source = 'observed' AND o.observed_at > %(oldest)s AND o.observed_at <= %(newest)s
  AND o.price > 1e-30
ORDER BY o.observed_at
"""

REMEMBER_TRACKER = """
INSERT INTO alert_trackers (coin_key, state, k, wished, achieved, solved_at, threshold, k_in_force)
VALUES (%(coin_key)s, %(state)s, %(k)s, %(wished)s, %(achieved)s, %(solved_at)s, %(threshold)s,
        %(k_in_force)s)
ON CONFLICT (coin_key) DO UPDATE
SET state = excluded.state, k = excluded.k, wished = excluded.wished, achieved = excluded.achieved,
    solved_at = excluded.solved_at, threshold = excluded.threshold,
    k_in_force = excluded.k_in_force
"""

RECORD_ALERT = """
INSERT INTO alerts (coin_key, kind, observed_at, price, reference, reference_at, move, threshold,
                    step)
VALUES (%(coin_key)s, %(kind)s, %(at)s, %(price)s, %(reference)s, %(reference_at)s, %(move)s,
        %(threshold)s, %(step)s)
ON CONFLICT (coin_key, kind, observed_at) DO NOTHING
"""

# The alerts of the window, one a coin: who goes the same way just now.
GOING_TOGETHER = """
SELECT DISTINCT ON (coin_key) c.symbol, a.move, a.price,
       (SELECT coalesce(sum(t.quantity), 0) FROM transactions t WHERE t.coin_id = c.coin_id)
FROM alerts a JOIN coins c USING (coin_key)
WHERE a.kind = %(kind)s AND a.observed_at > %(since)s AND a.observed_at <= %(newest)s
ORDER BY coin_key, a.observed_at DESC
"""
# How many coins the last message about the whole market named.
SAID_OF_THE_MARKET = """
SELECT coalesce(max(split_part(message_key, ':', 3)::int), 0)
FROM outbox
WHERE queue = 'market' AND created_at > %(since)s
  AND message_key LIKE 'market:' || %(kind)s || ':%%'
"""

NEWEST_RATE = """
SELECT per_usd FROM fx_rates
WHERE currency = 'idr' AND observed_at > %(now)s - interval '1 day'
ORDER BY observed_at DESC LIMIT 1
"""

# How far the price went on from each alert: the first observation after the hour and the day, if
# one came soon enough after.
JUDGE_OUTCOMES = """
UPDATE alerts a
SET after_1h = coalesce(a.after_1h, hour.price / a.price - 1),
    after_24h = coalesce(a.after_24h, day.price / a.price - 1)
FROM alerts b
LEFT JOIN LATERAL (
    SELECT price FROM observations o
    WHERE o.coin_key = b.coin_key AND o.observed_at >= b.observed_at + interval '1 hour'
      AND o.observed_at < b.observed_at + interval '90 minutes'
    ORDER BY o.observed_at LIMIT 1) AS hour ON true
LEFT JOIN LATERAL (
    SELECT price FROM observations o
    WHERE o.coin_key = b.coin_key AND o.observed_at >= b.observed_at + interval '24 hours'
      AND o.observed_at < b.observed_at + interval '25 hours'
    ORDER BY o.observed_at LIMIT 1) AS day ON true
WHERE a.alert_id = b.alert_id
  AND b.observed_at > %(now)s - interval '3 days' AND b.price > 0
  AND ((b.after_1h IS NULL AND hour.price IS NOT NULL)
       OR (b.after_24h IS NULL AND day.price IS NOT NULL))
"""


HELD = "SELECT coin_id FROM transactions GROUP BY coin_id HAVING sum(quantity) > 0 ORDER BY coin_id"


class Watched(NamedTuple):
    """A coin that is watched: its tracker (None before the first look) and its k."""

    coin_key: int
    coin_id: str
    symbol: str
    name: str
    quantity: Decimal
    state: dict[str, object] | None
    k: float | None
    wished: float | None
    achieved: float | None
    solved_at: datetime | None


def rules_of(options: MonitorOptions) -> Rules:
    """The rules that the settings ask for; k is the one to begin with."""
    return Rules(
        k=options.threshold_multiplier,
        session=timedelta(hours=options.window_hours),
        horizon=timedelta(hours=options.horizon_hours),
        half_life=timedelta(hours=options.volatility_half_life_hours),
        min_threshold=options.min_threshold,
        max_threshold=options.max_threshold,
        per_week=options.alerts_per_coin_week,
    )


def watched_coins(connection: Connection, options: MonitorOptions) -> tuple[str, ...]:
    """Ids of the coins that are watched: held (with a price or without), best ranked, named."""
    watched = [coin.coin_id for coin in _read_watched(connection, options)]
    return tuple(dict.fromkeys([*(coin_id for (coin_id,) in connection.execute(HELD)), *watched]))


def watch(
    connection: Connection,
    options: MonitorOptions,
    formatter: MessageFormatter,
    targets: Sequence[str],
    now: datetime,
) -> int:
    """Feed what is new to the trackers, record and queue what they say; returns the alerts.

    `targets` are fingerprints of where messages go. One transaction: all of it happens, or none.
    """
    rules = rules_of(options)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [KEY_OF_LOCK])
        watched = _read_watched(connection, options)
        solving = _choose_to_solve(watched, rules, now)
        told = _feed(connection, watched, rules, solving, now)
        for message in _compose(connection, told, len(watched), formatter, now):
            outbox.put(connection, message, targets, now)
        connection.execute(JUDGE_OUTCOMES, {"now": now})
    return len(told)


def _read_watched(connection: Connection, options: MonitorOptions) -> list[Watched]:
    parameters = {"watchlist": options.watchlist, "top_coins": options.top_coins}
    return list(map(Watched._make, connection.execute(WATCHED, parameters)))


def _choose_to_solve(watched: Sequence[Watched], rules: Rules, now: datetime) -> str | None:
    """The one coin whose k is solved anew in this tick: that costs a second or two."""
    if rules.per_week is None:
        return None
    due = [
        coin
        for coin in watched
        if coin.solved_at is None
        or coin.wished != rules.per_week
        or not timedelta() <= now - coin.solved_at < SOLVE_AGAIN
    ]
    never = datetime.min.replace(tzinfo=UTC)
    oldest = min(due, key=lambda coin: coin.solved_at or never, default=None)
    return oldest.coin_id if oldest else None


def _feed(
    connection: Connection,
    watched: Sequence[Watched],
    rules: Rules,
    solving: str | None,
    now: datetime,
) -> list[AlertContext]:
    """Bring every tracker up to date and write it back; returns what there is to tell."""
    trackers = {
        coin.coin_key: Tracker.from_json(coin.state) if coin.state else Tracker()
        for coin in watched
    }
    since = {
        key: datetime.fromtimestamp(tracker.at, UTC) if tracker.at != NEVER else now - WARM_UP
        for key, tracker in trackers.items()
    }
    news: dict[int, list[tuple[datetime, float]]] = {key: [] for key in trackers}
    for key, at, price in _read_news(connection, since, now):
        news[key].append((at, price))
    rate = _rate(connection, now)
    told: list[AlertContext] = []
    for coin in watched:
        tracker = trackers[coin.coin_key]
        is_new = tracker.at == NEVER
        solved = _solve(connection, coin, rules, now) if coin.coin_id == solving else coin
        own = dataclasses.replace(rules, k=solved.k if rules.per_week and solved.k else rules.k)
        for at, price in news[coin.coin_key]:
            is_fresh = now - at <= STALE_AFTER and not is_new
            alerts = tracker.observe(at.timestamp(), price, own, may_speak=is_fresh)
            told += [_record(connection, coin, alert, rate) for alert in alerts]
        if is_new and news[coin.coin_key]:  # its history taught volatility; the session begins now
            for side in (tracker.panic, tracker.reversal):
                side.begin(tracker.at, tracker.price)
        if solved is not coin and solved.achieved is not None:
            tracker.drift = 0.0
        if news[coin.coin_key] or solved is not coin:
            _remember(connection, solved, tracker, own)
    return told


def _read_news(
    connection: Connection, since: dict[int, datetime], now: datetime
) -> list[tuple[int, datetime, float]]:
    parameters = {
        "coin_key": list(since),
        "since": list(since.values()),
        "oldest": min(since.values(), default=now),
        "newest": now + STALE_AFTER,
    }
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(NEWS, parameters).fetchall()


def _rate(connection: Connection, now: datetime) -> float | None:
    row = connection.execute(NEWEST_RATE, {"now": now}).fetchone()
    return row[0] if row else None


def _solve(connection: Connection, coin: Watched, rules: Rules, now: datetime) -> Watched:
    """The coin with the k that its own history asks for, where that is long enough."""
    rows = _read_news(connection, {coin.coin_key: now - HISTORY}, now)
    series = [(at.timestamp(), price) for _, at, price in rows]
    solved = coin._replace(k=rules.k, wished=rules.per_week, achieved=None, solved_at=now)
    if not calibration.is_long_enough(series):
        return solved
    found = calibration.solve({coin.coin_id: series}, rules.per_week or 0.0, rules)
    return solved._replace(k=found.typical, achieved=found.achieved)


def _record(
    connection: Connection, coin: Watched, alert: Alert, rate: float | None
) -> AlertContext:
    at, reference_at = (
        datetime.fromtimestamp(seconds, UTC) for seconds in (alert.at, alert.reference_at)
    )
    values = alert._asdict() | {"coin_key": coin.coin_key, "at": at, "reference_at": reference_at}
    connection.execute(RECORD_ALERT, values)
    return AlertContext(
        coin.coin_id,
        coin.symbol,
        coin.name,
        alert.kind,
        at,
        alert.price,
        alert.reference,
        reference_at,
        alert.move,
        alert.threshold,
        alert.step,
        coin.quantity,
        rate,
    )


def _remember(connection: Connection, coin: Watched, tracker: Tracker, rules: Rules) -> None:
    names = ("coin_key", "k", "wished", "achieved", "solved_at")
    values = {name: getattr(coin, name) for name in names}
    values |= {"threshold": tracker.threshold(rules), "k_in_force": tracker.k_in_force(rules)}
    connection.execute(REMEMBER_TRACKER, values | {"state": Jsonb(tracker.as_json())})


def _compose(
    connection: Connection,
    told: Sequence[AlertContext],
    watched: int,
    formatter: MessageFormatter,
    now: datetime,
) -> list[Message]:
    """One message a coin, or one for all: where many go the same way in one tick, or where by now
    so many more than the last such message named have done so within the window."""
    many = max(GROUP_LEAST, math.ceil(watched * GROUP_SHARE))
    period = {"since": now - GROUP_WINDOW, "newest": now + STALE_AFTER}
    found: list[Message] = []
    for kind in ("panic", "reversal"):
        new = [one for one in told if one.kind == kind]
        if not new:
            continue
        asked = period | {"kind": kind}
        together = list(map(Mover._make, connection.execute(GOING_TOGETHER, asked)))
        [(said,)] = connection.execute(SAID_OF_THE_MARKET, asked).fetchall()
        if len(new) >= many or len(together) >= said + many:
            at = max(one.at for one in new)
            minutes = GROUP_WINDOW // timedelta(minutes=1)
            rate = new[0].idr_per_usd
            found.append(
                messages.market_message(kind, together, watched, minutes, at, rate, formatter)
            )
        else:
            found += [messages.coin_message(one, formatter) for one in new]
    return found
