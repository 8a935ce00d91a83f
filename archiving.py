"""Days on their way between the database and the archive."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import LiteralString

from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

import archive_files
import tables
from archive_files import Archive, DayFile
from errors import ArchiveDamaged, ArchiveUnavailable, ConfigurationError
from postgres import Connection
from safe_zone import Settings
from tables import Fingerprint, Preserve

log = logging.getLogger("sentinel.archiving")
AFTER_A_FAILURE = timedelta(hours=1)  # each try reads a day out of a database that bills for it

READ_DAY: LiteralString = """
COPY (SELECT c.coin_id, (extract(epoch FROM o.observed_at) * 1000000)::bigint, o.price,
             o.market_cap, o.volume_24h, o.source
      FROM {day} AS o JOIN coins c USING (coin_key))
TO STDOUT (FORMAT csv)
"""

RECORD = """
INSERT INTO archived_days (archived_at, rows, bytes, held_rows, day, sha256, held_digest, place)
VALUES (%(now)s, %(rows)s, %(bytes)s, %(held_rows)s, %(day)s, %(sha256)s, %(held_digest)s,
        %(place)s)
ON CONFLICT (day) DO UPDATE
SET archived_at = excluded.archived_at, rows = excluded.rows, bytes = excluded.bytes,
    held_rows = excluded.held_rows, sha256 = excluded.sha256, held_digest = excluded.held_digest,
    place = excluded.place
"""
RECORDS = """
SELECT day, rows, bytes, sha256, archived_at, held_rows, held_digest
FROM archived_days
WHERE place = %(place)s
ORDER BY day
"""

# How the last try fared. Kept in the database, for the runs that share it may share nothing else.
LAST_TRY = "SELECT beat_at, state ->> 'problem' FROM heartbeats WHERE service = 'archive'"
NOTE_TRY = """
INSERT INTO heartbeats (service, beat_at, state) VALUES ('archive', %(now)s, %(state)s)
ON CONFLICT (service) DO UPDATE SET beat_at = excluded.beat_at, state = excluded.state
"""


@dataclass(frozen=True, slots=True)
class Record:
    """A day that was archived: its file's rows, bytes and digest, and what the database held of it
    at that time."""

    day: date
    rows: int
    bytes: int
    sha256: str
    archived_at: datetime
    held_rows: int
    held_digest: str

    @property
    def held(self) -> Fingerprint:
        """What the database held of it."""
        return Fingerprint(self.held_rows, self.held_digest)


def archive_of(settings: Settings) -> Archive | None:
    """The archive of these settings; None where there is none. Raises ConfigurationError."""
    if not settings.archive_url:
        return None
    return archive_files.open_archive(settings.archive_url, settings.state_dir / "archive")


def preserver(settings: Settings) -> Preserve | None:
    """What puts days away before a purge; None where no archive is set."""
    if not settings.archive_url:
        return None

    def preserve(
        connection: Connection, days: Sequence[date], now: datetime
    ) -> Mapping[date, Fingerprint]:
        tried_at, problem = last_try(connection)
        if problem and tried_at and now - tried_at < AFTER_A_FAILURE:
            log.warning(_POSTPONED, len(days), problem)
            return {}
        safe: dict[date, Fingerprint] = {}
        problem = None
        try:
            archive = archive_of(settings)
            if archive:
                safe.update(export(connection, archive, days, now))
        except (ArchiveUnavailable, ArchiveDamaged, ConfigurationError) as trouble:
            problem = str(trouble)
            log.warning(_POSTPONED, len(days) - len(safe), problem)
        note_try(connection, problem, now)
        return safe

    return preserve


_POSTPONED = "the purge of %d days waits for the archive: %s"


def export(
    connection: Connection, archive: Archive, days: Sequence[date], now: datetime
) -> Iterator[tuple[date, Fingerprint]]:
    """Put days into the archive that are not there as they stand; yields each that is safe.

    Raises ArchiveUnavailable, and ArchiveDamaged where a file that is there is not what was
    written.
    """
    stored = archive.days()
    known = {record.day: record for record in records(connection, archive)}
    if known and not stored:
        raise ArchiveUnavailable(
            f"The archive {archive.place} holds none of the {len(known)} days that were put there: "
            "is it the right folder, and is its disk there?"
        )
    for day in days:
        yield day, _export_day(connection, archive, day, stored.get(day), known.get(day), now)


def _export_day(
    connection: Connection,
    archive: Archive,
    day: date,
    file: DayFile | None,
    record: Record | None,
    now: datetime,
) -> Fingerprint:
    held = tables.fingerprint(connection, day)
    already = archive.fetch(file) if file else None
    is_there = file and record and (record.sha256, record.held) == (file.sha256, held)
    if is_there or not held.rows:
        return held
    with (
        _day_as_csv(connection, day) as (csv, held),
        archive_files.build_day(csv, already) as (path, rows),
    ):
        if rows < held.rows:
            raise ArchiveUnavailable(f"Of {held.rows:,} rows of {day} only {rows:,} arrived.")
        new = archive.put(path, day, rows)
        size = path.stat().st_size
    if file and file != new:
        archive.remove(file)
    connection.execute(
        RECORD,
        {
            "now": now,
            "rows": rows,
            "bytes": size,
            "held_rows": held.rows,
            "day": day,
            "sha256": new.sha256,
            "held_digest": held.digest,
            "place": archive.place,
        },
    )
    log.info("%s: %d rows archived in %d bytes", day, rows, size)
    return held


@contextlib.contextmanager
def _day_as_csv(connection: Connection, day: date) -> Iterator[tuple[Path, Fingerprint]]:
    """A day as a file, and its fingerprint, both of one moment."""
    with tempfile.TemporaryDirectory(prefix="market-sentinel-") as folder:
        path = Path(folder) / "day.csv"
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            held = tables.fingerprint(connection, day)
            statement = sql.SQL(READ_DAY).format(day=tables.partition(day))
            try:
                with path.open("wb") as file, connection.cursor().copy(statement) as copy:
                    for block in copy:
                        file.write(block)
            except OSError as error:
                raise ArchiveUnavailable(
                    f"No room for {day} in {folder} ({error.strerror})."
                ) from error
        yield path, held


def records(connection: Connection, archive: Archive) -> list[Record]:
    """The days that this database put into this archive."""
    with connection.cursor(row_factory=class_row(Record)) as cursor:
        return cursor.execute(RECORDS, {"place": archive.place}).fetchall()


def last_try(connection: Connection) -> tuple[datetime | None, str | None]:
    """When days were last put away, and what that failed of."""
    return connection.execute(LAST_TRY).fetchone() or (None, None)


def note_try(connection: Connection, problem: str | None, now: datetime) -> None:
    """Keep how it fared, for who comes next and for who asks."""
    connection.execute(NOTE_TRY, {"now": now, "state": Jsonb({"problem": problem})})
