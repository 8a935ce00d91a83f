"""Coins: newest observations, alert trackers, sparklines, movers."""

from __future__ import annotations

from datetime import datetime, timedelta

from sentinel.alerting.mutes import read_muted
from sentinel.storage.connection import Connection
from services.api.queries.rows import Row, fetch_first_row, fetch_rows

# A price of "24 hours ago" may be this much older, and a mover's newest price this old: the
# schedule may have missed some runs.
PRICE_TOLERANCE = timedelta(hours=2)
# At most this share of the time span, so that no change spans twice the time that it names.
MAX_TOLERANCE_SHARE = 0.5

# strpos, because LIKE would read % and _ in the search text as wildcards.
COINS = """
SELECT coin_id, symbol, name, rank, price_usd, market_cap_usd, volume_24h_usd, observed_at,
       source::text, coin_id IN (SELECT s.coin_id FROM sentinel.starred_coins s) AS is_starred
FROM sentinel.coins
WHERE observed_at IS NOT NULL
  AND (%(coin_id)s::text IS NULL OR coin_id = %(coin_id)s::text)
  AND (%(search)s::text IS NULL OR strpos(lower(coin_id), %(search)s) > 0
       OR strpos(lower(symbol), %(search)s) > 0 OR strpos(lower(name), %(search)s) > 0)
ORDER BY rank NULLS LAST, coin_id
LIMIT %(limit)s OFFSET %(offset)s
"""

# The first of the stored marks [UNIX seconds, price] is the one in force.
ALERT_TRACKER = """
SELECT to_timestamp((t.state #>> '{panic,marks,0,0}')::float8) AS high_observed_at,
       (t.state #>> '{panic,marks,0,1}')::float8 AS high_usd,
       to_timestamp((t.state #>> '{reversal,marks,0,0}')::float8) AS low_observed_at,
       (t.state #>> '{reversal,marks,0,1}')::float8 AS low_usd, t.threshold,
       t.effective_multiplier, t.target_rate, t.actual_rate, t.calibrated_at
FROM sentinel.alert_trackers t JOIN sentinel.coins c USING (coin_key)
WHERE c.coin_id = %(coin_id)s
"""

STORED_COINS = """
SELECT coin_id, symbol, name, rank
FROM sentinel.coins
WHERE strpos(lower(coin_id), %(search)s) > 0 OR strpos(lower(symbol), %(search)s) > 0
      OR strpos(lower(name), %(search)s) > 0
ORDER BY rank NULLS LAST, coin_id
LIMIT %(limit)s
"""

# An id wins over a symbol; several coins may share a symbol.
COINS_NAMED = """
SELECT coin_id, rank, lower(coin_id) = lower(%(term)s) AS is_id
FROM sentinel.coins
WHERE lower(coin_id) = lower(%(term)s)
   OR (lower(symbol) = lower(%(term)s) AND observed_at IS NOT NULL)
ORDER BY coin_id <> %(term)s, lower(coin_id) <> lower(%(term)s), rank NULLS LAST, coin_id
LIMIT 20
"""

HAS_COINS = "SELECT EXISTS (SELECT FROM sentinel.coins)"
IS_KNOWN_COIN = "SELECT EXISTS (SELECT FROM sentinel.coins WHERE coin_id = %(coin_id)s)"

# The best-ranked coins, for queries that are too expensive to run for all coins.
BEST_RANKED_COINS = """
SELECT coin_id FROM sentinel.coins WHERE observed_at IS NOT NULL
ORDER BY rank NULLS LAST, coin_id LIMIT %(limit)s
"""

# Each of the ranked coins, or one coin, beside its last observation before the time span.
MOVERS = """
SELECT c.coin_id, c.symbol, c.name, c.rank, c.price_usd,
       before.price_usd AS previous_price_usd, c.price_usd / before.price_usd - 1 AS change,
       c.observed_at, before.observed_at AS previous_observed_at
FROM (SELECT * FROM sentinel.coins
      WHERE observed_at > %(fresh)s AND (%(coin_id)s::text IS NULL OR coin_id = %(coin_id)s::text)
      ORDER BY rank NULLS LAST, coin_id LIMIT %(top)s) AS c
CROSS JOIN LATERAL (
    SELECT o.price_usd, o.observed_at
    FROM sentinel.observations o
    WHERE o.coin_key = c.coin_key AND o.observed_at <= %(before)s AND o.observed_at > %(oldest)s
    ORDER BY o.observed_at DESC LIMIT 1) AS before
WHERE before.price_usd > 0
ORDER BY change DESC
"""

