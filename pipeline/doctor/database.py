"""The database: its address and role, the schedule, and the health of what is stored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import class_row

from safe_zone import Settings
from sentinel.budget import neon_api
from sentinel.errors import StorageUnavailable
from sentinel.health.deployment import check_deployment
from sentinel.health.facts import HealthCheck
from sentinel.storage import egress, embedded_location, error_hints
from sentinel.storage.connection import (
    Address,
    Connection,
    open_connection,
    resolve_database,
)
from sentinel.storage.preconditions import refuse_unusable_database
from sentinel.storage.queries.schedule_coverage import measure_schedule_coverage

# Below this share of its slots the schedule is worth a warning: GitHub delivers about half.
MIN_SCHEDULE_SHARE = 0.4
# pg_stat_ssl shows every user its own connection.
ROLE = """
SELECT current_setting('server_version') AS version,
       r.rolsuper AS is_superuser,
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS is_read_only,
       inet_server_addr() IS NOT NULL AND NOT coalesce(s.ssl, false) AS is_plain_tcp
FROM pg_roles r
LEFT JOIN pg_stat_ssl s ON s.pid = pg_backend_pid()
WHERE r.rolname = current_user
"""


class Role(NamedTuple):
    """The server, and what this user is there."""

    version: str
    is_superuser: bool
    is_read_only: bool
    # Whether the connection crosses a network without encryption, this machine's own included.
    is_plain_tcp: bool


def check(settings: Settings, now: datetime) -> Iterator[HealthCheck]:
    """Yield the checks of the database. Raises StorageUnavailable if it cannot be used."""
    if not settings.database_url and not embedded_location.has_database(settings.state_dir):
        text = "There is no embedded database yet: run python ingest.py, which creates it."
        yield HealthCheck("database", "unhealthy", text)
        return
    with resolve_database(settings) as address, _connect(address) as connection:
        refuse_unusable_database(connection)
        yield judge_role(settings, address.display_name, _read_role(connection))
        found = check_deployment(connection, settings, now)
        for result in found.checks:
            # The disk was checked with the folder, and the database's own line is above.
            if result.name not in ("disk", "database") or not result.is_ok:
                yield result
        if found.facts:
            yield _check_schedule(connection, settings, now)


@contextlib.contextmanager
def _connect(address: Address) -> Iterator[Connection]:
    """Yield a connection, after one attempt: a run would try for longer."""
    try:
        with contextlib.closing(open_connection(address)) as connection:
            yield connection
            egress.record(connection)
    except psycopg.Error as error:
        raise StorageUnavailable(error_hints.explain(error, address.display_name)) from error


def _read_role(connection: Connection) -> Role:
    with connection.cursor(row_factory=class_row(Role)) as cursor:
        [role] = cursor.execute(ROLE).fetchall()
    return role


def judge_role(settings: Settings, name: str, role: Role) -> HealthCheck:
    """Return the check of the server and of this user there; `name` is the database's."""
    endpoint = neon_api.endpoint_of(settings.database_url)
    kind = f"Neon's {endpoint}, " if endpoint else ""
    text = f"{name}: {kind}PostgreSQL {role.version}"
    if role.is_read_only:
        text += " is read-only: name the primary server in DATABASE_URL."
        return HealthCheck("database", "unhealthy", text)
    if settings.database_url and role.is_superuser:
        text += ", and the role is a superuser: create a role that owns only this database."
        return HealthCheck("database", "warning", text)
    if role.is_plain_tcp and not _is_on_loopback(settings.database_url or ""):
        text += ", without encryption: add sslmode=require to DATABASE_URL."
        return HealthCheck("database", "warning", text)
    return HealthCheck("database", "ok", f"{text}.")


def _is_on_loopback(database_url: str) -> bool:
    parts = conninfo_to_dict(database_url)
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return host in ("localhost", "127.0.0.1", "::1")


def _check_schedule(connection: Connection, settings: Settings, now: datetime) -> HealthCheck:
    cadence = timedelta(minutes=settings.cadence_minutes)
    coverage = measure_schedule_coverage(connection, now, cadence)
    share = coverage.share
    if share is None or share >= MIN_SCHEDULE_SHARE:
        return HealthCheck("schedule", "ok", f"{coverage} in the last seven days.")
    text = f"{coverage}: see docs/deploy-github-actions.md#the-schedule, or run the monitor."
    return HealthCheck("schedule", "warning", text)
