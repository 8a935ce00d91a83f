"""Export days from the database to the archive, before a purge or on request."""

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

from safe_zone import STATEMENT_TIMEOUT_SECONDS, Settings
from sentinel.archive import parquet, store
from sentinel.archive.day_file import DayFile
from sentinel.archive.parquet import CsvExport
from sentinel.archive.store import Archive
from sentinel.errors import ArchiveDamaged, ArchiveUnavailable, ConfigurationError
from sentinel.storage import partitions, service_status
from sentinel.storage.connection import Connection
from sentinel.storage.partitions import Fingerprint
from sentinel.storage.retention import ArchiveBeforeDrop

log = logging.getLogger("sentinel.archiving")
LOCK_TIMEOUT_SECONDS = 5
MAX_PURGE_SECONDS = 60.0  # then a run leaves the remaining days to the next one
# Each attempt reads a whole day out of a database that bills its traffic.
PAUSE_AFTER_FAILURE = timedelta(hours=1)
POSTPONED = "the purge of %d days waits for the archive: %s"

# One exporter at a time, until it has recorded its day: of two at once, the slower one would
# overwrite the record of the other. This is not the writers' lock, because an upload may be slow.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('market-sentinel-archive'))"
TIMEOUTS = """
SELECT set_config('lock_timeout', %(lock)s, true),
       set_config('statement_timeout', %(statement)s, true)
"""

# Numbers only: coin ids may hold any character, and Neon bills each byte of traffic.
READ_DAY: LiteralString = """
COPY (SELECT coin_key, (extract(epoch FROM observed_at) * 1000000)::bigint, price_usd,
    market_cap_usd,
             volume_24h_usd, source
      FROM {day})
TO STDOUT (FORMAT csv)
"""
COIN_IDS = "SELECT coin_key, coin_id FROM sentinel.coins"

RECORD_DAY = """
INSERT INTO sentinel.archived_days (archived_at, rows, size_bytes, source_rows, day, sha256,
    source_digest, location)
VALUES (%(now)s, %(rows)s, %(size_bytes)s, %(source_rows)s, %(day)s, %(sha256)s, %(source_digest)s,
        %(location)s)
ON CONFLICT (day) DO UPDATE
SET archived_at = excluded.archived_at, rows = excluded.rows, size_bytes = excluded.size_bytes,
    source_rows = excluded.source_rows, source_digest = excluded.source_digest,
    sha256 = excluded.sha256,
    location = excluded.location
"""
ARCHIVED_DAYS = """
SELECT day, sha256, source_rows, source_digest
FROM sentinel.archived_days
WHERE location = %(location)s
ORDER BY day
"""

FORGET_DAYS = "DELETE FROM sentinel.archived_days WHERE day = ANY (%(days)s)"


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


def archive_hook(settings: Settings) -> ArchiveBeforeDrop | None:
    """Return the function that archives days before a purge; None if no archive is configured."""
    if not settings.archive_url:
        return None

    def archive_before_drop(
        connection: Connection, days: Sequence[date], now: datetime
    ) -> Mapping[date, Fingerprint]:
        attempted_at, error, location = last_attempt(connection)
        is_recent = attempted_at and abs(now - attempted_at) < PAUSE_AFTER_FAILURE
        if error and is_recent and location == settings.archive_url:
            log.warning(POSTPONED, len(days), error)
            return {}
        archived, error = _archive_days(connection, settings, days, now)
        if error:
            log.warning(POSTPONED, len(days) - len(archived), error)
        with contextlib.suppress(psycopg.errors.DiskFull):  # the days are archived all the same
            record_attempt(connection, error, now, settings.archive_url)
        return archived

    return archive_before_drop


def _archive_days(
    connection: Connection, settings: Settings, days: Sequence[date], now: datetime
) -> tuple[dict[date, Fingerprint], str | None]:
    """Return the days that are archived now, and the error that stopped the others.

    A damaged file stops only its own day. An archive that does not respond stops all days.
    """
    archived: dict[date, Fingerprint] = {}
    message = None
    started = time.monotonic()
    try:
        archive = store.open_configured_archive(settings)
        if archive is None:
            return archived, None
        for day in days:
            if time.monotonic() - started > MAX_PURGE_SECONDS:
                log.info("%d days wait for the next run", len(days) - len(archived))
                break
            try:
                archived |= dict(export_days(connection, archive, [day], now))
            except ArchiveDamaged as error:
                message = message or str(error)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        reason = "another process is exporting, or has locked a day"
        log.warning(POSTPONED, len(days) - len(archived), reason)
    except (ArchiveUnavailable, ConfigurationError) as error:
        message = str(error)
    return archived, message


