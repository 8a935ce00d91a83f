"""The last activity of each process, and the one definition of "late".

Each process records one row in `sentinel.service_status`: the loop after each tick, a backup after
each try, a purge after each archiving, a scheduled run with its rows, the process that answers
Telegram commands once a minute, the process that queues the daily summary, the process that scores
the alerts of the day, the loop that publishes its figures, and the run that read the figures of the
public page. Health checks, the API and the dashboard read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from sentinel.storage.connection import Connection

Service = Literal[
    "ingestion",
    "schedule",
    "backup",
    "archive",
    "seed",
    "telegram",
    "summary",
    "alert_score",
    "monitor_page",
    "page",
]

LATE_INTERVALS = 3  # intervals without activity after which a process is late …
MIN_LATE = timedelta(minutes=15)  # … but prices are not newer just because the loop is fast
MAX_INTERVAL = timedelta(hours=1)  # a loop that pauses longer is late
DEFAULT_INTERVAL = timedelta(minutes=5)
# A schedule that pauses longer has stopped: GitHub started runs up to 12 hours late in 2026.
MAX_SCHEDULE_PAUSE = timedelta(hours=24)
# The process that answers Telegram commands records its status more often.
MAX_POLL_PAUSE = timedelta(minutes=5)
SILENCE_WINDOW = timedelta(days=7)  # a process that is silent for longer was switched off

# The new keys replace the old ones; the others stay.
RECORD = """
INSERT INTO sentinel.service_status AS s (service, recorded_at, state)
VALUES (%(service)s, %(now)s, %(state)s)
ON CONFLICT (service) DO UPDATE
SET recorded_at = excluded.recorded_at, state = s.state || excluded.state
"""
READ_ALL = "SELECT service, recorded_at, state FROM sentinel.service_status"
READ = "SELECT recorded_at, state FROM sentinel.service_status WHERE service = %(service)s"


class ServiceStatus(NamedTuple):
    """When a process last recorded its status, and what it recorded."""

    recorded_at: datetime
    state: Mapping[str, Any]

    @property
    def interval(self) -> timedelta:
        """The pause that the loop means to make between two ticks."""
        seconds = self.state.get("interval_seconds")
        return min(MAX_INTERVAL, timedelta(seconds=seconds)) if seconds else DEFAULT_INTERVAL


@dataclass(frozen=True, slots=True)
class BackupStatus:
    """The last attempt of a backup, and the last backup that was verified by a restore."""

    tried_at: datetime
    # None: no backup has been verified yet.
    verified_at: datetime | None = None
    file: str | None = None
    # The file's size in bytes.
    bytes: int | None = None
    # Observations in it.
    rows: int | None = None
    # Why the last attempt failed; None where it succeeded.
    problem: str | None = None


def record(
    connection: Connection, service: Service, state: Mapping[str, Any], now: datetime
) -> None:
    """Record these keys and keep the others that this service recorded before."""
    connection.execute(RECORD, {"service": service, "now": now, "state": Jsonb(state)})


def read(connection: Connection, service: Service) -> ServiceStatus | None:
    """Return what a service last recorded; None where it never ran on this database."""
    try:
        row = connection.execute(READ, {"service": service}).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    return ServiceStatus(*row) if row else None


def read_all(connection: Connection) -> dict[str, ServiceStatus]:
    """Return what each service last recorded."""
    return {name: ServiceStatus(at, state) for name, at, state in connection.execute(READ_ALL)}


def read_backup_status(connection: Connection) -> BackupStatus | None:
    """Return the status of backups; None where no backup of this database was ever tried."""
    found = read(connection, "backup")
    return parse_backup_status(found) if found else None


def parse_backup_status(found: ServiceStatus) -> BackupStatus:
    """Return the status of backups from what the backup recorded."""
    state = {"tried_at": found.recorded_at, **found.state}
    return TypeAdapter(BackupStatus).validate_python(state)


def is_process_late(service: str, status: ServiceStatus, now: datetime) -> bool | None:
    """Return whether a process is silent for too long; None: it has no rhythm, or it was removed.

    Those without a rhythm work once a day or when asked to; the health checks look at backups.
    """
    limits = {
        "ingestion": late_after(status.interval),
        "schedule": MAX_SCHEDULE_PAUSE,
        "telegram": MAX_POLL_PAUSE,
    }
    is_gone = now - status.recorded_at > SILENCE_WINDOW or status.state.get("is_stopped")
    return None if service not in limits or is_gone else is_silent(status, limits[service], now)


def is_silent(status: ServiceStatus, limit: timedelta, now: datetime) -> bool:
    """Return whether a process that was active within SILENCE_WINDOW pauses longer than `limit`."""
    return limit < now - status.recorded_at <= SILENCE_WINDOW


def late_after(interval: timedelta) -> timedelta:
    """Return the age from which a process, or its newest observation, is late."""
    return max(MIN_LATE, LATE_INTERVALS * interval)


def is_late(age: timedelta, interval: timedelta) -> bool:
    """Return whether an activity of this age is late for a process of this interval."""
    return age > late_after(interval)
