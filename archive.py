"""Show, fill and restore the archive of past days (ARCHIVE_URL).

A scheduled run archives each day before it drops it. These commands are not needed for that.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import argparse
import functools
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime

import database
from safe_zone import RETENTION, Settings, load_settings
from sentinel import console
from sentinel.archive import coin_list, export, parquet, records, status, store
from sentinel.archive.day_file import DayFile
from sentinel.archive.status import ArchiveStatus
from sentinel.archive.store import Archive
from sentinel.arguments import IGNORE_BUDGET, add_ignore_budget, day, make_parser
from sentinel.errors import EXIT_OK, EXIT_UNHEALTHY, ArchiveDamaged, ConfigurationError
from sentinel.models import LoadCounts, MarketRow
from sentinel.process import run_as_script
from sentinel.storage import egress_budget, partitions, schema
from sentinel.storage.connection import Connection, Session
from sentinel.storage.egress_budget import LargeRead

log = logging.getLogger("sentinel.archive")
# What the database has observed itself; a restore leaves these rows alone.
OBSERVED_POINTS = """
SELECT c.coin_id, o.observed_at
FROM sentinel.observations o JOIN sentinel.coins c USING (coin_key)
WHERE o.observed_at >= %(day)s::timestamp AT TIME ZONE 'UTC'
  AND o.observed_at < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC' AND o.source = 'observed'
"""
EXPORT_REMEDY = (
    f"Name fewer days with --from and --to, or add {IGNORE_BUDGET}. Runs archive each day "
    "before they drop it."
)
EPILOG = """examples:
  python archive.py status                 days in the archive, missing, lost and overdue days
  python archive.py status --check         the same, with a check of every file's bytes
  python archive.py export                 archive all closed days now, not only before a purge
  python archive.py restore --from 2026-10-01 --to 2026-10-31
  python archive.py rewrite                bring files of version 1 into the present layout
  python archive.py forget --from 2026-10-07 --to 2026-10-07
ARCHIVE_URL names a folder, s3://bucket/folder or gs://bucket/folder."""


def main() -> int:
    """Run the command that the user typed; returns 0, or 6 if the archive is unhealthy."""
    options = _build_parser().parse_args()
    if options.action != "status" and options.first > options.last:
        raise ConfigurationError(f"--from {options.first} is after --to {options.last}")
    settings, now = load_settings(), datetime.now(UTC)
    archive = store.open_configured_archive(settings)
    if archive is None:
        raise ConfigurationError(
            "There is no archive: set ARCHIVE_URL to a folder, s3://bucket/folder or "
            "gs://bucket/folder"
        )
    with schema.open_session(settings) as session:
        if options.action == "status":
            return _show_status(session, archive, options, now)
        span = (options.first, options.last)
        if options.action == "export":
            return _export(session, archive, span, now, settings, options)
        if options.action == "rewrite":
            return _rewrite(session, archive, span)
        if options.action == "forget":
            return _forget(session, archive, span)
        return _restore(session, archive, span, now)


def _build_parser() -> argparse.ArgumentParser:
    parser = make_parser("archive.py", __doc__, EPILOG)
    actions = parser.add_subparsers(dest="action", required=True)
    show = actions.add_parser("status", help="show archived, missing, lost and overdue days")
    show.add_argument("--check", action="store_true", help="read every file and verify its digest")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    for name, text in (
        ("export", "archive closed days that are still in the database"),
        ("restore", "load archived days of the last 60 days into the database again"),
        ("forget", "stop expecting archived days whose files are gone"),
        ("rewrite", "bring files of version 1 into the present layout"),
    ):
        action = actions.add_parser(name, help=text)
        add_day = functools.partial(action.add_argument, metavar="DAY", type=day)
        add_day("--from", dest="first", default=date.min, help="such as 2026-10-01")
        add_day("--to", dest="last", default=date.max, help="the last day, inclusive")
        if name == "export":
            add_ignore_budget(action)
    return parser


# --- status ----------------------------------------------------------------------------------


def _show_status(
    session: Session, archive: Archive, options: argparse.Namespace, now: datetime
) -> int:
    found = session.use(lambda c: status.examine(c, archive, now, read_files=options.check))
    if options.json:
        print(json.dumps(asdict(found), default=str))  # days as 2026-10-01
    else:
        _print_status(found)
    return EXIT_OK if found.is_healthy else EXIT_UNHEALTHY


def _print_status(found: ArchiveStatus) -> None:
    span = f", {found.first} to {found.last}" if found.days else ""
    print(f"{found.location}: {found.days} days with {found.rows:,} observations{span}")
    for text, days in (
        ("have no file (no prices were collected, or the day was not archived)", found.missing),
        ("were archived and are gone: restore their files from a copy, or forget them", found.lost),
        ("are overdue: the purge waits until they are archived", found.overdue),
    ):
        if days:
            print(f"  {len(days)} days {text}: {console.list_first(days)}")
    for location, count in found.elsewhere.items():
        print(
            f"  {count} more days were archived in {location}: set ARCHIVE_URL to it, copy its "
            "files here, or forget them"
        )
    if found.outdated:
        print(f"  {found.outdated} files have the layout of version 1: python archive.py rewrite")
    for name in found.damaged or ():
        print(f"  damaged: {name}")
    if found.damaged is not None and not found.damaged and found.days:
        print("  the bytes of every file match its digest")
    if found.last_error:
        print(f"  the last attempt failed: {found.last_error}")


