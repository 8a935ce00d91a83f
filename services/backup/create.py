"""Create a backup: dump the database, verify the dump, then prune older backups."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.config import ensure_state_dir
from sentinel.errors import EXIT_OK, Interrupted, SentinelError, StorageUnavailable
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.targets import make_targets
from sentinel.storage import error_hints, schema
from sentinel.storage.connection import Address, open_connection, resolve_database
from services.backup import checksums, manifest, pg_dump, pruning, report, rotation, tls_relay
from services.backup.checksums import DatabaseContents
from services.backup.locks import lock_backup_folder, lock_backups
from services.backup.manifest import PARTIAL_SUFFIX, BackupFailed, BackupFile, BackupManifest
from services.backup.verification import verify_dump
from services.settings import MonitorSettings

EXPORT_SNAPSHOT = "SELECT pg_export_snapshot()"


def create_backup(monitor: MonitorSettings, folder: Path, now: datetime) -> int:
    """Create and verify a backup, prune older ones and report the result; return 0.

    Raises BackupFailed or StorageUnavailable after a message was sent about it, and
    ConfigurationError if another backup is running.
    """
    notifier = Notifier(make_targets(monitor.alert_urls), SYSTEM_CLOCKS)
    with _report_failure(monitor, notifier, now):
        return _create_and_prune(monitor, notifier, folder, now)


def _create_and_prune(
    monitor: MonitorSettings, notifier: Notifier, folder: Path, now: datetime
) -> int:
    state_dir = ensure_state_dir(monitor.settings.state_dir)
    with (
        lock_backups(state_dir),
        lock_backup_folder(folder),
        resolve_database(monitor.settings) as address,
    ):
        backup = make_verified_backup(address, folder, state_dir, now)
        pruned = pruning.prune_backups(folder, backup)
        problem = None
        if pruned.damaged:
            names = ", ".join(path.name for path in pruned.damaged)
            problem = f"Older backups are damaged and were set aside: {names}"
            report.report_failure(monitor, notifier, problem, now)
        report.record_success(address, backup, problem)
    contents = backup.manifest.contents
    print(f"{backup.path}: {contents.observations:,} observations, the newest of {contents.newest}")
    print(
        f"{backup.manifest.size_bytes:,} bytes, restored and compared; "
        f"{len(pruned.deleted)} older backups deleted"
    )
    return EXIT_OK


@contextlib.contextmanager
def _report_failure(monitor: MonitorSettings, notifier: Notifier, now: datetime) -> Iterator[None]:
    """Report every error of the block, then raise it."""
    try:
        yield
    except Interrupted:
        raise
    except OSError as error:
        failure = BackupFailed(f"The backup failed: {error.strerror} ({error.filename}).")
        report.report_failure(monitor, notifier, str(failure), now)
        raise failure from error
    except SentinelError as error:
        report.report_failure(monitor, notifier, str(error), now)
        raise


def make_verified_backup(
    address: Address, folder: Path, state_dir: Path, now: datetime
) -> BackupFile:
    """Dump a database into `folder`, verify the dump and write its manifest.

    Raises BackupFailed, or StorageUnavailable if the database cannot be reached.
    """
    path = folder / rotation.make_file_name(now)
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        _delete_leftovers(folder)
        contents, sha256, size_bytes = _dump_database(pg_dump.bypass_pooler(address), partial)
        if manifest.compute_sha256(partial) != sha256:
            raise BackupFailed(
                f"The disk of {folder} returns other bytes than were written: name a folder on "
                "another disk."
            )
        differences = verify_dump(partial, contents, state_dir)
        if differences:
            raise BackupFailed(
                "A database restored from the dump differs from the original: "
                f"{checksums.summarize(differences)}."
            )
        partial.replace(path)
        found = BackupManifest(now, describe_database(address), sha256, size_bytes, contents)
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
    """Return which database that is, without user and password.

    Backups of several databases may share a folder; pruning tells them apart by this text.
    """
    parts = conninfo_to_dict(address.conninfo)
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"{parts.get('dbname') or 'default'} on {host}:{parts.get('port') or 5432}"


def _dump_database(address: Address, path: Path) -> tuple[DatabaseContents, str, int]:
    """Dump a database; return its contents, and the dump's SHA-256 and size in bytes.

    Both read the same snapshot, so that a process that writes meanwhile changes neither.
    """
    try:
        with open_connection(address) as connection:
            if not schema.has_schema(connection):
                raise BackupFailed(
                    f"{address.display_name} has no tables of Market Sentinel: "
                    "an empty dump is no backup."
                )
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                [(snapshot,)] = connection.execute(EXPORT_SNAPSHOT).fetchall()
                contents = checksums.read_contents(connection)
                if not contents.observations and not contents.count_rows("transactions"):
                    raise BackupFailed(
                        f"{address.display_name} holds neither prices nor a portfolio: an empty "
                        "dump is no backup."
                    )
                with tls_relay.relay_tls(address) as plain_address:
                    sha256, size_bytes = pg_dump.dump_database(plain_address, snapshot, path)
            return contents, sha256, size_bytes
    except psycopg.Error as error:
        raise StorageUnavailable(error_hints.explain(error, address.display_name)) from error
