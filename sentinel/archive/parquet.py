"""Write and read day files as Parquet, with DuckDB.

The columns are `coin_id` text, `observed_at` timestamptz, `price_usd`, `market_cap_usd`,
`volume_24h_usd` (double) and `source` text, all of them nullable. Texts are dictionary-encoded.
Rows are sorted by coin and time.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sentinel import leftovers
from sentinel.errors import ArchiveUnavailable
from sentinel.models import MarketRow
from sentinel.process import describe_error

if TYPE_CHECKING:
    import duckdb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The rows of the database's CSV: coins by their keys, times in microseconds since 1970.
READ_CSV = """
CREATE TEMP TABLE loaded AS
SELECT coin_id, make_timestamptz(micros) AS observed_at, price_usd, market_cap_usd,
       volume_24h_usd, source
FROM read_csv($csv, header = false, delim = ',', new_line = '\\n', auto_detect = false,
              columns = {'coin_key': 'INTEGER', 'micros': 'BIGINT', 'price_usd': 'DOUBLE',
                         'market_cap_usd': 'DOUBLE', 'volume_24h_usd': 'DOUBLE',
                         'source': 'VARCHAR'})
JOIN (SELECT unnest($keys::integer[]) AS coin_key, unnest($coin_ids::varchar[]) AS coin_id)
     USING (coin_key)
"""
# The rows of one file alone.
READ_FILE = """
CREATE TEMP TABLE loaded AS SELECT * FROM read_parquet(?, hive_partitioning = false)
"""
ADD_FILE = "INSERT INTO loaded SELECT * FROM read_parquet(?, hive_partitioning = false)"

# Adds the rows of some coins from archived files.
ADD_FILES = """
INSERT INTO loaded
SELECT *
FROM read_parquet($paths, hive_partitioning = false)
WHERE coin_id IN (SELECT unnest($coin_ids::varchar[]))
  AND observed_at >= $start AND observed_at < $stop
"""

# Each point once: an observed value wins over a backfilled one, then the database (loaded first,
# so with the lower rowid) over the archive.
MERGE = """
CREATE TEMP TABLE merged AS
SELECT *
FROM loaded
QUALIFY row_number() OVER (PARTITION BY coin_id, observed_at
                           ORDER BY source = 'observed' DESC, rowid) = 1
"""

# Version 2 stores doubles as byte streams and times as differences: a quarter smaller. DuckDB
# declares a column without NULL as NOT NULL; the expressions keep all columns of all days nullable.
WRITE = """
COPY (SELECT {columns} FROM merged ORDER BY coin_id, observed_at)
TO '{path}' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE 4096)
"""
NULLABLE = "CASE WHEN {name} IS NOT NULL THEN {name} END AS {name}"
# The list of coins: those given, and those that only the stored list has.
READ_COINS = """
CREATE TEMP TABLE merged_coins AS
SELECT unnest($coin_ids::varchar[]) AS coin_id, unnest($symbols::varchar[]) AS symbol,
       unnest($names::varchar[]) AS name, unnest($ranks::integer[]) AS rank
"""
ADD_COINS = """
INSERT INTO merged_coins
SELECT coin_id, symbol, name, rank FROM read_parquet(?)
WHERE coin_id NOT IN (SELECT coin_id FROM merged_coins)
"""
WRITE_COINS = """
COPY (SELECT {columns} FROM merged_coins ORDER BY coin_id)
TO '{path}' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)
"""
COIN_COLUMNS = ("coin_id", "symbol", "name", "rank")
COLUMNS = ("coin_id", "observed_at", "price_usd", "market_cap_usd", "volume_24h_usd", "source")

# Counts the rows that only one of the two has, and all written rows.
VIEW_WRITTEN = """
CREATE TEMP VIEW written AS SELECT * FROM read_parquet('{path}', hive_partitioning = false)
"""
COMPARE = """
SELECT (SELECT count(*) FROM (SELECT * FROM merged EXCEPT ALL SELECT * FROM written))
     + (SELECT count(*) FROM (SELECT * FROM written EXCEPT ALL SELECT * FROM merged)),
       (SELECT count(*) FROM written)
"""

READ_POINTS = """
SELECT coin_id, epoch_us(observed_at) / 1e6 AS seconds, price_usd, market_cap_usd, volume_24h_usd,
       source = 'observed' AS is_observed
FROM merged
ORDER BY coin_id, seconds
"""
# The last row of a coin at or before each time.
READ_LAST_PRICES = """
WITH wanted AS (
    SELECT unnest($coin_ids::varchar[]) AS coin_id, unnest($micros::bigint[]) AS micros
), points AS (
    SELECT coin_id, epoch_us(observed_at) AS observed_micros, price_usd
    FROM read_parquet($paths, hive_partitioning = false)
    WHERE coin_id IN (SELECT unnest($coin_ids::varchar[]))
)
SELECT wanted.coin_id, micros, price_usd, observed_micros
FROM wanted ASOF JOIN points
     ON wanted.coin_id = points.coin_id AND wanted.micros >= points.observed_micros
"""
READ_DAY = """
SELECT coin_id, epoch_us(observed_at), price_usd, market_cap_usd, volume_24h_usd, source
FROM read_parquet(?, hive_partitioning = false)
ORDER BY coin_id, observed_at
"""


@functools.cache
def _start_engine() -> duckdb.DuckDBPyConnection:
    """Return this process's DuckDB in memory. Its start takes longer than most reads."""
    import duckdb

    return duckdb.connect()


