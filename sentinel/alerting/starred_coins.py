"""The coins that the user starred: the monitor watches them, like the watchlist of the settings."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from psycopg.rows import class_row

from sentinel.storage.connection import Connection

MAX_STARRED = 500  # as many as the watchlist setting may have

# A coin that no run has stored yet goes by its id.
STARRED = """
SELECT s.coin_id, coalesce(c.symbol, s.coin_id) AS symbol, coalesce(c.name, s.coin_id) AS name,
       s.starred_at
FROM sentinel.starred_coins s LEFT JOIN sentinel.coins c USING (coin_id)
ORDER BY c.rank NULLS LAST, s.coin_id
"""

# A coin that is starred already keeps its time. No row: there are too many.
STAR = """
INSERT INTO sentinel.starred_coins AS s (coin_id, starred_at)
SELECT %(coin_id)s, %(now)s
WHERE (SELECT count(*) FROM sentinel.starred_coins WHERE coin_id <> %(coin_id)s) < %(max)s
ON CONFLICT (coin_id) DO UPDATE SET starred_at = s.starred_at
RETURNING coin_id
"""

UNSTAR = "DELETE FROM sentinel.starred_coins WHERE coin_id = %(coin_id)s"


class StarredCoin(NamedTuple):
    """A starred coin."""

    coin_id: str
    symbol: str
    name: str
    starred_at: datetime


def list_starred(connection: Connection) -> list[StarredCoin]:
    """Return the starred coins by rank."""
    with connection.cursor(row_factory=class_row(StarredCoin)) as cursor:
        return cursor.execute(STARRED).fetchall()


def star(connection: Connection, coin_id: str, now: datetime) -> bool:
    """Star a coin; return False if MAX_STARRED others are starred."""
    parameters = {"coin_id": coin_id, "now": now, "max": MAX_STARRED}
    return connection.execute(STAR, parameters).rowcount > 0


def unstar(connection: Connection, coin_id: str) -> bool:
    """Remove the star of a coin; return whether it had one."""
    return connection.execute(UNSTAR, {"coin_id": coin_id}).rowcount > 0
