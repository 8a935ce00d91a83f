"""The monitor's reads that the batch has no use for. Functions take a connection and return rows as
dicts, shaped like the answers in models.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from psycopg.rows import dict_row

from sentinel.archive.reader import read_points
from sentinel.archive.store import Archive
from sentinel.storage.connection import Connection
from services.api.forecast_scores import Score

Row = dict[str, Any]

# The steps that a history may be read in, by name; raw has none.
STEPS = {
    "raw": timedelta(),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
}

COINS = """
SELECT coin_id, symbol, name, rank, price, market_cap, volume_24h, observed_at, source::text
FROM coins
WHERE observed_at IS NOT NULL
  AND (%(coin_id)s::text IS NULL OR coin_id = %(coin_id)s::text)
  AND (%(search)s::text IS NULL OR strpos(lower(coin_id), %(search)s) > 0
       OR strpos(lower(symbol), %(search)s) > 0 OR strpos(lower(name), %(search)s) > 0)
ORDER BY rank NULLS LAST, coin_id
LIMIT %(limit)s OFFSET %(offset)s
"""

WATCH = """
SELECT t.state, t.threshold, t.k_in_force AS k, t.wished AS wished_per_week,
       t.achieved AS achieved_per_week, t.solved_at
FROM alert_trackers t JOIN coins c USING (coin_key)
WHERE c.coin_id = %(coin_id)s
"""

HAS_COINS = "SELECT EXISTS (SELECT FROM coins)"
KNOWN = "SELECT EXISTS (SELECT FROM coins WHERE coin_id = %(coin_id)s)"

HISTORY_RAW = """
SELECT observed_at AS at, price, price AS low, price AS high, volume_24h, 1 AS observations,
       (source = 'backfilled')::int AS backfilled
FROM observations
WHERE coin_key = (SELECT coin_key FROM coins WHERE coin_id = %(coin_id)s)
  AND observed_at >= %(start)s AND observed_at < %(end)s
ORDER BY observed_at
"""

# The last price of a step is that of its latest moment: pairs compare by their first, the moment.
HISTORY_IN_STEPS = """
SELECT date_bin(%(step)s, observed_at, 'epoch') AS at,
       (max(ARRAY[extract(epoch FROM observed_at)::float8, price]))[2] AS price,
       min(price) AS low, max(price) AS high,
       (max(ARRAY[extract(epoch FROM observed_at)::float8, volume_24h]))[2] AS volume_24h,
       count(*) AS observations, count(*) FILTER (WHERE source = 'backfilled') AS backfilled
FROM observations
WHERE coin_key = (SELECT coin_key FROM coins WHERE coin_id = %(coin_id)s)
  AND observed_at >= %(start)s AND observed_at < %(end)s
GROUP BY 1
ORDER BY 1
"""

# Each of the ranked coins beside its last observation before the span began.
MOVERS = """
SELECT c.coin_id, c.symbol, c.name, c.rank, c.price, before.price AS price_before,
       c.price / before.price - 1 AS change, c.observed_at, before.observed_at AS before_at
FROM (SELECT * FROM coins WHERE observed_at > %(fresh)s ORDER BY rank NULLS LAST LIMIT %(top)s) AS c
CROSS JOIN LATERAL (
    SELECT o.price, o.observed_at
    FROM observations o
    WHERE o.coin_key = c.coin_key AND o.observed_at <= %(before)s AND o.observed_at > %(oldest)s
    ORDER BY o.observed_at DESC LIMIT 1) AS before
WHERE before.price > 0
ORDER BY change DESC
"""

# The price of each of the ranked coins at the end of every step, None where none came within it.
SPARKLINES = """
SELECT c.coin_id, array_agg(o.price ORDER BY steps.stop) AS prices
FROM (SELECT coin_key, coin_id, rank FROM coins WHERE observed_at IS NOT NULL
      ORDER BY rank NULLS LAST, coin_id LIMIT %(limit)s OFFSET %(offset)s) AS c
CROSS JOIN generate_series(%(start)s, %(stop)s, %(step)s) AS steps (stop)
LEFT JOIN LATERAL (
    SELECT price FROM observations
    WHERE coin_key = c.coin_key AND observed_at > steps.stop - %(step)s
      AND observed_at <= steps.stop
    ORDER BY observed_at DESC LIMIT 1) AS o ON true
GROUP BY c.coin_id, c.rank
ORDER BY c.rank NULLS LAST, c.coin_id
"""

FORECAST = """
SELECT c.coin_id, f.made_at, f.due_at, f.price, f.slope AS slope_per_minute, f.predicted, f.low,
       f.high, f.direction::text
FROM forecasts f JOIN coins c USING (coin_key)
WHERE c.coin_id = %(coin_id)s AND f.due_at > %(now)s
ORDER BY f.made_at DESC
LIMIT 1
"""

SCORES = """
SELECT sum(abs_error), sum(abs_no_change), sum(scored)::int, sum(called)::int, sum(hit)::int,
       sum(banded)::int, sum(covered)::int
