"""All checks of a deployment, from its database and its state folder.

`/health`, `verify_db.py`, `make status`, the probe and the dashboard show these checks.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from safe_zone import Settings
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.errors import SentinelError
from sentinel.health import checks
from sentinel.health.facts import (
    DiskSpace,
    HealthCheck,
    HealthFacts,
    LostMessages,
    NewestRun,
    TargetDelivery,
)
from sentinel.storage import egress, schema, service_status
from sentinel.storage.connection import Connection
from sentinel.storage.queries.failing_coins import find_failing_coins
from sentinel.storage.service_status import SILENCE_WINDOW, ServiceStatus

# clock_timestamp() is the server's clock at this moment, not that of the transaction's begin.
NEWEST = """
SELECT clock_timestamp(),
       (SELECT max(observed_at) FROM sentinel.coins)
"""
NEWEST_RUN = """
SELECT started_at, status
FROM sentinel.pipeline_runs
ORDER BY started_at DESC
LIMIT 1
"""
# The message that was tried most often has the error that lasts. Messages that quiet hours hold are
# left out; after them they wait since their end.
WAITING_MESSAGES = """
SELECT target, count(*), min(greatest(created_at, held_until)), coalesce(max(failures), 0),
       (array_agg(last_error ORDER BY attempts DESC) FILTER (WHERE last_error IS NOT NULL))[1]
FROM sentinel.outbox
LEFT JOIN sentinel.alert_targets USING (target)
WHERE delivered_at IS NULL AND abandoned_at IS NULL
  AND (held_until IS NULL OR held_until <= %(now)s)
