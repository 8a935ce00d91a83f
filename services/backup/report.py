"""Report the result of a backup: in the database for health checks, and as a message."""

from __future__ import annotations

import logging
from datetime import datetime

from sentinel.alerting.announcements import announce
from sentinel.errors import Interrupted, SentinelError
from sentinel.notifications import messages
from sentinel.notifications.delivery import Notifier
from sentinel.storage import schema, service_status
from sentinel.storage.connection import Address, Connection, Session, resolve_database
from services.backup.manifest import BackupFile
from services.settings import MonitorSettings

log = logging.getLogger("sentinel.backup")
DELIVERY_SECONDS = 20.0


def record_success(address: Address, backup: BackupFile, problem: str | None) -> None:
    """Record a verified backup. `problem` is about older backups."""
    manifest = backup.manifest
    state = {
        "verified_at": manifest.made_at.isoformat(),
        "file": backup.path.name,
        "bytes": manifest.size_bytes,
        "rows": manifest.contents.observations,
        "problem": problem,
    }
    with Session(address) as session:
        session.use(lambda c: _update_status(c, manifest.made_at, state))


def report_failure(
    monitor: MonitorSettings, notifier: Notifier, problem: str, now: datetime
) -> None:
    """Record a failed backup and send a message about it.

    The message goes through the outbox, which repeats it until it arrives; without the outbox if
    the database cannot be reached.
    """
    formatter = notifier.rules.formatter

    def record_and_send(connection: Connection) -> None:
        _update_status(connection, now, {"problem": problem})
        status = service_status.read_backup_status(connection)
        last_verified = status.verified_at if status else None
        message = messages.compose_backup_failure(formatter, now, problem, last_verified)
        announce(connection, [message], monitor.options, notifier.names, now)
        notifier.deliver(connection, seconds=DELIVERY_SECONDS)

    try:
        with resolve_database(monitor.settings) as address, Session(address) as session:
            session.use(record_and_send)
    except Interrupted:
        raise
    except SentinelError as error:
        log.warning("the message is sent without the outbox: %s", error)
        message = messages.compose_backup_failure(formatter, now, problem, None)
        for failure in notifier.send_directly(message):
            log.warning("%s", failure)


def _update_status(connection: Connection, now: datetime, state: dict[str, object]) -> None:
    """Store these keys of the backup's status; keep the others."""
    schema.migrate_if_needed(connection)
    service_status.record(connection, "backup", state, now)
