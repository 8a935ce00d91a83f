"""Create a backup: dump the database, verify the dump, then prune older backups."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg.conninfo import conninfo_to_dict

from safe_zone import Settings
from sentinel import files
from sentinel.alerting.announcements import make_delivery_rules
from sentinel.arguments import IGNORE_BUDGET
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.config import ensure_state_dir
from sentinel.errors import EXIT_OK, Interrupted, SentinelError, StorageUnavailable
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.targets import make_targets
from sentinel.storage import egress, egress_budget, error_hints, schema
from sentinel.storage.connection import Address, Connection, resolve_database
from sentinel.storage.egress_budget import LargeRead
from services.backup import checksums, manifest, pruning, report, rotation
from services.backup.checksums import DatabaseContents
from services.backup.dump import write_dump
from services.backup.locks import lock_backup_folder, lock_backups
from services.backup.manifest import PARTIAL_SUFFIX, BackupFailed, BackupFile, BackupManifest
from services.backup.verification import connect_directly, verify_dump
from services.settings import MonitorSettings

log = logging.getLogger("sentinel.backup")

# Taken before the snapshot: a purge that dropped a day in between would leave it listed and gone.
LOCK_OBSERVATIONS = "LOCK TABLE sentinel.observations IN ACCESS SHARE MODE"
REMEDY = (
    "Back up weekly, or give the monitor its own database (docs/deploy-github-actions.md, The "
    f"budget), or add {IGNORE_BUDGET}."
)
HAS_IDENTITY = "SELECT to_regclass('sentinel.database_identity') IS NOT NULL"
READ_IDENTITY = "SELECT identity FROM sentinel.database_identity"


def create_backup(
    monitor: MonitorSettings, folder: Path, now: datetime, *, ignore_budget: bool = False
) -> int:
    """Create and verify a backup, prune older ones and report the result; return 0.

    Raises BackupFailed, StorageUnavailable, or BudgetExhausted unless `ignore_budget` is set, each
    after a message was sent about it, and ConfigurationError if another backup is running.
    """
    rules = make_delivery_rules(monitor)
    notifier = Notifier(make_targets(monitor.alert_urls), SYSTEM_CLOCKS, rules)
    try:
        return _create_and_prune(monitor, notifier, folder, now, ignore_budget=ignore_budget)
    except Interrupted:
        raise
    except OSError as error:
        failure = BackupFailed(f"The backup failed: {error.strerror} ({error.filename}).")
        report.report_failure(monitor, notifier, str(failure), now)
        raise failure from error
    except SentinelError as error:
        report.report_failure(monitor, notifier, str(error), now)
        raise


def _create_and_prune(
    monitor: MonitorSettings,
    notifier: Notifier,
    folder: Path,
    now: datetime,
    *,
    ignore_budget: bool,
) -> int:
    state_dir = ensure_state_dir(monitor.settings.state_dir)
    with (
        lock_backups(state_dir),
        lock_backup_folder(folder),
        resolve_database(monitor.settings) as address,
    ):
        ask = functools.partial(
            request_egress, monitor.settings, now, REMEDY, is_forced=ignore_budget
        )
        backup = make_verified_backup(address, folder, state_dir, now, ask=ask)
        pruned = pruning.prune_backups(folder, backup)
        problem = None
        if pruned.damaged:
            names = ", ".join(path.name for path in pruned.damaged)
            problem = f"Older backups are damaged and were set aside: {names}"
            report.report_failure(monitor, notifier, problem, now)
        report.record_success(address, backup, problem)
        _warn_same_disk(folder, monitor.settings)
    contents = backup.manifest.contents
    print(f"{backup.path}: {contents.observations:,} observations, the newest of {contents.newest}")
    print(
        f"{backup.manifest.size_bytes:,} bytes, restored and compared; "
        f"{len(pruned.deleted)} older backups deleted"
    )
    return EXIT_OK


def _warn_same_disk(folder: Path, settings: Settings) -> None:
    if settings.database_url is None and folder.stat().st_dev == settings.state_dir.stat().st_dev:
        log.warning(
            "%s is on the same disk as the database: a disk that dies takes both. Name a folder on "
            "another one.",
            folder,
        )


def request_egress(
    settings: Settings, now: datetime, remedy: str, connection: Connection, *, is_forced: bool
) -> None:
    """Print what a backup reads from Neon. Raises BudgetExhausted if that does not fit."""
    size = egress_budget.estimate_copy(connection)
    read = LargeRead("This backup", size, remedy, 30, "a nightly one")
    egress_budget.request_read(connection, settings, read, now, is_forced=is_forced)


def make_verified_backup(
    address: Address,
    folder: Path,
    state_dir: Path,
    now: datetime,
    kept_until: datetime | None = None,
    ask: Callable[[Connection], None] = lambda _connection: None,
) -> BackupFile:
    """Dump a database into `folder`, verify the dump and write its manifest.

    `ask` is called before anything is read, and may raise BudgetExhausted. Raises BackupFailed, or
    StorageUnavailable if the database cannot be reached.
    """
    path = folder / rotation.make_file_name(now)
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        _delete_leftovers(folder)
        contents, identity = _dump_database(address, partial, ask)
        verify_dump(partial, contents, state_dir)
        sha256, size_bytes = manifest.compute_sha256(partial), partial.stat().st_size
        files.give_to_folders_owner(partial)
        partial.replace(path)
        database = describe_database(address)
        found = BackupManifest(now, database, sha256, size_bytes, contents, identity, kept_until)
        backup = BackupFile(path, found)
        manifest.write_manifest(backup)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise BackupFailed(
            f"The backup cannot be written to {folder} ({error.strerror}): free disk space there, "
            "or name another folder."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return backup


def _delete_leftovers(folder: Path) -> None:
    """Delete the partial dumps of backups that were killed. Files of others stay."""
    for leftover in folder.glob(f"*{PARTIAL_SUFFIX}"):
        if rotation.parse_file_name(leftover.name.removesuffix(PARTIAL_SUFFIX)):
            leftover.unlink(missing_ok=True)


def describe_database(address: Address) -> str:
    """Return where the database is, without user and password."""
    parts = conninfo_to_dict(address.conninfo)
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"{parts.get('dbname') or 'default'} on {host}:{parts.get('port') or 5432}"


def _dump_database(
    address: Address, path: Path, ask: Callable[[Connection], None]
) -> tuple[DatabaseContents, UUID | None]:
    """Dump a database; return its contents and its identity, None in an older schema.

    All read the same snapshot, so that a process that writes meanwhile changes none.
    """
    try:
        with connect_directly(address) as connection:
            if not schema.has_schema(connection):
                raise BackupFailed(
                    f"{address.display_name} has no tables of Market Sentinel: "
                    "an empty dump is no backup."
                )
            ask(connection)
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                connection.execute(LOCK_OBSERVATIONS)
                contents = _read_contents(connection, address)
                identity = _read_identity(connection)
                write_dump(connection, path)
            egress.record(connection)
            return contents, identity
    except psycopg.Error as error:
        raise StorageUnavailable(error_hints.explain(error, address.display_name)) from error


def _read_contents(connection: Connection, address: Address) -> DatabaseContents:
    """Raises BackupFailed for a database without anything to back up."""
    contents = checksums.read_contents(connection)
    transactions = contents.tables.get("transactions")  # an old schema has no such table
    if not contents.observations and not (transactions and transactions.rows):
        raise BackupFailed(
            f"{address.display_name} holds neither prices nor a portfolio: an empty dump is no "
            "backup."
        )
    return contents


def _read_identity(connection: Connection) -> UUID | None:
    if connection.execute(HAS_IDENTITY).fetchall() == [(False,)]:
        return None
    [(identity,)] = connection.execute(READ_IDENTITY).fetchall()
    return UUID(str(identity))
