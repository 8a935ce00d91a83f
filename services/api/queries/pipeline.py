"""Runs of the pipeline, rejected entries, and what health check and metrics read."""

from __future__ import annotations

from datetime import datetime

from sentinel.storage.connection import Connection
from services.api.queries.rows import Row, fetch_rows

RUNS = """
SELECT run_id, started_at, recorded_at, mode, status, targets, rows_valid, rows_inserted,
       rows_updated, rows_unchanged, rows_backfilled, rows_drained, rejected, missing, api_calls,
       api_credits, db_seconds, purged_rows
FROM sentinel.pipeline_runs
WHERE %(before)s::timestamptz IS NULL OR started_at < %(before)s::timestamptz
ORDER BY started_at DESC
LIMIT %(limit)s
"""

REJECTIONS_BY_REASON = """
SELECT reason, count(*)
FROM sentinel.rejections
WHERE rejected_at > %(since)s
GROUP BY reason
ORDER BY 2 DESC, 1
"""


METRICS = """
SELECT (SELECT count(*) FROM sentinel.outbox
        WHERE delivered_at IS NULL AND abandoned_at IS NULL) AS messages_waiting,
       (SELECT count(*) FROM sentinel.alerts) AS alerts,
       (SELECT count(*) FROM sentinel.coins WHERE observed_at IS NOT NULL) AS coins,
       (SELECT count(*) FROM sentinel.alert_trackers) AS coins_watched,
       (SELECT max(observed_at) FROM sentinel.coins) AS newest_observation,
       (SELECT max(recorded_at) FROM sentinel.pipeline_runs) AS newest_run,
       pg_database_size(current_database()) AS database_bytes
"""


def list_runs(connection: Connection, before: datetime | None, limit: int) -> list[Row]:
    """Return runs that started before a time, the newest first."""
    return fetch_rows(connection, RUNS, {"before": before, "limit": limit})


def count_rejections_by_reason(connection: Connection, since: datetime) -> dict[str, int]:
    """Return the number of rejected entries since then by reason."""
    return dict(connection.execute(REJECTIONS_BY_REASON, {"since": since}).fetchall())


def count_metrics(connection: Connection) -> Row:
    """Return the figures of the metrics endpoint."""
    return fetch_rows(connection, METRICS)[0]