FROM forecast_scores
WHERE hour > %(since)s
  AND (%(coin_id)s::text IS NULL
       OR coin_key = (SELECT coin_key FROM coins WHERE coin_id = %(coin_id)s::text))
"""

SCORES_BY_COIN = """
SELECT c.coin_id, sum(abs_error), sum(abs_no_change), sum(scored)::int, sum(called)::int,
       sum(hit)::int, sum(banded)::int, sum(covered)::int
FROM (SELECT * FROM coins ORDER BY rank NULLS LAST, coin_id LIMIT %(limit)s) AS c
JOIN forecast_scores s USING (coin_key)
WHERE s.hour > %(since)s
GROUP BY c.coin_id, c.rank
ORDER BY c.rank NULLS LAST, c.coin_id
"""

ALERTS = """
SELECT a.alert_id, c.coin_id, c.symbol, c.name, a.kind::text, a.step, a.observed_at, a.price,
       a.reference, a.reference_at, a.move, a.threshold, a.after_1h, a.after_24h
FROM alerts a JOIN coins c USING (coin_key)
WHERE (%(coin_id)s::text IS NULL OR c.coin_id = %(coin_id)s::text)
  AND (%(kind)s::text IS NULL OR a.kind::text = %(kind)s::text)
  AND (%(before)s::bigint IS NULL OR a.alert_id < %(before)s::bigint)
ORDER BY a.alert_id DESC
LIMIT %(limit)s
"""

RUNS = """
SELECT run_id, started_at, recorded_at, mode, status, targets, rows_valid, rows_inserted,
       rows_updated, rows_unchanged, rows_backfilled, rows_drained, rejected, missing, api_calls,
       api_credits, db_seconds, purged_rows
FROM pipeline_runs
WHERE %(before)s::timestamptz IS NULL OR started_at < %(before)s::timestamptz
ORDER BY started_at DESC
LIMIT %(limit)s
"""

REJECTIONS = """
SELECT rejected_at, run_id, coin_id, reason, left(raw, %(most)s) AS raw
FROM rejections
ORDER BY rejected_at DESC, coin_id
LIMIT %(limit)s
"""
REJECTIONS_BY_REASON = """
SELECT reason, count(*)
FROM rejections
WHERE rejected_at > %(since)s
GROUP BY reason
ORDER BY 2 DESC, 1
"""

HEARTBEAT = """
SELECT beat_at, state FROM heartbeats WHERE service = 'ingestion'
"""
NEWEST = "SELECT max(observed_at) AS newest FROM coins"

# The best ranked coins, for what is too dear to ask of all.
BEST = """
SELECT coin_id FROM coins WHERE observed_at IS NOT NULL
ORDER BY rank NULLS LAST, coin_id LIMIT %(limit)s
"""

# What the metrics count.
COUNTS = """
SELECT (SELECT count(*) FROM outbox
        WHERE delivered_at IS NULL AND given_up_at IS NULL) AS messages_waiting,
       (SELECT count(*) FROM alerts) AS alerts,
       (SELECT count(*) FROM coins WHERE observed_at IS NOT NULL) AS coins,
       (SELECT count(*) FROM alert_trackers) AS coins_watched,
       (SELECT max(observed_at) FROM coins) AS newest_observation,
       (SELECT max(recorded_at) FROM pipeline_runs) AS newest_run,
       pg_database_size(current_database()) AS database_bytes
"""


def _rows(connection: Connection, statement: str, parameters: Row | None = None) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), parameters).fetchall()


def coins(connection: Connection, *, search: str | None, limit: int, offset: int) -> list[Row]:
    """Coins with their newest observation, by rank."""
    folded = search.lower() if search else None
    asked = {"coin_id": None, "search": folded, "limit": limit, "offset": offset}
    return _rows(connection, COINS, asked)


def coin(connection: Connection, coin_id: str) -> Row | None:
    """One coin and what the alerts watch of it; None where nothing is known of it."""
    asked = {"coin_id": coin_id, "search": None, "limit": 1, "offset": 0}
    found = _rows(connection, COINS, asked)
    if not found:
        return None
    watched = _rows(connection, WATCH, {"coin_id": coin_id})
    return found[0] | {"watch": _watch(watched[0]) if watched else None}


def _watch(row: Row) -> Row:
    """The session's marks out of a tracker's state."""
    state = row.pop("state")
    for name, kind in (("high", "panic"), ("low", "reversal")):
        marks = state[kind]["marks"]
        at, price = marks[0] if marks else (None, None)
        row |= {name: price, f"{name}_at": at}
    return row


def is_known(connection: Connection, coin_id: str) -> bool:
    """Whether a coin of this id was ever stored."""
    return bool(connection.execute(KNOWN, {"coin_id": coin_id}).fetchall()[0][0])


def has_coins(connection: Connection) -> bool:
    """Whether any coin was ever stored."""
    return bool(connection.execute(HAS_COINS).fetchall()[0][0])


def history(
    connection: Connection, coin_id: str, start: datetime, end: datetime, step: str
) -> list[Row]:
    """A coin's history in one of the STEPS, down-sampled by the database."""
    width = STEPS[step]
    asked = {"coin_id": coin_id, "start": start, "end": end, "step": width}
    return _rows(connection, HISTORY_IN_STEPS if width else HISTORY_RAW, asked)


