"""Days on their way between the database and the archive."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from safe_zone import STATEMENT_TIMEOUT_SECONDS, Settings
from sentinel.archive import parquet, store
from sentinel.archive.parquet import CsvExport
from sentinel.archive.store import Archive, DayFile
from sentinel.errors import ArchiveDamaged, ArchiveUnavailable, ConfigurationError
from sentinel.storage import schema
from sentinel.storage.connection import Connection
from sentinel.storage.schema import ArchiveBeforeDrop, Fingerprint

log = logging.getLogger("sentinel.archiving")
LOCK_SECONDS = 5
PURGE_SECONDS = 60.0  # after which a run begins with no further day
AFTER_A_FAILURE = timedelta(hours=1)  # each try reads a day out of a database that bills for it

# Who exports a day has it for himself until that is recorded: two at once would both be right, and
# the slower one late. Not the writers' lock: an upload may take its time.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('market-sentinel-archive'))"
TIMEOUTS = """
SELECT set_config('lock_timeout', %(lock)s, true),
       set_config('statement_timeout', %(seconds)s, true)
"""

# Numbers alone: ids may hold anything, and every byte of Neon's traffic counts.
READ_DAY: LiteralString = """
COPY (SELECT coin_key, (extract(epoch FROM observed_at) * 1000000)::bigint, price, market_cap,
             volume_24h, source
      FROM {day})
TO STDOUT (FORMAT csv)
"""
COINS = "SELECT coin_key, coin_id FROM coins"

RECORD = """
INSERT INTO archived_days (archived_at, rows, bytes, source_rows, day, sha256, source_digest, place)
VALUES (%(now)s, %(rows)s, %(bytes)s, %(source_rows)s, %(day)s, %(sha256)s, %(source_digest)s,
        %(place)s)
ON CONFLICT (day) DO UPDATE
SET archived_at = excluded.archived_at, rows = excluded.rows, bytes = excluded.bytes,
    source_rows = excluded.source_rows, source_digest = excluded.source_digest,
    sha256 = excluded.sha256,
    place = excluded.place
"""
RECORDS = """
SELECT day, sha256, source_rows, source_digest
FROM archived_days
WHERE place = %(place)s
ORDER BY day
"""

FORGET = "DELETE FROM archived_days WHERE day = ANY (%(days)s)"

# How the last try fared. Kept in the database, for the runs that share it may share nothing else.
LAST_TRY = """
SELECT beat_at, state ->> 'problem', state ->> 'place' FROM heartbeats WHERE service = 'archive'
"""
NOTE_TRY = """
INSERT INTO heartbeats (service, beat_at, state) VALUES ('archive', %(now)s, %(state)s)
ON CONFLICT (service) DO UPDATE SET beat_at = excluded.beat_at, state = excluded.state
"""


@dataclass(frozen=True, slots=True)
class Record:
    """A day that was archived: its file's digest, and what the database held of it at that time."""

    day: date
    sha256: str
    source_rows: int
    source_digest: str

    @property
    def held(self) -> Fingerprint:
        """What the database held of it."""
        return Fingerprint(self.source_rows, self.source_digest)


def archive_of(settings: Settings) -> Archive | None:
    """The archive of these settings; None where there is none. Raises ConfigurationError."""
    if not settings.archive_url:
        return None
    return store.open_archive(settings.archive_url, settings.state_dir / "archive")


def archive_hook(settings: Settings) -> ArchiveBeforeDrop | None:
    """What puts days away before a purge; None where no archive is set."""
    if not settings.archive_url:
        return None

    def archive_before_drop(
        connection: Connection, days: Sequence[date], now: datetime
    ) -> Mapping[date, Fingerprint]:
        tried_at, problem, place = last_try(connection)
        is_recent = tried_at and abs(now - tried_at) < AFTER_A_FAILURE
        if problem and is_recent and place == settings.archive_url:
            log.warning(_POSTPONED, len(days), problem)
            return {}
        safe, problem = _put_away(connection, settings, days, now)
        if problem:
            log.warning(_POSTPONED, len(days) - len(safe), problem)
        with contextlib.suppress(psycopg.errors.DiskFull):  # it is there, noted or not
            note_try(connection, problem, now, settings.archive_url)
        return safe

    return archive_before_drop


_POSTPONED = "the purge of %d days waits for the archive: %s"


def _put_away(
    connection: Connection, settings: Settings, days: Sequence[date], now: datetime
) -> tuple[dict[date, Fingerprint], str | None]:
    """The days that are in the archive then, and what kept the others from it. A day whose own file
    is no good does not hold up the others; an archive that does not answer does."""
    safe: dict[date, Fingerprint] = {}
    problem = None
    began = time.monotonic()
    try:
        archive = archive_of(settings)
        if archive is None:
            return safe, None
        for day in days:
            if time.monotonic() - began > PURGE_SECONDS:
                log.info("%d days wait for the next run", len(days) - len(safe))
                break
            try:
                safe |= dict(export(connection, archive, [day], now))
            except ArchiveDamaged as trouble:
                problem = problem or str(trouble)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        log.warning(_POSTPONED, len(days) - len(safe), "somebody else is at it, or holds a day")
    except (ArchiveUnavailable, ConfigurationError) as trouble:
        problem = str(trouble)
    return safe, problem


