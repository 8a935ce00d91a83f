"""Export days from the database to the archive, before a purge or on request."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from safe_zone import STATEMENT_TIMEOUT_SECONDS, Settings
from sentinel.archive import coin_list, parquet, records, store
from sentinel.archive.day_file import DayFile
from sentinel.archive.parquet import CsvExport
from sentinel.archive.records import ArchivedDay
from sentinel.archive.store import Archive
from sentinel.errors import (
    ArchiveDamaged,
    ArchiveUnavailable,
    BudgetExhausted,
    ConfigurationError,
)
from sentinel.storage import egress_budget, partitions
from sentinel.storage.connection import Connection
from sentinel.storage.egress_budget import LargeRead
from sentinel.storage.locks import set_timeouts
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

# Numbers only: coin ids may hold any character, and Neon bills each byte of traffic.
COPY_ROWS: LiteralString = """
COPY (SELECT coin_key, (extract(epoch FROM observed_at) * 1000000)::bigint, price_usd,
             market_cap_usd, volume_24h_usd, source
      FROM {rows})
TO STDOUT (FORMAT csv)
"""
COIN_IDS = "SELECT coin_key, coin_id FROM sentinel.coins"


# Called with the number of a day's rows before they are read; it may raise BudgetExhausted.
CheckRead = Callable[[Connection, int], object]


def archive_hook(settings: Settings) -> ArchiveBeforeDrop | None:
    """Return the function that archives days before a purge; None if no archive is configured."""
    if not settings.archive_url:
        return None

    def archive_before_drop(
        connection: Connection, days: Sequence[date], now: datetime
    ) -> Mapping[date, Fingerprint]:
        attempted_at, error, location = records.last_attempt(connection)
        is_recent = attempted_at and abs(now - attempted_at) < PAUSE_AFTER_FAILURE
        if error and is_recent and location == settings.archive_url:
            log.warning(POSTPONED, len(days), error)
            return {}
        archived, error = _archive_days(connection, settings, days, now)
        if error:
            log.warning(POSTPONED, len(days) - len(archived), error)
        with contextlib.suppress(psycopg.errors.DiskFull):  # the days are archived all the same
            records.record_attempt(connection, error, now, settings.archive_url)
        return archived

    return archive_before_drop


def _archive_days(
    connection: Connection, settings: Settings, days: Sequence[date], now: datetime
) -> tuple[dict[date, Fingerprint], str | None]:
    """Return the days that are archived now, and the error that stopped the others.

    A damaged file stops only its own day. An archive that does not respond stops all days.
    """

    def check_read(connection: Connection, rows: int) -> None:
        size = rows * egress_budget.BYTES_PER_OBSERVATION
        read = LargeRead("Archiving a day", size, "The day stays in the database.")
        egress_budget.check_read(connection, settings, read, now)

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
                archived |= dict(export_days(connection, archive, [day], now, check_read))
            except ArchiveDamaged as error:
                message = message or str(error)
        if archived:
            coin_list.write_coins(connection, archive)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        reason = "another process is exporting, or has locked a day"
        log.warning(POSTPONED, len(days) - len(archived), reason)
    except (ArchiveUnavailable, BudgetExhausted, ConfigurationError) as error:
        message = str(error)
    return archived, message


def estimate_export(connection: Connection, archive: Archive, days: Sequence[date]) -> int:
    """Return about how many bytes an export of days will receive: of those without a record."""
    recorded = {record.day for record in records.load_records(connection, archive)}
    return egress_budget.estimate_copy(connection, set(days) - recorded)


def export_days(
    connection: Connection,
    archive: Archive,
    days: Sequence[date],
    now: datetime,
    check_read: CheckRead = lambda _connection, _rows: None,
) -> Iterator[tuple[date, Fingerprint]]:
    """Archive the days whose rows are not archived yet; yields each day once it is archived.

    `check_read` is called before the rows of a day are read. Raises ArchiveUnavailable,
    ArchiveDamaged if an existing file is damaged, psycopg.Error, and what `check_read` raises.
    """
    for day in days:
        with connection.transaction():
            set_timeouts(connection, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS)
            connection.execute(LOCK)
            fingerprint = _export_day(connection, archive, day, now, check_read)
        yield day, fingerprint


def _export_day(
    connection: Connection, archive: Archive, day: date, now: datetime, check_read: CheckRead
) -> Fingerprint:
    """Archive a day unless its rows are archived; returns the fingerprint of its rows."""
    try:
        with connection.transaction():
            source = partitions.compute_fingerprint(connection, day)
    except psycopg.errors.UndefinedTable:  # another process archived and dropped it meanwhile
        return Fingerprint(0, "0")
    files, record = _find_day(connection, archive, day)
    existing = [archive.fetch(file, refresh=True) for file in files]
    digests = [file.sha256 for file in files]
    is_archived = record and (digests, source) == ([record.sha256], record.source)
    if is_archived or not source.rows:
        return source
    check_read(connection, source.rows)
    with parquet.temporary_folder() as folder:
        # A row that arrives after the fingerprint was taken changes the next one, and the day is
        # exported again.
        csv = copy_rows(connection, partitions.partition_name(day), folder)
        coin_ids: dict[int, str] = dict(connection.execute(COIN_IDS).fetchall())
        path, rows = parquet.build_day(CsvExport(csv, coin_ids), existing, folder)
        if rows < source.rows:
            raise ArchiveUnavailable(f"Of {source.rows:,} rows of {day} only {rows:,} arrived.")
        new = archive.put(path, day, rows)
        size_bytes = path.stat().st_size
    for file in files:
        if file != new:
            archive.remove(file)
    records.record_day(connection, archive, new, size_bytes, source, now)
    log.info("%s: %d rows archived in %d bytes", day, rows, size_bytes)
    return source


def rewrite_file(connection: Connection, archive: Archive, old: DayFile) -> None:
    """Write a file of version 1 anew: in the folder of its month, with nullable columns.

    Does nothing if another process has done so. Raises ArchiveUnavailable, and ArchiveDamaged if
    the file is damaged.
    """
    with parquet.temporary_folder() as folder, connection.transaction():
        connection.execute(LOCK)
        if old not in archive.files():
            return
        path, rows = parquet.rewrite_day(archive.fetch(old, refresh=True), folder)
        new = archive.put(path, old.day, rows)
        records.replace_file(connection, archive, old, new, path.stat().st_size)
        archive.remove(old)  # while locked: another rewrite must not find it


def _find_day(
    connection: Connection, archive: Archive, day: date
) -> tuple[list[DayFile], ArchivedDay | None]:
    """Return the files of a day and its record. Two databases that share an archive may add files.

    Raises ArchiveUnavailable if the archive is empty although days were archived there.
    """
    stored = archive.files()
    known = {record.day: record for record in records.load_records(connection, archive)}
    if known and not stored:
        raise ArchiveUnavailable(
            f"The archive {archive.location} holds none of the {len(known)} days that were "
            "archived there: is it the right folder, and is its disk mounted?"
        )
    return [file for file in stored if file.day == day], known.get(day)


def copy_rows(connection: Connection, rows: sql.Composable, folder: Path) -> Path:
    """Write rows of the database, a table with or without a condition, to a CSV file in a folder.

    Raises OSError.
    """
    statement = sql.SQL(COPY_ROWS).format(rows=rows)
    path = folder / "rows.csv"
    with path.open("wb") as file, connection.cursor().copy(statement) as copy:
        for block in copy:
            file.write(block)
    return path
