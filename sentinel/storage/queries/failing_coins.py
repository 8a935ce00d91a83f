"""Counts the coins that failed validation, or did not come back, on each of the last days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from safe_zone import STRIKES_TO_DEACTIVATE
from sentinel.storage.connection import Connection

BASELINE_DAYS = 14

# A coin counts if it failed in several runs of the day: after so many strikes it is deactivated and
# hardly requested, so a share of all requests would hide it. Days with fewer runs say nothing.
FAILING_COINS = """
WITH runs AS MATERIALIZED (
    SELECT floor(extract(epoch FROM %(now)s - started_at) / 86400)::int AS days_ago,
           targets, missing
    FROM sentinel.pipeline_runs
    WHERE started_at > %(since)s AND started_at <= %(now)s AND mode = 'ingest'
),
failures AS (
    SELECT days_ago, 'missing' AS reason, unnest(missing) AS coin_id
    FROM runs
    UNION ALL
    SELECT floor(extract(epoch FROM %(now)s - rejected_at) / 86400)::int, reason, coin_id
    FROM sentinel.rejections
    WHERE rejected_at > %(since)s AND rejected_at <= %(now)s
),
failing AS MATERIALIZED (
    SELECT days_ago, reason, count(*) AS coins
    FROM (SELECT days_ago, reason FROM failures
          GROUP BY days_ago, reason, coin_id HAVING count(*) >= %(failures)s) AS coins
    GROUP BY days_ago, reason
)
SELECT days_ago, percentile_disc(0.5) WITHIN GROUP (ORDER BY targets) AS requested,
       (SELECT coalesce(jsonb_object_agg(reason, coins), '{}')
        FROM failing WHERE failing.days_ago = runs.days_ago) AS failing
FROM runs
GROUP BY days_ago
HAVING count(*) >= %(failures)s
ORDER BY days_ago
"""


class DayFailures(NamedTuple):
    """The coins that failed on one day: in at least STRIKES_TO_DEACTIVATE runs, for one reason."""

    # 0: the last 24 hours.
    days_ago: int
    # Coins of a run, as the median.
    requested: int
    # Number of coins by reason of rejection, or `missing`.
    failing: Mapping[str, int]


def find_failing_coins(connection: Connection, now: datetime) -> psycopg.Cursor[DayFailures]:
    """Return the last day and the BASELINE_DAYS before it, as far as they had enough runs."""
    cursor = connection.cursor(row_factory=class_row(DayFailures))
    parameters = {
        "now": now,
        "since": now - timedelta(days=BASELINE_DAYS + 1),
        "failures": STRIKES_TO_DEACTIVATE,
    }
    return cursor.execute(FAILING_COINS, parameters)
