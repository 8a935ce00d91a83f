"""The database's records of archived days, and of attempts to archive them.

A record says what the database held of a day when it was archived. So a changed day is exported
again, and a file that is gone is noticed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from sentinel.archive.day_file import DayFile
from sentinel.archive.store import Archive
from sentinel.storage import service_status
from sentinel.storage.connection import Connection
from sentinel.storage.partitions import Fingerprint

RECORD_DAY = """
INSERT INTO sentinel.archived_days (archived_at, rows, size_bytes, source_rows, day, sha256,
                                    source_digest, location)
VALUES (%(now)s, %(rows)s, %(size_bytes)s, %(source_rows)s, %(day)s, %(sha256)s, %(source_digest)s,
        %(location)s)
ON CONFLICT (day, location) DO UPDATE
SET archived_at = excluded.archived_at, rows = excluded.rows, size_bytes = excluded.size_bytes,
    source_rows = excluded.source_rows, source_digest = excluded.source_digest,
    sha256 = excluded.sha256
"""
ARCHIVED_DAYS = """
SELECT day, sha256, source_rows, source_digest
FROM sentinel.archived_days
WHERE location = %(location)s
ORDER BY day
"""
REPLACE_FILE = """
UPDATE sentinel.archived_days SET sha256 = %(new_sha256)s, size_bytes = %(size_bytes)s
WHERE day = %(day)s AND location = %(location)s AND sha256 = %(sha256)s
"""
DAYS_ELSEWHERE = """
SELECT location, day
FROM sentinel.archived_days
WHERE location <> %(location)s AND day <> ALL (%(stored)s)
ORDER BY location, day
"""
FORGET_DAYS = """
DELETE FROM sentinel.archived_days
WHERE day BETWEEN %(first)s AND %(last)s AND day <> ALL (%(stored)s)
RETURNING day
"""


@dataclass(frozen=True, slots=True)
class ArchivedDay:
    """The record of an archived day."""

    day: date
    # The digest of its file.
    sha256: str
    # The number and the digest of the rows that the database held when the day was archived.
    source_rows: int
    source_digest: str

    @property
    def source(self) -> Fingerprint:
        """The fingerprint of the rows that were archived."""
        return Fingerprint(self.source_rows, self.source_digest)


def record_day(
    connection: Connection,
    archive: Archive,
    file: DayFile,
    size_bytes: int,
    source: Fingerprint,
    now: datetime,
) -> None:
    """Record an archived day.

    The day is archived even if the database has no disk space for the record.
    """
    row = file._asdict() | {
        "now": now,
        "size_bytes": size_bytes,
        "source_rows": source.rows,
        "source_digest": source.digest,
        "location": archive.location,
    }
    with contextlib.suppress(psycopg.errors.DiskFull), connection.transaction():
        connection.execute(RECORD_DAY, row)


def load_records(connection: Connection, archive: Archive) -> list[ArchivedDay]:
    """Return the records of the days that this database archived there."""
    with connection.cursor(row_factory=class_row(ArchivedDay)) as cursor:
        return cursor.execute(ARCHIVED_DAYS, {"location": archive.location}).fetchall()


def list_archived(connection: Connection, archive: Archive) -> tuple[list[DayFile], list[date]]:
    """Return the archive's files, and the days that this database archived and that are gone."""
    recorded = [record.day for record in load_records(connection, archive)]
    files = archive.files()  # after the records: a day that is archived meanwhile is not "gone"
    stored = {file.day for file in files}
    return files, [day for day in recorded if day not in stored]


def replace_file(
    connection: Connection, archive: Archive, old: DayFile, new: DayFile, size_bytes: int
) -> None:
    """Record that a file was written anew with the same rows."""
    row = {"new_sha256": new.sha256, "size_bytes": size_bytes, "location": archive.location}
    connection.execute(REPLACE_FILE, {"day": old.day, "sha256": old.sha256} | row)


def list_elsewhere(
    connection: Connection, archive: Archive, stored: Sequence[date]
) -> list[tuple[str, date]]:
    """Return the days that this archive lacks and that were archived elsewhere, with the place.

    `stored` are the days that this archive holds.
    """
    parameters = {"location": archive.location, "stored": list(stored)}
    return connection.execute(DAYS_ELSEWHERE, parameters).fetchall()


def forget_days(
    connection: Connection, stored: Sequence[date], span: tuple[date, date]
) -> list[date]:
    """Delete the records of the days in a span without a file here; returns these days.

    `stored` are the days that the archive holds. Files in other places stay as they are.
    """
    parameters = {"first": span[0], "last": span[1], "stored": list(stored)}
    return sorted({day for (day,) in connection.execute(FORGET_DAYS, parameters)})


def last_attempt(connection: Connection) -> tuple[datetime | None, str | None, str | None]:
    """Return the time, the error and the location of the last attempt to archive days.

    It is stored in the database, because the database may be all that two runs share.
    """
    status = service_status.read(connection, "archive")
    if status is None:
        return None, None, None
    return status.recorded_at, status.state.get("problem"), status.state.get("location")


def record_attempt(
    connection: Connection, error: str | None, now: datetime, location: str | None
) -> None:
    """Record an attempt to archive days for the next run and for `archive.py status`."""
    service_status.record(connection, "archive", {"problem": error, "location": location}, now)
