"""What the health check and the metrics read."""

from __future__ import annotations

from datetime import datetime

from sentinel.storage.connection import Connection
from services.api.queries.rows import Row, fetch_first_row, fetch_rows

HEARTBEAT = "SELECT beat_at, state FROM heartbeats WHERE service = 'ingestion'"

NEWEST_OBSERVATION = "SELECT max(observed_at) AS newest FROM coins"

METRICS = """
SELECT (SELECT count(*) FROM outbox
        WHERE delivered_at IS NULL AND given_up_at IS NULL) AS messages_waiting,
       (SELECT count(*) FROM alerts) AS alerts,
       (SELECT count(*) FROM coins WHERE observed_at IS NOT NULL) AS coins,
       (SELECT count(*) FROM alert_trackers) AS coins_watched,
       (SELECT max(observed_at) FROM coins) AS newest_observation,
       (SELECT max(recorded_at) FROM pipeline_runs) AS newest_run,
       pg_database_size(current_database()) AS database_bytes
"""


def find_heartbeat(connection: Connection) -> Row | None:
    """Return the loop's last heartbeat and its state, None if the loop never ran."""
    return fetch_first_row(connection, HEARTBEAT)


def find_newest_observation(connection: Connection) -> datetime | None:
    """Return the time of the newest observation of any coin."""
    newest: datetime | None = fetch_rows(connection, NEWEST_OBSERVATION)[0]["newest"]
    return newest


def count_metrics(connection: Connection) -> Row:
    """Return the figures of the metrics endpoint."""
    return fetch_rows(connection, METRICS)[0]