GROUP BY target
ORDER BY target
"""
LOST_MESSAGES = """
SELECT target, count(*), (array_agg(last_error ORDER BY abandoned_at DESC))[1]
FROM sentinel.outbox
WHERE abandoned_at > %(now)s - interval '1 day'
GROUP BY target
ORDER BY target
"""


class DeploymentHealth(NamedTuple):
    """The checks of a deployment, and the facts behind them."""

    checks: list[HealthCheck]
    # None: the schema is missing or older than this code.
    facts: HealthFacts | None = None


def check_deployment(
    connection: Connection,
    settings: Settings,
    now: datetime,
    *,
    max_age: timedelta | None = None,
    clock: Callable[[], datetime] = SYSTEM_CLOCKS.now,
) -> DeploymentHealth:
    """Return all checks of the deployment with these settings.

    `max_age` replaces the limit for the age of prices. `clock` is this host's, which is compared
    with the database's.
    """
    if problem := _find_schema_problem(connection):
        return _without_facts(settings, HealthCheck("database", "unhealthy", problem))
    facts = _read_facts(connection, settings, now, max_age, clock)
    return DeploymentHealth(checks.check_facts(facts, now), facts)


def describe_missing_database(settings: Settings, error: SentinelError) -> DeploymentHealth:
    """Return the checks of a deployment whose database cannot be used."""
    text = "No data can be read from the database; the API's log has the cause."
    return _without_facts(settings, HealthCheck("database", "unhealthy", text, str(error)))


def _without_facts(settings: Settings, database: HealthCheck) -> DeploymentHealth:
    return DeploymentHealth([database, checks.check_disk(read_disk_space(settings.state_dir))])


def _find_schema_problem(connection: Connection) -> str | None:
    if not schema.has_schema(connection):
        return "No run has stored anything in this database: run python ingest.py."
    if not schema.is_up_to_date(connection):
        return "The schema is older than this code: run python ingest.py to update it."
    return None


def _read_facts(
    connection: Connection,
    settings: Settings,
    now: datetime,
    max_age: timedelta | None,
    clock: Callable[[], datetime],
) -> HealthFacts:
    asked_at = clock()
    [(database_time, newest)] = connection.execute(NEWEST).fetchall()
    # The server read its clock between question and answer: in their middle, as far as we know.
    host_time = asked_at + (clock() - asked_at) / 2
    with connection.pipeline():
        runs = connection.execute(NEWEST_RUN)
        recorded = connection.execute(service_status.READ_ALL)
        waiting = connection.execute(WAITING_MESSAGES, {"now": now})
        lost = connection.execute(LOST_MESSAGES, {"now": now})
        failing_coins = find_failing_coins(connection, now)
    # All results have arrived with the end of the pipeline.
    run = runs.fetchone()
    newest_run = NewestRun(*run) if run else None
    services = {name: ServiceStatus(at, state) for name, at, state in recorded}
    loop, backup = services.get("ingestion"), services.get("backup")
    if loop and newest_run and _was_switched_off(loop, newest_run, now):
        loop = None
    labels = _find_labels(loop, services.get("schedule"))
    return HealthFacts(
        cadence=timedelta(minutes=settings.cadence_minutes),
        newest_observation=newest,
        newest_run=newest_run,
        loop=loop,
        telegram=_find_telegram_status(services, now),
        backup=service_status.parse_backup_status(backup) if backup else None,
        max_backup_age=checks.MAX_NEON_BACKUP_AGE if egress.find_compute(connection) else None,
        deliveries=_list_deliveries(waiting, labels),
        lost_messages=[LostMessages(label, *row[1:]) for label, row in _label_rows(lost, labels)],
        failing_coins=failing_coins.fetchall(),
        disk=read_disk_space(settings.state_dir),
        database_clock_offset=host_time - database_time,
        max_age=max_age,
    )


def _find_telegram_status(
    services: Mapping[str, ServiceStatus], now: datetime
) -> ServiceStatus | None:
    """Return the status of the process that answers Telegram commands, if it is meant to run."""
    status = services.get("telegram")
    if status is None or status.state.get("is_stopped"):
        return None
    return status if now - status.recorded_at <= SILENCE_WINDOW else None


def _was_switched_off(loop: ServiceStatus, newest_run: NewestRun, now: datetime) -> bool:
    """Return whether scheduled runs go on where a loop has been silent for SILENCE_WINDOW."""
    return now - loop.recorded_at > SILENCE_WINDOW and newest_run.started_at > loop.recorded_at


def _find_labels(*senders: ServiceStatus | None) -> dict[str, str] | None:
    """Return the labels of the targets that loop and scheduled runs have; None: not recorded."""
    found = [sender.state["targets"] for sender in senders if sender and "targets" in sender.state]
    return {name: label for labels in found for name, label in labels.items()} if found else None


def read_deliveries(
    connection: Connection, labels: Mapping[str, str] | None, now: datetime
) -> list[TargetDelivery]:
    """Return the targets for which messages wait.

    Loop and scheduled runs record the targets of their settings, with their `labels`. Messages of
    other targets wait for ever: their address was changed since, so they are left out.
    """
    return _list_deliveries(connection.execute(WAITING_MESSAGES, {"now": now}), labels)


def _list_deliveries(
    rows: Iterable[tuple[Any, ...]], labels: Mapping[str, str] | None
) -> list[TargetDelivery]:
    return [TargetDelivery(row[0], label, *row[1:]) for label, row in _label_rows(rows, labels)]


def _label_rows(
    rows: Iterable[tuple[Any, ...]], labels: Mapping[str, str] | None
) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the rows of these targets, each with the target's label; without `labels` all."""
    return [
        ((labels or {}).get(row[0], "an alert target"), row)
        for row in rows
        if labels is None or row[0] in labels
    ]


def read_disk_space(folder: Path) -> DiskSpace | None:
    """Return the space on a folder's disk; None if it cannot be read. The folder may be missing."""
    try:
        existing = next((path for path in (folder, *folder.parents) if path.exists()), folder)
        usage = shutil.disk_usage(existing)
    except OSError:
        return None
    return DiskSpace(str(folder), usage.free, usage.total)