# --- export, forget, restore -----------------------------------------------------------------


def _export(
    session: Session,
    archive: Archive,
    span: tuple[date, date],
    now: datetime,
    settings: Settings,
    options: argparse.Namespace,
) -> int:
    def run(connection: Connection) -> tuple[int, int]:
        days = sorted(partitions.existing_partitions(connection))
        closed = [day for day in days if day < now.date() and _is_within(day, span)]
        rows = 0
        size = export.estimate_export(connection, archive, closed)
        read = LargeRead("This export", size, EXPORT_REMEDY)
        is_forced = options.ignore_budget
        egress_budget.request_read(connection, settings, read, now, is_forced=is_forced)
        with console.show_progress() as progress:
            exported = export.export_days(connection, archive, closed, now)
            for done, (_, fingerprint) in enumerate(exported, start=1):
                progress("archiving", done, len(closed))
                rows += fingerprint.rows
        coin_list.write_coins(connection, archive)
        # A success ends the pause that a failed attempt of a run has started.
        records.record_attempt(connection, None, now, archive.url)
        return len(closed), rows

    days, rows = session.use(run)
    print(f"{days} closed days with {rows:,} observations are in the archive {archive.location}.")
    return EXIT_OK


def _forget(session: Session, archive: Archive, span: tuple[date, date]) -> int:
    def run(connection: Connection) -> list[date]:
        stored, _ = records.list_archived(connection, archive)
        return records.forget_days(connection, [file.day for file in stored], span)

    days = console.list_first(session.use(run))
    print(f"Forgotten: {days or 'none of these days is lost'}")
    return EXIT_OK


def _rewrite(session: Session, archive: Archive, span: tuple[date, date]) -> int:
    """Rewrite the files of version 1, except damaged ones."""
    old = [f for f in archive.files() if not f.is_in_month and _is_within(f.day, span)]
    damaged: list[ArchiveDamaged] = []
    with console.show_progress() as progress:
        for done, file in enumerate(old):
            progress("rewriting", done, len(old))
            try:
                session.use(functools.partial(export.rewrite_file, archive=archive, old=file))
            except ArchiveDamaged as error:
                damaged.append(error)
    for each in damaged:
        console.print_error(each)
    session.use(lambda connection: coin_list.write_coins(connection, archive))
    print(f"{len(old) - len(damaged)} files are in the folders of their months now.")
    return EXIT_UNHEALTHY if damaged else EXIT_OK


def _restore(session: Session, archive: Archive, span: tuple[date, date], now: datetime) -> int:
    requested = [file for day, file in sorted(archive.days().items()) if _is_within(day, span)]
    if not requested:
        raise ConfigurationError(f"The archive {archive.location} holds none of these days.")
    oldest = (now - RETENTION).date()
    files = [file for file in requested if file.day >= oldest]
    if len(files) < len(requested):
        log.warning(
            "%d days older than the retention stay in the archive, because the next purge would "
            "drop them again; commands read them from the archive",
            len(requested) - len(files),
        )
    inserted, replaced = restore_days(session, archive, files)
    print(
        f"{len(files)} days restored: {inserted:,} observations were missing, and {replaced:,} "
        "backfilled ones were replaced by observed ones."
    )
    return EXIT_OK


def restore_days(session: Session, archive: Archive, files: Sequence[DayFile]) -> tuple[int, int]:
    """Load archived days into the database; returns how many rows it inserted and replaced.

    An observed row of the database stays as it is. An archived observation replaces a backfilled
    row. Raises ArchiveUnavailable, ArchiveDamaged, StorageUnavailable.
    """
    counts = LoadCounts()
    with console.show_progress() as progress:
        for done, file in enumerate(files):
            progress("restoring", done, len(files))
            rows = parquet.read_day(archive.fetch(file))
            counts += database.run_write_without_purge(
                session, functools.partial(_load_day, file.day, rows)
            )
    return counts.inserted, counts.updated


def _load_day(
    day: date, rows: Sequence[MarketRow], connection: Connection, days: partitions.Days
) -> LoadCounts:
    observed = set(connection.execute(OBSERVED_POINTS, {"day": day}).fetchall())
    lacking = [row for row in rows if (row.coin_id, row.observed_at) not in observed]
    return database.load_batch(connection, lacking, lambda _coin_id: None, days)


def _is_within(day: date, span: tuple[date, date]) -> bool:
    return span[0] <= day <= span[1]


if __name__ == "__main__":
    run_as_script(main)