def export_days(
    connection: Connection, archive: Archive, days: Sequence[date], now: datetime
) -> Iterator[tuple[date, Fingerprint]]:
    """Archive the days whose rows are not archived yet; yields each day once it is archived.

    Raises ArchiveUnavailable, ArchiveDamaged if an existing file is damaged, and psycopg.Error.
    """
    for day in days:
        with connection.transaction():
            timeouts = {
                "lock": f"{LOCK_TIMEOUT_SECONDS}s",
                "statement": f"{STATEMENT_TIMEOUT_SECONDS}s",
            }
            connection.execute(TIMEOUTS, timeouts)
            connection.execute(LOCK)
            fingerprint = _export_day(connection, archive, day, now)
        yield day, fingerprint


def _export_day(connection: Connection, archive: Archive, day: date, now: datetime) -> Fingerprint:
    """Archive a day unless its rows are archived; returns the fingerprint of its rows."""
    try:
        with connection.transaction():
            source = partitions.compute_fingerprint(connection, day)
    except psycopg.errors.UndefinedTable:  # another process archived and dropped it meanwhile
        return Fingerprint(0, "0")
    files, record = _find_day(connection, archive, day)
    existing = [archive.fetch(file, refresh=True) for file in files]
    is_recorded = record and [file.sha256 for file in files] == [record.sha256]
    if (is_recorded and record and record.source == source) or not source.rows:
        return source
    with (
        parquet.temporary_folder() as folder,
        parquet.build_day(_export_csv(connection, day, folder), existing) as (path, rows),
    ):
        if rows < source.rows:
            raise ArchiveUnavailable(f"Of {source.rows:,} rows of {day} only {rows:,} arrived.")
        new = archive.put(path, day, rows)
        size_bytes = path.stat().st_size
    for file in files:
        if file != new:
            archive.remove(file)
    _record_day(connection, archive, new, size_bytes, source, now)
    log.info("%s: %d rows archived in %d bytes", day, rows, size_bytes)
    return source


def _find_day(
    connection: Connection, archive: Archive, day: date
) -> tuple[list[DayFile], ArchivedDay | None]:
    """Return the files of a day and its record. Two databases that share an archive may add files.

    Raises ArchiveUnavailable if the archive is empty although days were archived there.
    """
    stored = archive.files()
    known = {record.day: record for record in load_records(connection, archive)}
    if known and not stored:
        raise ArchiveUnavailable(
            f"The archive {archive.location} holds none of the {len(known)} days that were "
            "archived there: is it the right folder, and is its disk mounted?"
        )
    return [file for file in stored if file.day == day], known.get(day)


def _export_csv(connection: Connection, day: date, folder: Path) -> CsvExport:
    """Write a day's rows to a CSV file.

    This runs after the fingerprint was taken: a row that arrives between the two changes the next
    fingerprint, and the day is exported again.
    """
    statement = sql.SQL(READ_DAY).format(day=partitions.partition_name(day))
    csv = copy_to_file(connection, statement, folder)
    return CsvExport(csv, dict(connection.execute(COIN_IDS).fetchall()))


def copy_to_file(connection: Connection, statement: sql.Composed, folder: Path) -> Path:
    """Write the output of a COPY TO STDOUT to a file in a folder. Raises OSError."""
    path = folder / "rows.csv"
    with path.open("wb") as file, connection.cursor().copy(statement) as copy:
        for block in copy:
            file.write(block)
    return path


def _record_day(
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
    row = {
        "now": now,
        "rows": file.rows,
        "size_bytes": size_bytes,
        "source_rows": source.rows,
        "day": file.day,
        "sha256": file.sha256,
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


def forget_days(connection: Connection, days: Sequence[date]) -> None:
    """Delete the records of days, so that their files are not expected any more."""
    connection.execute(FORGET_DAYS, {"days": list(days)})


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