def export(
    connection: Connection, archive: Archive, days: Sequence[date], now: datetime
) -> Iterator[tuple[date, Fingerprint]]:
    """Put days into the archive that are not there as they stand; yields each that is safe.

    Raises ArchiveUnavailable, ArchiveDamaged where a file that is there is not what was written,
    and psycopg.Error.
    """
    for day in days:
        with connection.transaction():
            patience = {"lock": f"{LOCK_SECONDS}s", "seconds": f"{STATEMENT_TIMEOUT_SECONDS}s"}
            connection.execute(TIMEOUTS, patience)
            connection.execute(LOCK)
            held = _export_day(connection, archive, day, now)
        yield day, held


def _export_day(connection: Connection, archive: Archive, day: date, now: datetime) -> Fingerprint:
    try:
        with connection.transaction():
            held = schema.fingerprint(connection, day)
    except psycopg.errors.UndefinedTable:  # dropped meanwhile, by who put it away
        return Fingerprint(0, "0")
    files, record = _look_up(connection, archive, day)
    already = [archive.fetch(file, anew=True) for file in files]
    is_there = record and [file.sha256 for file in files] == [record.sha256]
    if (is_there and record and record.held == held) or not held.rows:
        return held
    with (
        parquet.drafts() as folder,
        parquet.build_day(_tell(connection, day, folder), already) as (path, rows),
    ):
        if rows < held.rows:
            raise ArchiveUnavailable(f"Of {held.rows:,} rows of {day} only {rows:,} arrived.")
        new = archive.put(path, day, rows)
        size = path.stat().st_size
    for file in files:
        if file != new:
            archive.remove(file)
    _note(connection, archive, new, size, held, now)
    log.info("%s: %d rows archived in %d bytes", day, rows, size)
    return held


def _look_up(
    connection: Connection, archive: Archive, day: date
) -> tuple[list[DayFile], Record | None]:
    """A day's files (more than one where two databases share the archive) and what is known of it.

    Raises ArchiveUnavailable where the place is not the one that days were put into.
    """
    stored = archive.files()
    known = {record.day: record for record in records(connection, archive)}
    if known and not stored:
        raise ArchiveUnavailable(
            f"The archive {archive.place} holds none of the {len(known)} days that were put there: "
            "is it the right folder, and is its disk there?"
        )
    return [file for file in stored if file.day == day], known.get(day)


def _tell(connection: Connection, day: date, folder: Path) -> CsvExport:
    """A day as a file, beside its fingerprint: who compares that later finds what changed between.

    Raises ArchiveUnavailable where there is no room.
    """
    statement = sql.SQL(READ_DAY).format(day=schema.partition_name(day))
    csv = copy_out(connection, statement, folder)
    return CsvExport(csv, dict(connection.execute(COINS).fetchall()))


def copy_out(connection: Connection, statement: sql.Composed, folder: Path) -> Path:
    """What a COPY TO STDOUT gives, as a file in a folder. Raises OSError."""
    path = folder / "told.csv"
    with path.open("wb") as file, connection.cursor().copy(statement) as copy:
        for block in copy:
            file.write(block)
    return path


def _note(
    connection: Connection,
    archive: Archive,
    file: DayFile,
    size: int,
    held: Fingerprint,
    now: datetime,
) -> None:
    """Record a day; where there is no room for that, it is in the archive all the same."""
    row = {
        "now": now,
        "rows": file.rows,
        "bytes": size,
        "source_rows": held.rows,
        "day": file.day,
        "sha256": file.sha256,
        "source_digest": held.digest,
        "place": archive.place,
    }
    with contextlib.suppress(psycopg.errors.DiskFull), connection.transaction():
        connection.execute(RECORD, row)


def records(connection: Connection, archive: Archive) -> list[Record]:
    """The days that this database put into this archive."""
    with connection.cursor(row_factory=class_row(Record)) as cursor:
        return cursor.execute(RECORDS, {"place": archive.place}).fetchall()


def survey(connection: Connection, archive: Archive) -> tuple[list[DayFile], list[date]]:
    """The files there are, and the days that this database put there and that are gone."""
    known = [record.day for record in records(connection, archive)]
    files = archive.files()  # behind the records: what is put there meanwhile is not missed
    stored = {file.day for file in files}
    return files, [day for day in known if day not in stored]


def forget(connection: Connection, days: Sequence[date]) -> None:
    """No longer expect these days to be in the archive."""
    connection.execute(FORGET, {"days": list(days)})


def last_try(connection: Connection) -> tuple[datetime | None, str | None, str | None]:
    """When days were last put away, what that failed of, and where they were to go."""
    return connection.execute(LAST_TRY).fetchone() or (None, None, None)


def note_try(connection: Connection, problem: str | None, now: datetime, place: str | None) -> None:
    """Keep how it fared, for who comes next and for who asks."""
    state = Jsonb({"problem": problem, "place": place})
    connection.execute(NOTE_TRY, {"now": now, "state": state})
