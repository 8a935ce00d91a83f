"""The coins that the monitor watches.

They are those that the user holds or starred, the best ranked, and those on the watchlist.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import LiteralString, NamedTuple

from psycopg import sql

from sentinel.alerting.options import MonitorOptions
from sentinel.analytics.alerts import VERSION
from sentinel.storage.connection import Connection

# Held coins, starred ones, and coins with a price target.
COINS_TO_FETCH = """
SELECT coin_id FROM sentinel.transaction_legs GROUP BY coin_id HAVING sum(quantity) > 0
UNION
SELECT coin_id FROM sentinel.starred_coins
UNION
SELECT coin_id FROM sentinel.price_targets WHERE state = 'open'
ORDER BY coin_id
"""

# A term of the watchlist is an id, a symbol or a name. Several coins may share a symbol: the id
# wins over the symbol, the symbol over the name, then the better rank.
WATCHED_KEYS: LiteralString = """
WITH held AS (
    SELECT coin_id FROM sentinel.transaction_legs GROUP BY coin_id HAVING sum(quantity) > 0
),
named AS (
    SELECT DISTINCT ON (lower(term)) c.coin_key
    FROM unnest(%(watchlist)s::text[]) AS term
    JOIN sentinel.coins c ON c.coin_id = term OR lower(term) IN (lower(c.symbol), lower(c.name))
    ORDER BY lower(term), c.coin_id <> term, lower(c.symbol) <> lower(term), c.rank NULLS LAST,
             c.coin_id
),
top AS (
    SELECT coin_key FROM sentinel.coins WHERE rank IS NOT NULL ORDER BY rank,
        coin_id LIMIT %(top_coins)s
)
SELECT c.coin_key
FROM sentinel.coins c
WHERE c.coin_id IN (TABLE held) OR c.coin_key IN (TABLE named) OR c.coin_key IN (TABLE top)
   OR c.coin_id IN (SELECT coin_id FROM sentinel.starred_coins)
"""

# A tracker of another version, and its calibration, do not count: they were made for another rule.
WATCHED_COINS: LiteralString = """
WITH held AS (
    SELECT coin_id, sum(quantity) AS quantity
    FROM sentinel.transaction_legs GROUP BY coin_id HAVING sum(quantity) > 0
)
SELECT c.coin_key, c.coin_id, c.symbol, c.name, coalesce(h.quantity, 0) AS quantity,
       t.state, t.threshold_multiplier, t.target_rate, t.actual_rate, t.calibrated_at
FROM sentinel.coins c
LEFT JOIN held h USING (coin_id)
LEFT JOIN sentinel.alert_trackers t
    ON t.coin_key = c.coin_key AND t.state -> 'version' = to_jsonb(%(version)s::int)
WHERE c.coin_key IN ({watched_keys})
ORDER BY c.rank NULLS LAST, c.coin_id
"""


class WatchedCoin(NamedTuple):
    """A watched coin with its stored tracker and calibration."""

    coin_key: int
    coin_id: str
    symbol: str
    name: str
    # What the user holds.
    quantity: Decimal
    # The tracker as JSON; None before the first observation.
    state: dict[str, object] | None
    # The calibrated multiplier. None: never calibrated.
    threshold_multiplier: float | None
    # Alerts per week: what was asked for, and what the coin's own history gave.
    target_rate: float | None
    actual_rate: float | None
    calibrated_at: datetime | None


def read_watched_coins(connection: Connection, options: MonitorOptions) -> list[WatchedCoin]:
    """Return the watched coins that have a row in `coins`, by rank."""
    parameters = {
        "watchlist": options.watchlist,
        "top_coins": options.top_coins,
        "version": VERSION,
    }
    statement = sql.SQL(WATCHED_COINS).format(watched_keys=sql.SQL(WATCHED_KEYS))
    return list(map(WatchedCoin._make, connection.execute(statement, parameters)))


def list_watched_ids(connection: Connection, options: MonitorOptions) -> tuple[str, ...]:
    """Return the ids of the coins to fetch: the watched ones, and those with a price target.

    Held and starred coins and those with a target are included even without a price.
    """
    wanted = [coin_id for (coin_id,) in connection.execute(COINS_TO_FETCH)]
    watched = [coin.coin_id for coin in read_watched_coins(connection, options)]
    return tuple(dict.fromkeys([*wanted, *watched]))
