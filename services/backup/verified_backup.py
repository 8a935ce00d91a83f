"""Making a backup: dump, restore beside it, compare, and only then prune."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from sentinel import files
from sentinel.errors import ConfigurationError, StorageUnavailable
from sentinel.storage import embedded, error_hints, schema
from sentinel.storage.connection import Address, open_connection
from services.backup import checksums, manifest, pg_dump, rotation, tls_relay
from services.backup.checksums import Contents
from services.backup.manifest import PARTIAL, BackupFailed, BackupFile, Manifest

log = logging.getLogger("sentinel.backup")

SCRATCH = "market_sentinel_scratch"
SNAPSHOT = "SELECT pg_export_snapshot()"
DROP_SCRATCH = f"DROP DATABASE IF EXISTS {SCRATCH} WITH (FORCE)"
# From template0, which nobody has added to.
MAKE_SCRATCH = f"CREATE DATABASE {SCRATCH} TEMPLATE template0 ENCODING 'UTF8'"


@contextlib.contextmanager
def lock_backups(state_dir: Path) -> Iterator[None]:
    """One backup or restore at a time. Raises ConfigurationError where another is at work."""
    refusal = ConfigurationError(
        f"Another backup or restore is at work in {state_dir}, or there is no room for a lock: "
        "wait for it, or make room."
    )
    with files.lock_or_refuse(state_dir / "backup", refusal):
        yield


@contextlib.contextmanager
def lock_backup_folder(folder: Path) -> Iterator[None]:
    """The same for a folder that several machines or stacks may back up into, which is made.

    Raises BackupFailed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise BackupFailed(f"{folder} is no folder: name another.") from error
    except OSError as error:
        raise BackupFailed(
            f"The folder {folder} cannot be made ({error.strerror}): name another."
        ) from error
    refusal = BackupFailed(
        f"{folder} cannot be used: another backup is at work there, or nothing can be written. "
        "Wait for it, make room, or name another folder."
    )
    with files.lock_or_refuse(folder / "backup", refusal):
        yield


def save(address: Address, folder: Path, state_dir: Path, now: datetime) -> BackupFile:
    """Dump a database into `folder`, prove the dump, keep it. Nothing is pruned here.

    Raises BackupFailed where it is no backup, StorageUnavailable where the database is away.
    """
    path = folder / rotation.name_of(now)
    draft = path.with_name(path.name + PARTIAL)
    try:
        for leftover in folder.glob(f"*{PARTIAL}"):  # of one that was killed
            if rotation.moment_of(leftover.name.removesuffix(PARTIAL)):
                leftover.unlink(missing_ok=True)
        held, digest, size = _dump(pg_dump.direct(address), draft)
        if manifest.digest_of(draft) != digest:
            raise BackupFailed(f"The disk under {folder} gives back other bytes than it was given.")
        complaints = verify(draft, held, state_dir)
        if complaints:
            raise BackupFailed(
                f"The dump is not what was dumped: {checksums.summarize(complaints)}."
            )
        draft.replace(path)
        backup = BackupFile(path, Manifest(now, identity(address), digest, size, held))
        manifest.write_manifest(backup)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise BackupFailed(
            f"The backup cannot be kept in {folder} ({error.strerror}): make room there, or name "
            "another folder."
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return backup


def identity(address: Address) -> str:
    """Which database that is, for telling backups in one folder apart; without user and secrets."""
    parts = conninfo_to_dict(address.conninfo)
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"{parts.get('dbname') or 'default'} on {host}:{parts.get('port') or 5432}"


def _dump(address: Address, path: Path) -> tuple[Contents, str, int]:
    """Dump and count the same snapshot, so that who writes meanwhile changes neither."""
    try:
        with open_connection(address) as connection:
            if not schema.has_schema(connection):
                raise BackupFailed(f"{address.place} holds nothing: an empty dump is no backup.")
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                [(snapshot,)] = connection.execute(SNAPSHOT).fetchall()
                held = checksums.read(connection)
                if not held.observations and not held.tables.get("transactions", (0,))[0]:
                    raise BackupFailed(
                        f"{address.place} holds neither prices nor a portfolio: an empty dump is "
                        "no backup."
                    )
                with tls_relay.way_to(address) as plain:
                    digest, size = pg_dump.dump(plain, snapshot, path)
            return held, digest, size
    except psycopg.Error as error:
        raise StorageUnavailable(error_hints.explain(error, address.place)) from error


def verify(dump: Path, expected: Contents, state_dir: Path) -> list[str]:
    """Restore a dump into a scratch database of the embedded server and compare; returns what
    differs. Raises BackupFailed where it cannot be restored, StorageUnavailable."""
    with embedded.ensure_running(state_dir) as conninfo:
        try:
            with _scratch(conninfo) as scratch:
                pg_dump.restore(dump, scratch)
                return checksums.differences(expected, held_by(scratch))
        except psycopg.Error as error:
            raise BackupFailed(
                f"The dump could not be tried out: {error_hints.explain(error, SCRATCH)}"
            ) from error


def held_by(address: Address) -> Contents:
    """What a database holds. Raises psycopg.Error."""
    with open_connection(address) as connection, connection.transaction():
        return checksums.read(connection)


@contextlib.contextmanager
def _scratch(conninfo: str) -> Iterator[Address]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(DROP_SCRATCH)  # what a killed one left
        connection.execute(MAKE_SCRATCH)
        try:
            conninfo = psycopg.conninfo.make_conninfo(conninfo, dbname=SCRATCH)
            yield Address(conninfo, "the scratch database")
        finally:
            with contextlib.suppress(psycopg.Error):
                connection.execute(DROP_SCRATCH)


def prune(folder: Path, newest: BackupFile) -> tuple[list[Path], list[Path]]:
    """Delete the backups of the same database that no rule keeps, never the `newest`; returns them,
    and those that were found damaged, which are set aside: they count for nothing.

    Raises OSError.
    """
    sound: dict[datetime, Path] = {}
    damaged: list[Path] = []
    for dump in manifest.dumps_in(folder):
        if dump == newest.path:  # just read back and proven
            sound[newest.manifest.made_at] = dump
            continue
        try:
            found = manifest.check(dump).manifest
        except manifest.Unreadable as trouble:  # another user's, perhaps
            log.warning("%s", trouble)
            continue
        except BackupFailed as trouble:
            log.warning("%s", trouble)
            damaged.append(manifest.set_aside(dump))
            continue
        moment = rotation.moment_of(dump.name)
        if moment is not None and found.database == newest.manifest.database:
            sound[moment] = dump
    kept = rotation.to_keep(sound) | {newest.manifest.made_at}
    removed = [path for moment, path in sound.items() if moment not in kept]
    for path in removed:
        manifest.remove(path)
    return removed, damaged
