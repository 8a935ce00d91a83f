"""The archive of past days (ARCHIVE_URL): what it holds, filling it, bringing days back.

A scheduled run archives each day before it drops it; nothing here has to be called for that.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

import database
from safe_zone import RETENTION, load_settings
from sentinel import console
from sentinel.archive import export as archiving
from sentinel.archive import parquet, store
from sentinel.archive.store import Archive, DayFile
from sentinel.errors import EXIT_OK, EXIT_UNHEALTHY, ArchiveDamaged, ConfigurationError
from sentinel.models import LoadCounts, MarketRow
from sentinel.process import run_as_script
from sentinel.storage import schema
from sentinel.storage.connection import Connection, Session

log = logging.getLogger("sentinel.archive")
SHOWN = 10
HELD = """
SELECT c.coin_id, o.observed_at
FROM observations o JOIN coins c USING (coin_key)
WHERE o.observed_at >= %(day)s::timestamp AT TIME ZONE 'UTC'
  AND o.observed_at < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC' AND o.source = 'observed'
"""
EPILOG = """examples:
  python archive.py status                 what there is, what is missing, what waits
  python archive.py status --check         the same, every byte of every file read
  python archive.py export                 archive all closed days now, not only before a purge
  python archive.py restore --from 2026-10-01 --to 2026-10-31
  python archive.py forget --from 2026-10-07 --to 2026-10-07
ARCHIVE_URL names a folder, s3://bucket/folder or gs://bucket/folder."""


@dataclass(frozen=True, slots=True)
class Status:
    """What an archive holds; `missing` are days between its first and its last that have no file,
    `lost` days that this database put there and that are gone, `damaged` files that are not what
    was written (None where nobody looked), `waiting` days that should have been purged."""

    place: str
    days: int
    rows: int
    first: date | None
    last: date | None
    missing: Sequence[date]
    lost: Sequence[date]
    damaged: Sequence[str] | None
    waiting: Sequence[date]
    problem: str | None

    @property
    def is_healthy(self) -> bool:
        """Whether nobody has to do anything."""
        return not (self.lost or self.damaged or self.waiting or self.problem)


def examine(
    connection: Connection, archive: Archive, now: datetime, *, reads_files: bool = False
) -> Status:
    """Look at an archive. Raises ArchiveUnavailable where it cannot be listed."""
    files, lost = archiving.survey(connection, archive)
    stored = store.by_day(files)
    over = schema.overdue_partitions(connection, now)
    days_there = sorted(stored)
    first, last = (days_there[0], days_there[-1]) if stored else (None, None)
    span = (last - first).days if first and last else 0
    _, problem, _ = archiving.last_try(connection)
    return Status(
        archive.place,
        len(stored),
        sum(file.rows for file in stored.values()),
        first,
        last,
        [day for n in range(span) if first and (day := first + timedelta(days=n)) not in stored],
        lost,
        _damaged(archive, list(stored.values())) if reads_files else None,
        over,
        problem if over else None,
    )


def _damaged(archive: Archive, files: Sequence[DayFile]) -> list[str]:
    found = []
    with console.show_progress() as progress:
        for done, file in enumerate(files):
            progress("reading", done, len(files))
            try:
                archive.fetch(file, anew=True)
            except ArchiveDamaged as trouble:
                log.warning("%s", trouble)
                found.append(file.name)
    return found


def export(connection: Connection, archive: Archive, days: Sequence[date], now: datetime) -> int:
    """Archive days that are over; returns the rows that are safe then. Raises ArchiveUnavailable,
    ArchiveDamaged."""
    rows = 0
    with console.show_progress() as progress:
        for done, (_, held) in enumerate(archiving.export(connection, archive, days, now), start=1):
            progress("archiving", done, len(days))
            rows += held.rows
    archiving.note_try(connection, None, now, archive.url)
    return rows


def restore(session: Session, archive: Archive, files: Sequence[DayFile]) -> tuple[int, int]:
    """Load what the database lacks of archived days, and what it has only backfilled; returns how
    many observations were missing and how many were replaced.

    Raises ArchiveUnavailable, ArchiveDamaged, StorageUnavailable.
    """
    counts = LoadCounts()
    with console.show_progress() as progress:
        for done, file in enumerate(files):
            progress("restoring", done, len(files))
            rows = parquet.read_day(archive.fetch(file))
            counts += database.add(session, functools.partial(_load, file.day, rows))
    return counts.inserted, counts.updated


def _load(
    day: date, rows: Sequence[MarketRow], connection: Connection, days: schema.Days
) -> LoadCounts:
    held = set(connection.execute(HELD, {"day": day}).fetchall())
    lacking = [row for row in rows if row[:2] not in held]
    return database.load_batch(connection, lacking, lambda _coin_id: None, days)