def long_history(
    connection: Connection,
    archive: Archive,
    coin_id: str,
    start: datetime,
    end: datetime,
    step: str,
) -> list[Row]:
    """The same across database and archive, down-sampled here; cannot be asked in pipeline mode.

    Raises ArchiveUnavailable, ArchiveDamaged.
    """
    points = read_points(connection, archive, [coin_id], start, end)
    width = STEPS[step].total_seconds()
    if not len(points.seconds):
        return []
    places = np.floor(points.seconds / width) * width if width else points.seconds
    firsts = np.flatnonzero(np.diff(places, prepend=-1.0))
    lasts = np.append(firsts[1:], len(places)) - 1
    columns = {
        "at": [datetime.fromtimestamp(at, UTC) for at in places[firsts].tolist()],
        "price": points.price[lasts].tolist(),
        "low": np.minimum.reduceat(points.price, firsts).tolist(),
        "high": np.maximum.reduceat(points.price, firsts).tolist(),
        "volume_24h": [None if math.isnan(v) else v for v in points.volume_24h[lasts].tolist()],
        "observations": (lasts - firsts + 1).tolist(),
        "backfilled": np.add.reduceat((~points.is_observed).astype(int), firsts).tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def movers(connection: Connection, now: datetime, hours: int, top: int) -> list[Row]:
    """The `top` ranked coins by how far they moved, the largest rise first."""
    before = now - timedelta(hours=hours)
    slack = timedelta(hours=2)
    asked = {"before": before, "oldest": before - slack, "fresh": now - slack, "top": top}
    return _rows(connection, MOVERS, asked)


def sparklines(
    connection: Connection, start: datetime, stop: datetime, steps: int, limit: int, offset: int
) -> list[Row]:
    """The prices of the ranked coins at `steps` + 1 moments from `start` to `stop`."""
    asked = {"start": start, "stop": stop, "step": (stop - start) / steps}
    return _rows(connection, SPARKLINES, asked | {"limit": limit, "offset": offset})


def forecast(connection: Connection, coin_id: str, now: datetime) -> Row | None:
    """A coin's newest forecast whose time has not come yet."""
    found = _rows(connection, FORECAST, {"coin_id": coin_id, "now": now})
    return found[0] if found else None


def score(connection: Connection, since: datetime, coin_id: str | None = None) -> Score:
    """What the forecasts since then were worth, of one coin or of all."""
    [sums] = connection.execute(SCORES, {"since": since, "coin_id": coin_id}).fetchall()
    return Score(*(value or 0 for value in sums))


def scores_by_coin(connection: Connection, since: datetime, limit: int) -> dict[str, Score]:
    """The same by coin, of the best ranked."""
    rows: Sequence[Any] = connection.execute(
        SCORES_BY_COIN, {"since": since, "limit": limit}
    ).fetchall()
    return {coin_id: Score(*sums) for coin_id, *sums in rows}


def best_ranked(connection: Connection, limit: int) -> list[str]:
    """Ids of the best ranked coins."""
    return [coin_id for (coin_id,) in connection.execute(BEST, {"limit": limit})]


def alerts(
    connection: Connection, *, coin_id: str | None, kind: str | None, before: int | None, limit: int
) -> list[Row]:
    """Alerts, the newest first."""
    asked = {"coin_id": coin_id, "kind": kind, "before": before, "limit": limit}
    return _rows(connection, ALERTS, asked)


def runs(connection: Connection, before: datetime | None, limit: int) -> list[Row]:
    """Runs, the newest first."""
    return _rows(connection, RUNS, {"before": before, "limit": limit})


def rejections(connection: Connection, limit: int, most_characters: int) -> list[Row]:
    """The newest answers that were no rows; of each no more than so many characters."""
    return _rows(connection, REJECTIONS, {"limit": limit, "most": most_characters})


def rejections_by_reason(connection: Connection, since: datetime) -> dict[str, int]:
    """How many there were since then, by reason."""
    return dict(connection.execute(REJECTIONS_BY_REASON, {"since": since}).fetchall())


def heartbeat(connection: Connection) -> Row | None:
    """When the loop last ticked, and how it fares."""
    found = _rows(connection, HEARTBEAT)
    return found[0] if found else None


def newest_observation(connection: Connection) -> datetime | None:
    """When anything was last observed."""
    found: datetime | None = _rows(connection, NEWEST)[0]["newest"]
    return found


def counts(connection: Connection) -> Row:
    """What the metrics count."""
    return _rows(connection, COUNTS)[0]
