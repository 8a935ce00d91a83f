"""Days as Parquet, with DuckDB: writing one, comparing it, reading points out of many.

Rows are sorted by coin and time; columns: `coin_id` text, `observed_at` timestamptz, `price`,
`market_cap`, `volume_24h` (USD, double), `source` text.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sentinel.errors import ArchiveUnavailable
from sentinel.models import MarketRow
from sentinel.process import describe_error

if TYPE_CHECKING:
    import duckdb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What the database told, as CSV of numbers: coins by their keys, times in microseconds since 1970.
READ_CSV = """
CREATE TABLE told AS
SELECT coin_id, make_timestamptz(micros) AS observed_at, price, market_cap, volume_24h, source
FROM read_csv($csv, header = false, delim = ',', new_line = '\\n', auto_detect = false,
              columns = {'coin_key': 'INTEGER', 'micros': 'BIGINT', 'price': 'DOUBLE',
                         'market_cap': 'DOUBLE', 'volume_24h': 'DOUBLE', 'source': 'VARCHAR'})
JOIN (SELECT unnest($keys::integer[]) AS coin_key, unnest($coin_ids::varchar[]) AS coin_id)
     USING (coin_key)
"""
ADD_FILE = "INSERT INTO told SELECT * FROM read_parquet(?, hive_partitioning = false)"

# What the archive holds of some coins, beside what the database told.
ADD_FILES = """
INSERT INTO told
SELECT *
FROM read_parquet($paths, hive_partitioning = false)
WHERE coin_id IN (SELECT unnest($coin_ids::varchar[]))
  AND epoch_us(observed_at) >= $start AND epoch_us(observed_at) < $stop
"""

# Each point once: an observed value before a backfilled one, the database's before the archive's.
MERGE = """
CREATE TABLE merged AS
SELECT *
FROM told
QUALIFY row_number() OVER (PARTITION BY coin_id, observed_at
                           ORDER BY source = 'observed' DESC, rowid) = 1
"""

# Doubles as byte streams, times as differences: a quarter smaller than with version 1.
WRITE = """
COPY (SELECT * FROM merged ORDER BY coin_id, observed_at)
TO '{path}' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE 4096)
"""

# Rows that stand in one and not in the other.
OPEN = """
CREATE VIEW written AS SELECT * FROM read_parquet('{path}', hive_partitioning = false)
"""
COMPARE = """
SELECT (SELECT count(*) FROM (SELECT * FROM merged EXCEPT ALL SELECT * FROM written))
     + (SELECT count(*) FROM (SELECT * FROM written EXCEPT ALL SELECT * FROM merged)),
       (SELECT count(*) FROM written)
"""

READ_POINTS = """
SELECT coin_id, epoch_us(observed_at) / 1e6 AS seconds, price, market_cap, volume_24h,
       source = 'observed' AS is_observed
FROM merged
ORDER BY coin_id, seconds
"""
READ_DAY = """
SELECT coin_id, epoch_us(observed_at), price, market_cap, volume_24h, source
FROM read_parquet(?, hive_partitioning = false)
ORDER BY coin_id, observed_at
"""


@contextlib.contextmanager
def _engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB, in memory. Raises ArchiveUnavailable for whatever it stumbles over."""
    import duckdb

    try:
        with duckdb.connect() as engine:
            yield engine
    except duckdb.Error as error:
        raise ArchiveUnavailable(
            f"What is archived, or is to be, cannot be worked on ({describe_error(error)})."
        ) from error


@dataclass(frozen=True, slots=True)
class CsvExport:
    """What the database told: a CSV without header (coin key, microseconds since 1970, price,
    market cap, volume, source) and the ids of its coins by key."""

    csv: Path
    coins: Mapping[int, str]

    def read_into(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Make the table `told` of it."""
        parameters = {
            "csv": str(self.csv),
            "keys": list(self.coins),
            "coin_ids": list(self.coins.values()),
        }
        engine.execute(READ_CSV, parameters)


@contextlib.contextmanager
def build_day(told: CsvExport, already: Sequence[Path]) -> Iterator[tuple[Path, int]]:
    """Yield a Parquet file of a day, merged with what is archived `already`, and its rows, once
    both were compared row by row.

    Raises ArchiveUnavailable where there is no room for it, or it does not hold what it should.
    """
    with drafts() as folder:
        path = folder / "day.parquet"
        with _engine() as engine:
            told.read_into(engine)
            for archived in already:
                engine.execute(ADD_FILE, [str(archived)])
            engine.execute(MERGE)
            for statement in (WRITE, OPEN):  # neither takes a parameter there
                engine.execute(statement.format(path=str(path).replace("'", "''")))
            [(other, rows)] = engine.execute(COMPARE).fetchall()
        if other:
            raise ArchiveUnavailable(f"{other:,} rows did not survive the writing.")
        yield path, int(rows)


@contextlib.contextmanager
def drafts() -> Iterator[Path]:
    """A folder for what is not finished yet. Raises ArchiveUnavailable where there is no room."""
    try:
        with tempfile.TemporaryDirectory(prefix="market-sentinel-") as folder:
            yield Path(folder)
    except OSError as error:
        raise ArchiveUnavailable(f"No room for a draft ({describe_error(error)}).") from error


class Points(NamedTuple):
    """Numpy columns of equal length, sorted by coin and time: ids, UNIX seconds, USD (NaN where
    unknown), and whether each was observed (or backfilled)."""

    coin_id: Any
    seconds: Any
    price: Any
    market_cap: Any
    volume_24h: Any
    is_observed: Any


def read_points(
    told: CsvExport, paths: Sequence[Path], coin_ids: Sequence[str], start: datetime, stop: datetime
) -> Points:
    """What the database told of these coins, and what fetched files hold of them from `start` to
    before `stop`. Raises ArchiveUnavailable where they cannot be read."""
    import numpy as np

    with _engine() as engine:
        told.read_into(engine)
        if paths:
            parameters = {
                "paths": [str(path) for path in paths],
                "coin_ids": list(coin_ids),
                "start": _microseconds(start),
                "stop": _microseconds(stop),
            }
            engine.execute(ADD_FILES, parameters)
        engine.execute(MERGE)
        found = engine.execute(READ_POINTS).fetchnumpy()
    return Points(
        *(
            np.ma.filled(found[name], np.nan) if name in _SUMS else np.asarray(found[name])
            for name in Points._fields
        )
    )


_SUMS = ("price", "market_cap", "volume_24h")


def read_day(path: Path) -> list[MarketRow]:
    """All rows of a fetched day."""
    with _engine() as engine:
        rows = engine.execute(READ_DAY, [str(path)]).fetchall()
    return [
        MarketRow(coin_id, _EPOCH + timedelta(microseconds=at), *rest)
        for coin_id, at, *rest in rows
    ]


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
