"""Finds gaps: pauses of a coin's observations that are longer than its usual cadence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import psycopg
from psycopg.rows import class_row

from safe_zone import (
    DETAIL_MINUTES,
    GAP_FACTOR,
    GAP_FACTOR_ROUGH,
    GAP_WINDOW,
    MIN_PAUSES_FOR_CADENCE,
)
from sentinel.models import Gap
from sentinel.storage.connection import Connection

# Compares each pause between two observations of a coin with the coin's usual pause. That is the
# median between observed rows only, because backfilled rows are 5 minutes apart whatever the
# schedule is. It is at least those 5 minutes: a backfill cannot be finer. An unfillable gap
# carries its reason, also where a part of it has been filled since.
GAPS = """
WITH points AS MATERIALIZED (
    SELECT coin_key, o.observed_at AS start, o.source,
           lead(o.observed_at, 1, %(until)s) OVER (
               PARTITION BY coin_key ORDER BY o.observed_at) AS stop
    FROM sentinel.coins c JOIN sentinel.observations o USING (coin_key)
    WHERE (%(coin_ids)s::text[] IS NULL OR c.coin_id = ANY (%(coin_ids)s::text[]))
      AND o.observed_at >= %(since)s AND o.observed_at <= %(now)s
),
pauses AS (
    SELECT coin_key, start - lag(start) OVER (PARTITION BY coin_key ORDER BY start) AS pause
    FROM points
    WHERE source = 'observed'
),
usual AS (
    SELECT coin_key,
           greatest(coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY pause), %(cadence)s),
                    %(finest)s) AS slot,
           CASE WHEN count(pause) < %(few)s THEN %(factor_of_few)s ELSE %(factor)s END AS factor
    FROM pauses
    GROUP BY coin_key
)
SELECT c.coin_id, p.start, p.stop, u.slot,
       round(extract(epoch FROM p.stop - p.start) / extract(epoch FROM u.slot))::int - 1 AS missed,
       known.reason
FROM points p JOIN usual u USING (coin_key) JOIN sentinel.coins c USING (coin_key)
LEFT JOIN LATERAL (
    SELECT g.reason FROM sentinel.unfillable_gaps g
    WHERE g.coin_key = p.coin_key AND g.start <= p.start AND g.stop >= p.stop
      AND (g.retry_after IS NULL OR g.retry_after > %(now)s) LIMIT 1
) AS known ON true
WHERE p.stop - p.start > u.factor * u.slot AND (known.reason IS NULL OR NOT %(is_open)s)
ORDER BY c.rank NULLS LAST, c.coin_id, p.start
"""


def find_gaps(
    connection: Connection,
    now: datetime,
    *,
    cadence: timedelta,
    coin_ids: Sequence[str] | None = None,
    until: datetime | None = None,
    is_open: bool = False,
) -> psycopg.Cursor[Gap]:
    """Return the gaps of the last GAP_WINDOW in order of rank, of `coin_ids` or of all coins.

    With `is_open`, the unfillable ones are left out: a week has thousands of them, and each run
    would send them out of the database.

    The gaps arrive when the caller fetches them. A gap is longer than GAP_FACTOR times the coin's
    usual pause. The usual pause is measured, because schedulers start fewer runs than their cron
    line says; `cadence` is used for a coin with too few observations. With `until`, the pause from
    a coin's newest observation until then counts too.
    """
    parameters = {
        "now": now,
        "since": now - GAP_WINDOW,
        "until": until,
        "cadence": cadence,
        "finest": timedelta(minutes=DETAIL_MINUTES),
        "factor": GAP_FACTOR,
        "few": MIN_PAUSES_FOR_CADENCE,
        "factor_of_few": GAP_FACTOR_ROUGH,
        "is_open": is_open,
        "coin_ids": None if coin_ids is None else list(coin_ids),
    }
    return connection.cursor(row_factory=class_row(Gap)).execute(GAPS, parameters)
