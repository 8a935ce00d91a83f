"""What the health check and the metrics read."""

from __future__ import annotations

from datetime import datetime

from sentinel.storage.connection import Connection
from services.api.queries.rows import Row, fetch_rows

NEWEST_OBSERVATION = "SELECT max(observed_at) AS newest FROM sentinel.coins"

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


def find_newest_observation(connection: Connection) -> datetime | None:
    """Return the time of the newest observation of any coin."""
    newest: datetime | None = fetch_rows(connection, NEWEST_OBSERVATION)[0]["newest"]
    return newest


def count_metrics(connection: Connection) -> Row:
    """Return the figures of the metrics endpoint."""
    return fetch_rows(connection, METRICS)[0]
