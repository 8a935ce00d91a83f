"""Reads which coins runs deactivated and reactivated."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

import psycopg
from psycopg.rows import class_row

from sentinel.storage.connection import Connection

HEALTH_CHANGES = """
SELECT started_at AS at, coin_id, change
FROM sentinel.pipeline_runs
CROSS JOIN LATERAL (
    SELECT unnest(deactivated) AS coin_id, 'deactivated' AS change
    UNION ALL
    SELECT unnest(reactivated), 'healed') AS changes
WHERE started_at >= %(since)s AND started_at <= %(now)s
ORDER BY started_at DESC, coin_id
LIMIT %(limit)s
"""


class CoinChange(NamedTuple):
    """A coin that a run deactivated, or reactivated."""

    # When the run started.
    at: datetime
    coin_id: str
    change: Literal["deactivated", "healed"]


def find_health_changes(
    connection: Connection, since: datetime, now: datetime, limit: int
) -> psycopg.Cursor[CoinChange]:
    """Return the newest changes, the newest first; the rows arrive when the caller fetches them."""
    cursor = connection.cursor(row_factory=class_row(CoinChange))
    return cursor.execute(HEALTH_CHANGES, {"since": since, "now": now, "limit": limit})