DAY_RANGE = """
SELECT min(price_usd) AS low_24h_usd, max(price_usd) AS high_24h_usd
FROM sentinel.observations
WHERE coin_key = (SELECT coin_key FROM sentinel.coins WHERE coin_id = %(coin_id)s)
  AND observed_at > %(start)s AND observed_at <= %(end)s
"""

# The price of each ranked coin at the end of every step; NULL for a step without an observation.
SPARKLINES = """
SELECT c.coin_id, array_agg(o.price_usd ORDER BY steps.stop) AS prices_usd
FROM (SELECT coin_key, coin_id, rank FROM sentinel.coins WHERE observed_at IS NOT NULL
      ORDER BY rank NULLS LAST, coin_id LIMIT %(limit)s OFFSET %(offset)s) AS c
CROSS JOIN generate_series(%(start)s, %(stop)s, %(step)s) AS steps (stop)
LEFT JOIN LATERAL (
    SELECT price_usd FROM sentinel.observations
    WHERE coin_key = c.coin_key AND observed_at > steps.stop - %(step)s
      AND observed_at <= steps.stop
    ORDER BY observed_at DESC LIMIT 1) AS o ON true
GROUP BY c.coin_id, c.rank
ORDER BY c.rank NULLS LAST, c.coin_id
"""


def list_coins(connection: Connection, *, search: str | None, limit: int, offset: int) -> list[Row]:
    """Return coins with their newest observation, by rank."""
    parameters = {
        "coin_id": None,
        "search": search.lower() if search else None,
        "limit": limit,
        "offset": offset,
    }
    return fetch_rows(connection, COINS, parameters)


def find_coin(connection: Connection, coin_id: str, now: datetime) -> Row | None:
    """Return one coin with its alert tracker as `watch`, None if the coin was never stored."""
    parameters = {"coin_id": coin_id, "search": None, "limit": 1, "offset": 0}
    coin = fetch_first_row(connection, COINS, parameters)
    if coin is None:
        return None
    return coin | {
        "watch": fetch_first_row(connection, ALERT_TRACKER, {"coin_id": coin_id}),
        "muted_until": read_muted(connection, now).get(coin_id),
    }


def find_coins_named(connection: Connection, term: str) -> list[Row]:
    """Return the stored coins with this id or symbol in any case, by rank, an id first."""
    return fetch_rows(connection, COINS_NAMED, {"term": term})


def is_known_coin(connection: Connection, coin_id: str) -> bool:
    """Return whether a coin with this id was ever stored."""
    return bool(connection.execute(IS_KNOWN_COIN, {"coin_id": coin_id}).fetchall()[0][0])


def find_stored_coins(connection: Connection, search: str, limit: int) -> list[Row]:
    """Return the best-ranked coins that were ever stored and have a text in id, symbol or name."""
    return fetch_rows(connection, STORED_COINS, {"search": search, "limit": limit})


def has_coins(connection: Connection) -> bool:
    """Return whether any coin was ever stored."""
    return bool(connection.execute(HAS_COINS).fetchall()[0][0])


def list_best_ranked_coins(connection: Connection, limit: int) -> list[str]:
    """Return the ids of the best-ranked coins."""
    return [coin_id for (coin_id,) in connection.execute(BEST_RANKED_COINS, {"limit": limit})]


def list_movers(
    connection: Connection, now: datetime, hours: int, *, top: int = 1, coin_id: str | None = None
) -> list[Row]:
    """Return the `top` ranked coins, or one coin, by how far the price moved, rises first.

    A coin without a price now or at the start of the span is left out: no change spans a gap.
    """
    span = timedelta(hours=hours)
    tolerance = min(PRICE_TOLERANCE, span * MAX_TOLERANCE_SHARE)
    parameters = {
        "before": now - span,
        "oldest": now - span - tolerance,
        "fresh": now - PRICE_TOLERANCE,
        "top": top,
        "coin_id": coin_id,
    }
    return fetch_rows(connection, MOVERS, parameters)


def read_day_range(connection: Connection, coin_id: str, now: datetime) -> Row:
    """Return the lowest and the highest price of a coin's last 24 hours."""
    parameters = {"coin_id": coin_id, "start": now - timedelta(days=1), "end": now}
    [row] = fetch_rows(connection, DAY_RANGE, parameters)
    return row


def list_sparklines(
    connection: Connection, start: datetime, stop: datetime, steps: int, limit: int, offset: int
) -> list[Row]:
    """Return the prices of ranked coins at `steps` + 1 evenly spaced times."""
    parameters = {
        "start": start,
        "stop": stop,
        "step": (stop - start) / steps,
        "limit": limit,
        "offset": offset,
    }
    return fetch_rows(connection, SPARKLINES, parameters)
