"""`python -m services.backup`: back up the database, and bring a backup back.

`./backup_db.sh` and `./restore_db.sh` call it.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psycopg

from sentinel import console, files
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.config import ensure_state_dir
from sentinel.errors import (
    EXIT_OK,
    ConfigurationError,
    Interrupted,
    SentinelError,
    StorageUnavailable,
)
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.targets import make_targets
from sentinel.process import run_as_script
from sentinel.storage import queries, schema
from sentinel.storage.connection import Address, Connection, Session, resolve_database
from services.backup import checksums, manifest, pg_dump, report, tls_relay, verified_backup
from services.backup.checksums import Contents
from services.backup.manifest import BackupFailed
from services.settings import MonitorSettings, load_monitor_settings

log = logging.getLogger("sentinel.backup")
WORD = "RESTORE"
EPILOG = """examples:
  ./backup_db.sh                          into .sentinel/backups
  ./backup_db.sh /mnt/disk/backups        ends in 0 only when the dump was restored and compared
  ./restore_db.sh /mnt/disk/backups/market-sentinel-20261120T030000Z.dump
  python -m services.backup save          what ./backup_db.sh calls"""


def main() -> int:
    """Do what the command line says; returns 0. Raises BackupFailed (exit code 6)."""
    parser = argparse.ArgumentParser(
        prog="python -m services.backup",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    save = actions.add_parser("save", help="dump, restore beside it, compare, prune")
    save.add_argument("folder", nargs="?", help="default: backups/ in the state folder")
    restore = actions.add_parser("restore", help="put a backup in place of what is stored")
    restore.add_argument("file", type=Path)
    restore.add_argument("--yes", action="store_true", help="do not ask (for scripts)")
    restore.add_argument(
        "--without-backup", action="store_true", help="do not back up first what is stored now"
    )
    arguments = parser.parse_args()
    console.configure_logging(verbose=True)
    monitor = load_monitor_settings()
    if arguments.action == "save":
        if arguments.folder == "":
            raise ConfigurationError("The folder's name is empty: a variable that is not set?")
        folder = Path(arguments.folder or monitor.settings.state_dir / "backups")
        return back_up(monitor, folder.absolute(), _now())
    return restore_backup(
        monitor,
        arguments.file.absolute(),
        asks=not arguments.yes,
        saves=not arguments.without_backup,
    )


def back_up(monitor: MonitorSettings, folder: Path, now: datetime) -> int:
    """Make, prove and announce a backup; returns 0.

    Raises BackupFailed or StorageUnavailable once that was announced, ConfigurationError where
    another is at work.
    """
    notifier = Notifier(make_targets(monitor.alert_urls), SYSTEM_CLOCKS)
    with _announcing(monitor, notifier, now):
        return _back_up(monitor, notifier, folder, now)


def _back_up(monitor: MonitorSettings, notifier: Notifier, folder: Path, now: datetime) -> int:
    state_dir = ensure_state_dir(monitor.settings.state_dir)
    with (
        verified_backup.lock_backups(state_dir),
        verified_backup.lock_backup_folder(folder),
        resolve_database(monitor.settings) as address,
    ):
        backup = verified_backup.save(address, folder, state_dir, now)
        removed, damaged = verified_backup.prune(folder, backup)
        problem = None
        if damaged:
            names = ", ".join(path.name for path in damaged)
            problem = f"Older backups were found damaged and set aside: {names}"
            report.failure(monitor, notifier, problem, now)
        report.success(address, backup, problem)
    held = backup.manifest.contents
    print(f"{backup.path}: {held.observations:,} observations, the newest of {held.newest}")
    print(f"{backup.manifest.size:,} bytes, restored and compared; {len(removed)} older pruned")
    return EXIT_OK


@contextlib.contextmanager
def _announcing(monitor: MonitorSettings, notifier: Notifier, now: datetime) -> Iterator[None]:
    """Tell of whatever goes wrong, then let it go on."""
    try:
        yield
    except Interrupted:
        raise
    except OSError as error:
        trouble = BackupFailed(f"The backup failed: {error.strerror} ({error.filename}).")
        report.failure(monitor, notifier, str(trouble), now)
        raise trouble from error
    except SentinelError as trouble:
        report.failure(monitor, notifier, str(trouble), now)
        raise


def restore_backup(monitor: MonitorSettings, dump: Path, *, asks: bool, saves: bool) -> int:
    """Put a proven backup in place of what is stored, which is backed up first (`saves`), once a
    person agrees (`asks`); returns 0.

    Raises BackupFailed where the backup is none or cannot be restored: nothing has changed then.
    """
    state_dir = ensure_state_dir(monitor.settings.state_dir)
    if not dump.is_file():
        raise ConfigurationError(f"{dump} is no file: name one that ./backup_db.sh made.")
    with (
        verified_backup.lock_backups(state_dir),
        # Only who saves beside it writes there: it may be a disk that cannot be written to.
        verified_backup.lock_backup_folder(dump.parent) if saves else contextlib.nullcontext(),
        files.lock_or_refuse(state_dir / "monitor", _monitor_runs(state_dir)),
        resolve_database(monitor.settings) as address,
    ):
        backup = manifest.check(dump)
        held = backup.manifest.contents
        if complaints := verified_backup.verify(dump, held, state_dir):
            raise BackupFailed(f"{dump} is not what it was: {checksums.summarize(complaints)}.")
        print(f"{dump.name} is sound: {held.observations:,} observations until {held.newest}.")
        saves = _tell_stored(address, saves=saves) and saves
        if asks:
            console.confirm(WORD, "Nothing restored")
        if saves:
            saved = verified_backup.save(address, dump.parent, state_dir, _now())
            print(f"backed up first: {saved.path}")
        with tls_relay.way_to(pg_dump.direct(address)) as plain:
            pg_dump.restore(dump, plain)
        _compare(address, held)
        with Session(address) as session:
            session.use(schema.migrate_if_needed)
    print("Restored and compared: the same observations, day by day.")
    return EXIT_OK


def _monitor_runs(state_dir: Path) -> ConfigurationError:
    return ConfigurationError(
        f"A monitor runs in {state_dir}: stop it first (make down), or what it writes would be "
        "replaced too."
    )


def _tell_stored(address: Address, *, saves: bool) -> bool:
    """Say what would be replaced; returns whether there is anything to save.

    Raises StorageUnavailable where it cannot be read, unless nobody wants to save it.
    """
    try:
        with Session(address) as session:
            rows, transactions = session.use(_count)
    except StorageUnavailable as trouble:
        if saves:
            raise
        log.warning("%s", trouble)
        print(f"{address.place} cannot be counted. All of it would be replaced.")
        return False
    own = f" and {transactions:,} transactions" if transactions else ""
    print(f"{address.place} holds {rows:,} observations{own}. All would be replaced.")
    return bool(rows or transactions)


def _count(connection: Connection) -> tuple[int, int]:
    if not schema.has_schema(connection):
        return 0, 0
    return queries.count_observations(connection), queries.count_transactions(connection)


def _compare(address: Address, held: Contents) -> None:
    """Raises BackupFailed where the database does not hold what was restored."""
    try:
        found = verified_backup.held_by(address)
    except psycopg.Error as error:
        raise BackupFailed(f"Restored, but it cannot be compared: {error}") from error
    if complaints := checksums.differences(held, found):
        raise BackupFailed(
            f"Restored, but not the same: {checksums.summarize(complaints)}. Does somebody write "
            "there meanwhile?"
        )


def _now() -> datetime:
    return SYSTEM_CLOCKS.now().replace(microsecond=0)


if __name__ == "__main__":
    run_as_script(main)
