"""Telling what became of a backup: in the database, where health checks look, and to people."""

from __future__ import annotations

import logging
from datetime import datetime
from zoneinfo import ZoneInfo

from sentinel.errors import Interrupted, SentinelError
from sentinel.notifications import messages, outbox
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.messages import MessageFormatter
from sentinel.storage import schema, service_status
from sentinel.storage.connection import Address, Connection, Session, resolve_database
from services.backup.manifest import BackupFile
from services.settings import MonitorSettings

log = logging.getLogger("sentinel.backup")
DELIVERY_SECONDS = 20.0


def success(address: Address, backup: BackupFile, problem: str | None) -> None:
    """Note a proven backup; `problem` is what was wrong beside it."""
    manifest = backup.manifest
    state = {
        "verified_at": manifest.made_at.isoformat(),
        "file": backup.path.name,
        "bytes": manifest.size,
        "rows": manifest.contents.observations,
        "problem": problem,
    }
    with Session(address) as session:
        session.use(lambda c: _remember(c, manifest.made_at, state))


def failure(monitor: MonitorSettings, notifier: Notifier, problem: str, now: datetime) -> None:
    """Note what failed and tell every target: through the outbox, so that it is told until it
    arrives; past it where the database is away."""
    formatter = MessageFormatter(monitor.options.language, ZoneInfo(monitor.options.time_zone))

    def tell(connection: Connection) -> None:
        _remember(connection, now, {"problem": problem})
        known = service_status.read_backup_status(connection)
        last = known.verified_at if known else None
        message = messages.compose_backup_failure(formatter, now, problem, last)
        outbox.queue_message(connection, message, notifier.names, now)
        notifier.deliver(connection, seconds=DELIVERY_SECONDS)

    try:
        with resolve_database(monitor.settings) as address, Session(address) as session:
            session.use(tell)
    except Interrupted:
        raise
    except SentinelError as trouble:
        log.warning("told past the outbox: %s", trouble)
        for complaint in notifier.send_directly(
            messages.compose_backup_failure(formatter, now, problem, None)
        ):
            log.warning("%s", complaint)


def _remember(connection: Connection, now: datetime, state: dict[str, object]) -> None:
    schema.migrate_if_needed(connection)
    service_status.update(connection, "backup", state, now)
