"""Read price points across the database and the archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import LiteralString

from psycopg import sql

from sentinel.archive import export, parquet, records
from sentinel.archive.day_file import DayFile
from sentinel.archive.parquet import CsvExport, Points
from sentinel.archive.store import Archive
from sentinel.errors import ArchiveUnavailable
from sentinel.storage.connection import Connection
from sentinel.storage.partitions import CANONICAL_OUTPUT, existing_partitions

MAX_ATTEMPTS = 5  # to read files that another process replaces, such as archive.py rewrite

# The points of some coins, for COPY_ROWS.
POINTS: LiteralString = """
sentinel.observations
WHERE coin_key = ANY ({coin_keys}) AND observed_at >= {start} AND observed_at < {stop}
"""
COUNT_POINTS: LiteralString = """
SELECT count(*)
FROM sentinel.observations JOIN sentinel.coins c USING (coin_key)
WHERE c.coin_id = ANY (%(coin_ids)s)
  AND observations.observed_at >= %(start)s AND observations.observed_at < %(stop)s
"""
COIN_KEYS = "SELECT coin_key, coin_id FROM sentinel.coins WHERE coin_id = ANY (%(coin_ids)s)"


def count_points(
    connection: Connection, coin_ids: Sequence[str], start: datetime, stop: datetime
) -> int:
    """Return how many points of these coins the database holds in a span."""
    span = {"coin_ids": list(coin_ids), "start": start, "stop": stop}
    [(count,)] = connection.execute(COUNT_POINTS, span).fetchall()
    return int(count)


def read_points(
    connection: Connection,
    archive: Archive | None,
    coin_ids: Sequence[str],
    start: datetime,
    stop: datetime,
) -> Points:
    """Return the points of coins from `start` to before `stop`, each once.

    Without an archive, only the database is read. Raises ArchiveUnavailable, and ArchiveDamaged if
    a file that is needed is damaged.
    """
    with parquet.temporary_folder() as folder:
        with connection.transaction():
            connection.execute(CANONICAL_OUTPUT)
            keys: dict[int, str] = dict(
                connection.execute(COIN_KEYS, {"coin_ids": list(coin_ids)}).fetchall()
            )
            rows = sql.SQL(POINTS).format(
                coin_keys=sql.Literal(list(keys)), start=sql.Literal(start), stop=sql.Literal(stop)
            )
            csv = export.copy_rows(connection, rows, folder)

        def read(paths: Sequence[Path]) -> Points:
            return parquet.read_points(CsvExport(csv, keys), paths, coin_ids, start, stop)

        # After the database was read: a day that is purged meanwhile is in one of the two.
        return _read_days(connection, archive, start, stop, read) if archive else read([])


def _read_days(
    connection: Connection,
    archive: Archive,
    start: datetime,
    stop: datetime,
    read: Callable[[Sequence[Path]], Points],
) -> Points:
    """Return what `read` makes of verified files of the days that the database does not hold.

    Another process may replace a file after it was listed: then they are listed again.
    """
    attempts = MAX_ATTEMPTS
    while True:
        files = _list_days(connection, archive, start, stop)
        try:
            return read(archive.fetch_all(files))
        except ArchiveUnavailable:
            attempts -= 1
            if not attempts or set(files).issubset(archive.files()):
                raise


def _list_days(
    connection: Connection, archive: Archive, start: datetime, stop: datetime
) -> list[DayFile]:
    """Return the files of the days in a span that the database does not hold.

    Raises ArchiveUnavailable, also if the file of an archived day is gone or in another place: a
    series with a silent gap would be worse.
    """
    # `stop` is excluded: a span that ends at midnight does not need the next day.
    moments = (start, stop - timedelta(microseconds=1))
    first, last = (moment.astimezone(UTC).date() for moment in moments)
    files, gone = records.list_archived(connection, archive)
    held = existing_partitions(connection)
    if lost := [day for day in gone if first <= day <= last and day not in held]:
        raise ArchiveUnavailable(
            f"The archive {archive.location} has lost {len(lost)} days, {lost[0]} to {lost[-1]}: "
            "restore their files from a copy, or continue without them with python archive.py "
            "forget"
        )
    stored = [file.day for file in files]
    for location, day in records.list_elsewhere(connection, archive, stored):
        if first <= day <= last and day not in held:
            raise ArchiveUnavailable(
                f"{day} was archived in {location}, and the archive {archive.location} lacks it: "
                "set ARCHIVE_URL to that place, copy its files here, or continue without them with "
                "python archive.py forget"
            )
    return [file for file in files if first <= file.day <= last and file.day not in held]
