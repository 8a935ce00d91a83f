"""Restore a backup: check it, back up what is stored now, replace it, compare."""

from __future__ import annotations

import contextlib
import functools
import logging
import shlex
from datetime import timedelta
from pathlib import Path

from sentinel import console
from sentinel.arguments import IGNORE_BUDGET
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.config import ensure_state_dir
from sentinel.errors import EXIT_OK, ConfigurationError, StorageUnavailable
from sentinel.storage import embedded_location
from sentinel.storage.connection import Address, Session, resolve_database
from sentinel.storage.preconditions import refuse_unusable_database
from sentinel.storage.queries.table_health import count_stored
from services.backup import manifest
from services.backup.checksums import DatabaseContents
from services.backup.create import make_verified_backup, request_egress
from services.backup.locks import lock_backup_folder, lock_backups, lock_monitor
from services.backup.verification import restore_dump, verify_dump
from services.settings import MonitorSettings

log = logging.getLogger("sentinel.backup")
CONFIRMATION = "RESTORE"
# A wrong restore may be noticed after the next nightly backup of the same day.
KEEP_REPLACED_DATA = timedelta(days=7)
REMEDY = f"Add {IGNORE_BUDGET}, or --no-backup to lose what is stored now."
PG_DUMP_MAGIC = b"PGDMP"
PIPE_TO_EMBEDDED = "--file=- {} | python -m sentinel.storage.embedded"


def restore_backup(
    monitor: MonitorSettings,
    dump: Path,
    *,
    should_confirm: bool,
    should_back_up: bool,
    ignore_budget: bool = False,
) -> int:
    """Replace the stored data with a verified backup; return 0.

    With `should_confirm` the user has to agree first. With `should_back_up` the stored data is
    backed up first. Raises BackupFailed if the backup is damaged or cannot be restored, and
    BudgetExhausted if Neon's egress does not suffice for that backup, unless `ignore_budget` is
    set: nothing has changed then.
    """
    state_dir = ensure_state_dir(monitor.settings.state_dir)
    if not dump.is_file():
        raise ConfigurationError(f"{dump} is not a file: name a dump that ./backup_db.sh made.")
    _refuse_pg_dump(dump, has_url=bool(monitor.settings.database_url))
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock_backups(state_dir))
        if should_back_up:  # otherwise the folder may be on a read-only disk
            stack.enter_context(lock_backup_folder(dump.parent))
        stack.enter_context(lock_monitor(state_dir))
        address = stack.enter_context(resolve_database(monitor.settings))
        contents = _check_dump(dump, state_dir)
        with Session(address) as session:  # before the restore replaces anything
            session.use(refuse_unusable_database)
        has_data = _print_stored(address, should_back_up=should_back_up)
        if should_confirm:
            console.confirm(CONFIRMATION, "Nothing was restored")
        if should_back_up and has_data:
            now = SYSTEM_CLOCKS.now().replace(microsecond=0)
            kept_until = now + KEEP_REPLACED_DATA
            ask = functools.partial(
                request_egress, monitor.settings, now, REMEDY, is_forced=ignore_budget
            )
            saved = make_verified_backup(address, dump.parent, state_dir, now, kept_until, ask)
            print(f"backed up the stored data first: {saved.path}")
        restore_dump(dump, contents, address)
    print("Restored and compared: the same observations on every day.")
    return EXIT_OK


def _refuse_pg_dump(dump: Path, *, has_url: bool) -> None:
    """Raises ConfigurationError for a dump of an earlier version, with the command to restore it.

    That version dumped with pg_dump 18, and only its pg_restore or a newer one reads the file.
    """
    with dump.open("rb") as file:
        if file.read(len(PG_DUMP_MAGIC)) != PG_DUMP_MAGIC:
            return
    target = '--dbname="$DATABASE_URL" {}' if has_url else PIPE_TO_EMBEDDED
    program = "pg_restore" if has_url else shlex.quote(str(embedded_location.program("pg_restore")))
    command = f"{program} --no-owner --no-privileges {target.format(shlex.quote(str(dump)))}"
    raise ConfigurationError(
        f"{dump} was made by pg_dump, as earlier versions did. Empty the database (python "
        f"reset_db.py), then restore it with pg_restore of PostgreSQL 18 or newer: {command}"
    )


def _check_dump(dump: Path, state_dir: Path) -> DatabaseContents:
    """Return what a dump holds, after a trial restore. Raises BackupFailed."""
    contents = manifest.check_backup(dump).manifest.contents
    verify_dump(dump, contents, state_dir)
    print(f"{dump.name} is valid: {contents.observations:,} observations until {contents.newest}.")
    return contents


def _print_stored(address: Address, *, should_back_up: bool) -> bool:
    """Print what the restore replaces; return whether there is data to back up.

    Raises StorageUnavailable if the data is to be backed up and cannot be read.
    """
    try:
        with Session(address) as session:
            rows, transactions = session.use(count_stored) or (0, 0)
    except StorageUnavailable as error:
        if should_back_up:
            raise
        log.warning("%s", error)
        print(
            f"The rows of {address.display_name} cannot be counted. All of them will be replaced."
        )
        return False
    portfolio = f" and {transactions:,} transactions" if transactions else ""
    print(
        f"{address.display_name} holds {rows:,} observations{portfolio}. "
        "All of it will be replaced."
    )
    return bool(rows or transactions)
