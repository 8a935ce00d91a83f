"""Reads what became of each slot of the schedule, and the longest pauses between runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from sentinel.budget.schedule import ORIGIN, first_slot
from sentinel.storage.connection import Connection

# The slots from the first run of all on, or from `since`: one row with the first slot's number and
# a letter for each slot; none without a run. The current slot counts only if a run has come in it.
# The runs before a run that did not reach the database count as delivered, as in ScheduleCoverage:
# their slots are the last ones between that run and the run before it.
SLOT_HISTORY = """
WITH runs AS (
    SELECT floor(extract(epoch FROM started_at - %(origin)s) / %(cadence)s)::int AS slot,
           started_at, mode, unrecorded_runs
    FROM sentinel.pipeline_runs
    WHERE started_at >= %(since)s AND started_at <= %(now)s
),
pairs AS (
    SELECT slot, mode, unrecorded_runs, lag(slot) OVER (ORDER BY started_at) AS before FROM runs
),
delivered AS MATERIALIZED (
    SELECT DISTINCT generate_series(
        least(slot, greatest(slot - unrecorded_runs, before + 1)),
        CASE WHEN mode = 'ingest' THEN slot ELSE slot - 1 END) AS slot
    FROM pairs
),
backfilled AS MATERIALIZED (
    SELECT DISTINCT
           floor(extract(epoch FROM o.observed_at - %(origin)s) / %(cadence)s)::int AS slot
    FROM sentinel.coins c JOIN sentinel.observations o USING (coin_key)
    WHERE c.coin_id = %(coin_id)s AND o.source = 'backfilled'
      AND o.observed_at >= %(since)s AND o.observed_at <= %(now)s
),
begin AS (
    SELECT greatest(
        %(first)s::int,
        floor(extract(epoch FROM min(started_at) - %(origin)s) / %(cadence)s)::int) AS first
    FROM sentinel.pipeline_runs
    WHERE mode = 'ingest' AND started_at <= %(now)s
    HAVING count(*) > 0
)
SELECT begin.first,
       (SELECT coalesce(string_agg(CASE WHEN d.slot IS NOT NULL THEN 'd'
                                        WHEN b.slot IS NOT NULL THEN 'b' ELSE '-' END,
                                   '' ORDER BY s.slot), '')
        FROM generate_series(begin.first,
                             greatest(%(current)s - 1, (SELECT max(slot) FROM delivered)))
             AS s (slot)
        LEFT JOIN delivered d USING (slot) LEFT JOIN backfilled b USING (slot)) AS states
FROM begin
"""

# For each begin of a period: the longest pause that ends in it, or goes on.
LONGEST_SILENCES = """
WITH pauses AS (
    SELECT started_at AS start, lead(started_at, 1, %(now)s) OVER (ORDER BY started_at) AS stop
    FROM sentinel.pipeline_runs
    WHERE mode = 'ingest' AND started_at <= %(now)s
)
SELECT DISTINCT ON (since) since, start, stop - start AS length
FROM unnest(%(since)s::timestamptz[]) AS since JOIN pauses ON stop > since
ORDER BY since DESC, stop - start DESC, start DESC
"""


class Silence(NamedTuple):
    """A pause between two runs, or since the last run."""

    # The begin of the period whose longest pause it is.
    since: datetime
    start: datetime
    length: timedelta


def find_slots(
    connection: Connection,
    since: datetime,
    now: datetime,
    *,
    cadence: timedelta,
    coin_id: str | None,
) -> psycopg.Cursor[tuple[int, str]]:
    """Return the first slot and the states of a SlotHistory; no row without a run.

    The row arrives when the caller fetches it. A slot without a run is backfilled if a backfill
    stored a row of the coin in it.
    """
    parameters = {
        "since": since,
        "now": now,
        "origin": ORIGIN,
        "cadence": cadence.total_seconds(),
        "coin_id": coin_id,
        "first": first_slot(since, cadence),
        "current": (now - ORIGIN) // cadence,
    }
    return connection.execute(SLOT_HISTORY, parameters)


def find_longest_silences(
    connection: Connection, periods: Sequence[datetime], now: datetime
) -> psycopg.Cursor[Silence]:
    """Return the longest pause of each period until `now`; the rows arrive when fetched.

    `periods` are their begins. Without a run there are no rows.
    """
    cursor = connection.cursor(row_factory=class_row(Silence))
    return cursor.execute(LONGEST_SILENCES, {"since": list(periods), "now": now})