@contextlib.contextmanager
def _open_engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with temporary tables of its own; errors become ArchiveUnavailable."""
    import duckdb

    try:
        with _start_engine().cursor() as connection:
            yield connection
    except duckdb.Error as error:
        _start_engine.cache_clear()  # an engine is unusable after a fatal error
        raise ArchiveUnavailable(
            f"DuckDB cannot process the archived rows ({describe_error(error)})."
        ) from error


@dataclass(frozen=True, slots=True)
class CsvExport:
    """Rows of the database in a CSV file."""

    # Without header: coin key, microseconds since 1970, price, market cap, volume, source.
    csv: Path
    coin_ids: Mapping[int, str]

    def read_into(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Create the table `loaded` from the file."""
        parameters = {
            "csv": str(self.csv),
            "keys": list(self.coin_ids),
            "coin_ids": list(self.coin_ids.values()),
        }
        engine.execute(READ_CSV, parameters)


def build_day(rows: CsvExport, existing: Sequence[Path], folder: Path) -> tuple[Path, int]:
    """Write the Parquet file of a day to a folder; returns its path and the number of its rows.

    The file holds the exported rows and the rows of the day's existing files. It is read back and
    compared row by row. Raises ArchiveUnavailable without disk space or if a row differs.
    """
    with _open_engine() as engine:
        rows.read_into(engine)
        for file in existing:
            engine.execute(ADD_FILE, [str(file)])
        return _write_day(engine, folder)


def rewrite_day(file: Path, folder: Path) -> tuple[Path, int]:
    """Write the rows of a day's file to a new file in a folder, as `build_day` does."""
    with _open_engine() as engine:
        engine.execute(READ_FILE, [str(file)])
        return _write_day(engine, folder)


def _write_day(engine: duckdb.DuckDBPyConnection, folder: Path) -> tuple[Path, int]:
    """Write the table `loaded`, each point once; returns the file and the number of its rows."""
    path = folder / "day.parquet"
    engine.execute(MERGE)
    for statement in (WRITE, VIEW_WRITTEN):
        engine.execute(_fill(statement, path, COLUMNS))
    [(differing, count)] = engine.execute(COMPARE).fetchall()
    if differing:
        raise ArchiveUnavailable(f"{differing:,} rows differ after they were written.")
    return path, int(count)


def build_coins(coins: Sequence[tuple[str, str, str, int | None]], stored: bytes | None) -> bytes:
    """Return the list of coins as a file, from (coin id, symbol, name, rank) and the stored file.

    Raises ArchiveUnavailable.
    """
    names = ("coin_ids", "symbols", "names", "ranks")
    columns = [list(column) for column in zip(*coins, strict=True)] or [[]] * len(names)
    with temporary_folder() as folder, _open_engine() as engine:
        engine.execute(READ_COINS, dict(zip(names, columns, strict=True)))
        if stored is not None:
            (folder / "stored.parquet").write_bytes(stored)
            engine.execute(ADD_COINS, [str(folder / "stored.parquet")])
        path = folder / "coins.parquet"
        engine.execute(_fill(WRITE_COINS, path, COIN_COLUMNS))
        return path.read_bytes()


def _fill(statement: str, path: Path, columns: Sequence[str]) -> str:
    """Return a statement with a path and columns, for which DuckDB accepts no parameter."""
    nullable = ", ".join(NULLABLE.format(name=name) for name in columns)
    return statement.format(columns=nullable, path=str(path).replace("'", "''"))


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder for unfinished files. Raises ArchiveUnavailable if it cannot be written."""
    try:
        with leftovers.temporary_folder() as folder:
            yield folder
    except OSError as error:
        raise ArchiveUnavailable(
            f"A temporary file cannot be written ({describe_error(error)})."
        ) from error


class Points(NamedTuple):
    """NumPy columns of equal length, sorted by coin and time."""

    coin_id: Any
    # UNIX seconds.
    seconds: Any
    # Market cap and volume are NaN where they are unknown.
    price_usd: Any
    market_cap_usd: Any
    volume_24h_usd: Any
    # False for backfilled points.
    is_observed: Any


def read_points(
    rows: CsvExport, paths: Sequence[Path], coin_ids: Sequence[str], start: datetime, stop: datetime
) -> Points:
    """Return the exported rows, and the rows of these coins in files from `start` to before `stop`.

    Raises ArchiveUnavailable.
    """
    import numpy as np

    with _open_engine() as engine:
        rows.read_into(engine)
        if paths:
            parameters = {
                "paths": [str(path) for path in paths],
                "coin_ids": list(coin_ids),
                "start": start,
                "stop": stop,
            }
            engine.execute(ADD_FILES, parameters)
        engine.execute(MERGE)
        found = engine.execute(READ_POINTS).fetchnumpy()
    return Points(*(np.ma.filled(found[name], np.nan) for name in Points._fields))


def read_last_prices(
    paths: Sequence[Path], wanted: Sequence[tuple[str, datetime]]
) -> list[tuple[str, datetime, float, datetime]]:
    """Return coin, time, price and its time: the last price in the files at or before each time.

    `wanted` has coin ids and times; those without a price are left out. Raises ArchiveUnavailable.
    """
    parameters = {
        "paths": [str(path) for path in paths],
        "coin_ids": [coin_id for coin_id, _ in wanted],
        "micros": [(at - _EPOCH) // timedelta(microseconds=1) for _, at in wanted],
    }
    with _open_engine() as engine:
        rows = engine.execute(READ_LAST_PRICES, parameters).fetchall()
    return [
        (coin_id, _to_time(micros), price_usd, _to_time(observed_micros))
        for coin_id, micros, price_usd, observed_micros in rows
    ]


def _to_time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def read_day(path: Path) -> list[MarketRow]:
    """Return all rows of a day file. Raises ArchiveUnavailable."""
    with _open_engine() as engine:
        rows = engine.execute(READ_DAY, [str(path)]).fetchall()
    return [MarketRow(coin_id, _to_time(at), *rest) for coin_id, at, *rest in rows]