def main() -> int:
    """Do what the command line says; returns 0, or 6 where somebody has to look."""
    parser = argparse.ArgumentParser(
        prog="archive.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    status = actions.add_parser("status", help="what there is, what is missing, what waits")
    status.add_argument("--check", action="store_true", help="read every file and compare digests")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    for name, text in (
        ("export", "archive closed days that are still in the database"),
        ("restore", "load archived days of the last 60 into the database again"),
        ("forget", "go on without archived days whose files are gone"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("--from", dest="first", metavar="DAY", help="such as 2026-10-01")
        action.add_argument(
            "--to", dest="last", metavar="DAY", help="the last one, itself included"
        )
    arguments = parser.parse_args()
    console.configure_logging()
    settings, now = load_settings(), datetime.now(UTC)
    archive = archiving.archive_of(settings)
    if archive is None:
        raise ConfigurationError(
            "There is no archive: set ARCHIVE_URL to a folder, s3://bucket/folder or "
            "gs://bucket/folder"
        )
    with schema.open_session(settings) as session:
        if arguments.action == "status":
            found = session.use(lambda c: examine(c, archive, now, reads_files=arguments.check))
            print(json.dumps(_plain(found))) if arguments.json else _show(found)
            return EXIT_OK if found.is_healthy else EXIT_UNHEALTHY
        chosen = _span(arguments.first, arguments.last)
        if arguments.action == "export":
            return _export(session, archive, chosen, now)
        if arguments.action == "forget":
            return _forget(session, archive, chosen)
        return _restore(session, archive, chosen, now)


def _export(session: Session, archive: Archive, chosen: tuple[date, date], now: datetime) -> int:
    def run(connection: Connection) -> tuple[int, int]:
        days = sorted(schema.existing_partitions(connection))
        closed = [day for day in days if day < now.date() and _is_in(day, chosen)]
        return len(closed), export(connection, archive, closed, now)

    days, rows = session.use(run)
    print(f"{days} closed days with {rows:,} observations are in the archive {archive.place}.")
    return EXIT_OK


def _forget(session: Session, archive: Archive, chosen: tuple[date, date]) -> int:
    def run(connection: Connection) -> list[date]:
        _, gone = archiving.survey(connection, archive)
        lost = [day for day in gone if _is_in(day, chosen)]
        archiving.forget(connection, lost)
        return lost

    print(f"Forgotten: {_listed(session.use(run)) or 'no day of these is lost'}")
    return EXIT_OK


def _restore(session: Session, archive: Archive, chosen: tuple[date, date], now: datetime) -> int:
    asked = [file for day, file in sorted(archive.days().items()) if _is_in(day, chosen)]
    if not asked:
        raise ConfigurationError(f"The archive {archive.place} holds none of these days.")
    oldest = (now - RETENTION).date()
    files = [file for file in asked if file.day >= oldest]
    if len(files) < len(asked):
        log.warning(
            "%d days older than the retention stay in the archive, where they are read from: the "
            "next purge would drop them again",
            len(asked) - len(files),
        )
    missing, replaced = restore(session, archive, files)
    print(
        f"{len(files)} days restored: {missing:,} observations were missing and {replaced:,} "
        "backfilled ones were observed in truth."
    )
    return EXIT_OK


def _span(first: str | None, last: str | None) -> tuple[date, date]:
    """The days somebody names. Raises ConfigurationError."""
    found = (_day("--from", first, date.min), _day("--to", last, date.max))
    if found[0] > found[1]:
        raise ConfigurationError(f"--from {first} is after --to {last}")
    return found


def _day(flag: str, word: str | None, default: date) -> date:
    try:
        return date.fromisoformat(word) if word else default
    except ValueError as error:
        raise ConfigurationError(f"{flag} '{word}' is no day such as 2026-10-01") from error


def _is_in(day: date, span: tuple[date, date]) -> bool:
    return span[0] <= day <= span[1]


def _plain(found: Status) -> dict[str, object]:
    """The object that `--json` prints."""

    def plain(value: object) -> object:
        if isinstance(value, list):
            return [str(one) for one in value]
        return str(value) if isinstance(value, date) else value

    return {name: plain(value) for name, value in asdict(found).items()}


def _show(found: Status) -> None:
    span = f", {found.first} to {found.last}" if found.days else ""
    print(f"{found.place}: {found.days} days with {found.rows:,} observations{span}")
    for text, days in (
        ("have no file (nothing was collected, or nothing archived)", found.missing),
        (
            "were archived and are gone: bring their files back from a copy, or forget them",
            found.lost,
        ),
        ("should have been purged and wait for the archive", found.waiting),
    ):
        if days:
            print(f"  {len(days)} days {text}: {_listed(days)}")
    for name in found.damaged or ():
        print(f"  damaged: {name}")
    if found.damaged is not None and not found.damaged and found.days:
        print("  every file is what was written")
    if found.problem:
        print(f"  the last try failed: {found.problem}")


def _listed(days: Sequence[date]) -> str:
    more = f" and {len(days) - SHOWN} more" if len(days) > SHOWN else ""
    return ", ".join(map(str, days[:SHOWN])) + more


if __name__ == "__main__":
    run_as_script(main)
