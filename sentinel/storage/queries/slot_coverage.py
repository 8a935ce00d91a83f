"""Measures slot coverage: which part of the history runs observed, and which was backfilled."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import LiteralString

from psycopg import Cursor, sql
from psycopg.rows import class_row

from safe_zone import CADENCE_WINDOW, DETAIL_WINDOW, FILL_FACTOR
from sentinel.budget.schedule import SlotCoverage
from sentinel.storage.connection import Connection
from sentinel.storage.queries.gaps import limit_slot

BEST_COINS: LiteralString = """
SELECT coin_id, coin_key FROM sentinel.coins WHERE observed_at >= %(since)s
ORDER BY rank NULLS LAST, coin_id LIMIT %(coins)s
"""

# The definition is SlotCoverage's.
SLOT_COVERAGE: LiteralString = """
WITH best AS ({best_coins}),
pauses AS (
    SELECT coin_key, source, extract(epoch FROM observed_at - lag(observed_at) OVER (
               PARTITION BY coin_key ORDER BY observed_at))::float8 AS seconds
    FROM best JOIN sentinel.observations USING (coin_key)
    WHERE observed_at >= %(since)s AND observed_at <= %(until)s
),
rows AS (
    SELECT coin_key, source, seconds,
           CASE WHEN seconds <= %(factor)s * %(slot)s THEN seconds ELSE %(slot)s END AS covered
    FROM pauses
    WHERE seconds IS NOT NULL
),
sums AS (
    SELECT count(DISTINCT coin_key)::int AS coins, sum(seconds) AS total, max(seconds) AS longest,
           coalesce(sum(covered) FILTER (WHERE source = 'observed'), 0) AS observed,
           coalesce(sum(covered) FILTER (WHERE source = 'backfilled'), 0) AS backfilled
    FROM rows
)
SELECT coins, total / %(slot)s AS slots, observed / total AS observed_share,
       backfilled / total AS backfilled_share,
       greatest(1 - (observed + backfilled) / total, 0) AS open_share,
       longest / 60 AS longest_pause_minutes
FROM sums
WHERE total > 0
"""


def measure_slot_coverage(
    connection: Connection, now: datetime, *, cadence: timedelta, coins: int
) -> Cursor[SlotCoverage]:
    """Return the coverage of the best-ranked `coins`: one row, none without a day of history.

    It arrives when the caller fetches it.
    """
    parameters = {
        "since": now - CADENCE_WINDOW,
        "until": now - DETAIL_WINDOW,
        "slot": limit_slot(cadence).total_seconds(),
        "factor": FILL_FACTOR,
        "coins": coins,
    }
    cursor = connection.cursor(row_factory=class_row(SlotCoverage))
    statement = sql.SQL(SLOT_COVERAGE).format(best_coins=sql.SQL(BEST_COINS))
    return cursor.execute(statement, parameters)


def list_best_coins(connection: Connection, now: datetime, coins: int) -> list[str]:
    """Return the ids of the best-ranked `coins` of the last CADENCE_WINDOW by rank."""
    parameters = {"since": now - CADENCE_WINDOW, "coins": coins}
    return [coin_id for coin_id, _ in connection.execute(BEST_COINS, parameters)]
