"""Writes what a run records beside prices: rejections, rates, unfillable gaps, the run itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from safe_zone import MAX_REJECTIONS, STRIKES_TO_DEACTIVATE
from sentinel.models import FxRate, Gap, Rejection
from sentinel.storage.connection import Connection

# Where `most` entries are stored, only the first `kept` of a coin, reason and UTC day are added.
RECORD_REJECTIONS = """
WITH incoming AS (
    SELECT i.*, date_trunc('day', rejected_at, 'UTC') AS day,
           row_number() OVER (ORDER BY rejected_at) AS position,
           row_number() OVER (PARTITION BY coin_id, reason, date_trunc('day', rejected_at, 'UTC')
                              ORDER BY rejected_at) AS position_in_day
    FROM unnest(%(rejected_at)b::timestamptz[], %(run_id)b::text[], %(coin_id)b::text[],
                %(reason)b::text[], %(raw)b::text[])
         AS i (rejected_at, run_id, coin_id, reason, raw)
),
stored AS (
    SELECT day, coin_id, reason, count(*) AS entries
    FROM (SELECT DISTINCT day FROM incoming) AS days
    JOIN sentinel.rejections ON rejected_at >= day AND rejected_at < day + interval '1 day'
    GROUP BY day, coin_id, reason
)
INSERT INTO sentinel.rejections (rejected_at, run_id, coin_id, reason, raw)
SELECT rejected_at, run_id, coin_id, reason, raw
FROM incoming LEFT JOIN stored USING (day, coin_id, reason)
WHERE position + (SELECT count(*) FROM sentinel.rejections) <= %(most)s
   OR position_in_day + coalesce(entries, 0) <= %(kept)s
ON CONFLICT (run_id, coin_id) DO NOTHING
"""

RECORD_FX_RATE = """
INSERT INTO sentinel.fx_rates (observed_at, per_usd, currency)
VALUES (%(observed_at)s, %(per_usd)s, %(currency)s)
ON CONFLICT (currency, observed_at) DO NOTHING
"""

# A run is recorded when its rows are loaded, and again after its backfill. Only what the backfill
# changes is updated.
RECORD_RUN = """
INSERT INTO sentinel.pipeline_runs (
    run_id, started_at, recorded_at, mode, status, targets, rows_valid, rows_inserted,
    rows_updated, rows_unchanged, rows_backfilled, rows_drained, rejected, missing, api_calls,
    api_credits, db_seconds, purged_rows, unrecorded_runs,
    backfill_credits, deactivated, reactivated, exit_code)
VALUES (
    %(run_id)s, %(started_at)s, %(finished_at)s, %(mode)s, %(status)s, %(targets)s, %(rows_valid)s,
    %(rows_inserted)s, %(rows_updated)s, %(rows_unchanged)s, %(rows_backfilled)s, %(rows_drained)s,
    %(rejected)s, %(missing)s, %(api_calls)s, %(api_credits)s, %(db_seconds)s, %(purged_rows)s,
    %(unrecorded_runs)s, %(backfill_credits)s, %(deactivated)s::text[], %(reactivated)s::text[],
    %(exit_code)s)
ON CONFLICT (run_id) DO UPDATE
SET recorded_at = excluded.recorded_at, status = excluded.status,
    rows_backfilled = excluded.rows_backfilled, rejected = excluded.rejected,
    api_calls = excluded.api_calls, api_credits = excluded.api_credits,
    db_seconds = excluded.db_seconds, backfill_credits = excluded.backfill_credits,
    exit_code = excluded.exit_code
"""

# A gap that grew keeps one row, up to its later end.
RECORD_UNFILLABLE_GAPS = """
INSERT INTO sentinel.unfillable_gaps (start, stop, decided_at, retry_after, coin_key, reason)
SELECT start, stop, %(decided_at)s, %(retry_after)s, coin_key, reason
FROM unnest(%(coin_id)b::text[], %(start)b::timestamptz[], %(stop)b::timestamptz[],
            %(reason)b::text[]) AS g (coin_id, start, stop, reason)
JOIN sentinel.coins USING (coin_id)
ON CONFLICT (coin_key, start) DO UPDATE
SET stop = greatest(unfillable_gaps.stop, excluded.stop), reason = excluded.reason,
    decided_at = excluded.decided_at, retry_after = excluded.retry_after
"""


def record_rejections(connection: Connection, rejections: Sequence[Rejection]) -> None:
    """Store entries that failed validation; those of a run that are already stored stay.

    Beyond MAX_REJECTIONS only the first few of each coin, reason and day are stored.
    """
    if rejections:
        names = ("rejected_at", "run_id", "coin_id", "reason", "raw")
        columns = {name: [getattr(entry, name) for entry in rejections] for name in names}
        bounds = {"most": MAX_REJECTIONS, "kept": STRIKES_TO_DEACTIVATE}
        connection.execute(RECORD_REJECTIONS, {**columns, **bounds})


def record_fx_rates(connection: Connection, rates: Iterable[FxRate]) -> None:
    """Store exchange rates; a rate of a time that is already stored stays."""
    for rate in rates:
        connection.execute(RECORD_FX_RATE, dataclasses.asdict(rate))


def record_run(
    connection: Connection,
    report: Mapping[str, Any],
    *,
    unrecorded_runs: int,
    backfill_credits: int,
    reactivated: Sequence[str] = (),
) -> None:
    """Store what a run did, or update it after the run's backfill.

    `report` has the fields that RECORD_RUN names. `unrecorded_runs` is the number of runs before
    this one that did not reach the database, `backfill_credits` the backfill's part of its credits,
    `reactivated` the ids of inactive coins that became active again.
    """
    details = {
        "rejected": Jsonb(report["rejected"]),
        "unrecorded_runs": unrecorded_runs,
        "backfill_credits": backfill_credits,
        "reactivated": list(reactivated),
    }
    connection.execute(RECORD_RUN, {**report, **details})


def record_unfillable_gaps(
    connection: Connection,
    gaps: Sequence[Gap],
    now: datetime,
    retry_after: datetime | None = None,
) -> None:
    """Store gaps that the backfill does not fill, with their reasons.

    A run may try them again after `retry_after`; None: never.
    """
    if gaps:
        names = ("coin_id", "start", "stop", "reason")
        columns = {name: [getattr(gap, name) for gap in gaps] for name in names}
        times = {"decided_at": now, "retry_after": retry_after}
        connection.execute(RECORD_UNFILLABLE_GAPS, {**columns, **times})
