"""Load rows, compared with a plain COPY into the same table and with the original project."""

from __future__ import annotations

import contextlib
import functools
import itertools
import statistics
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

import database
from benchmarks.processes import run_python
from benchmarks.results import Result
from benchmarks.scale import NOW, measure_seconds, server
from sentinel.models import MarketRow
from sentinel.storage import partitions
from sentinel.storage.connection import Address, Session


class Batch(NamedTuple):
    """How many new rows to load, of how many coins, and how often."""

    rows: int
    coins: int
    rounds: int


FULL = (Batch(500, 500, 21), Batch(17_000, 17_000, 9), Batch(1_000_000, 500, 3))
SMOKE = (Batch(20, 20, 1), Batch(60, 20, 1))
# A larger batch gets empty tables, and is made while it is loaded.
MAX_ROWS_IN_MEMORY = 100_000
BEGIN = NOW - timedelta(days=50)
STEP = timedelta(minutes=1)

COPY = (
    "COPY sentinel.observations (observed_at, price_usd, market_cap_usd, volume_24h_usd, "
    "coin_key) FROM STDIN"
)
KEYS = "SELECT coin_id, coin_key FROM sentinel.coins"
# The table of the original project: a serial key, the coin id as text, two more indexes.
ORIGINAL_TABLE = """
CREATE TABLE original (
    id serial PRIMARY KEY, coin_id varchar(255) NOT NULL, symbol varchar(20) NOT NULL,
    price float, cap float, volume float, at timestamptz NOT NULL, UNIQUE (coin_id, at));
CREATE INDEX ON original (at);
"""
ORIGINAL_UPSERT = """
INSERT INTO original (coin_id, symbol, price, cap, volume, at) VALUES %s
ON CONFLICT (coin_id, at) DO UPDATE
SET price = excluded.price, cap = excluded.cap, volume = excluded.volume
"""


def rows(count: int, coins: int, start: datetime) -> Iterator[MarketRow]:
    """Yield `count` rows: all coins at one time, then all coins a step later."""
    names = [f"coin-{n}" for n in range(coins)]
    times = (start + STEP * n for n in itertools.count())
    made = (MarketRow(name, at, 1.5, 1e9, 1e6) for at in times for name in names)
    return itertools.islice(made, count)


class _Copy:
    """The floor: look up the keys and COPY the rows, with no checks and no other tables."""

    def __init__(self, conninfo: str) -> None:
        self.session = psycopg.connect(conninfo)

    def load(self, batch: Iterable[MarketRow]) -> None:
        keys: dict[str, int] = dict(self.session.execute(KEYS).fetchall())
        with self.session.cursor().copy(COPY) as copy:
            for row in batch:
                copy.write_row((*row[1:5], keys[row.coin_id]))
        self.session.commit()


class _Ours:
    def __init__(self, conninfo: str) -> None:
        self.session = Session(Address(conninfo, "benchmark"))
        self.session.use(lambda connection: connection.execute("SELECT 1"))

    def load(self, batch: Iterable[MarketRow]) -> None:
        database.run_write_transaction(
            self.session,
            lambda connection, days: database.load_batch(
                connection, batch, lambda _coin_id: None, days
            ),
            NOW,
        )


class _Original:
    """execute_values as the original project called it, with the default page size of 100."""

    def __init__(self, conninfo: str) -> None:
        import psycopg2

        self.session = psycopg2.connect(conninfo)

    def load(self, batch: Iterable[MarketRow]) -> None:
        from psycopg2.extras import execute_values

        records = [(r[0], "sym", r[2], r[3], r[4], r[1]) for r in batch]
        with self.session, self.session.cursor() as cursor:
            execute_values(cursor, ORIGINAL_UPSERT, records)


def prepare(conninfo: str, coins: int) -> None:
    """Empty the tables, then create every coin and every partition."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("TRUNCATE sentinel.observations, sentinel.coins")
        connection.execute("DROP TABLE IF EXISTS original")
        connection.execute(ORIGINAL_TABLE)
        ours = _Ours(conninfo)
        ours.load(rows(coins, coins, BEGIN - timedelta(days=1)))
        days = [(BEGIN + timedelta(days=n)).date() for n in range(-1, 12)]
        database.run_write_transaction(
            ours.session, lambda opened, have: partitions.create_partitions(opened, have, days), NOW
        )
        ours.session.close()
        connection.execute("VACUUM FULL sentinel.coins")
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def measure(is_smoke: bool) -> Iterator[Result]:
    batches = SMOKE if is_smoke else FULL
    with server() as conninfo:
        for batch in batches:
            yield from _measure_batch(conninfo, batch)
        largest = batches[-1]
        prepare(conninfo, largest.coins)
        grown = _growth_megabytes(conninfo, largest)
    name = f"{largest.rows:,} rows: memory above the idle process"
    yield Result(name, grown, "MB", at_most=60)


def _measure_batch(conninfo: str, batch: Batch) -> Iterator[Result]:
    prepare(conninfo, batch.coins)
    ways: dict[str, Any] = {
        "copy": _Copy(conninfo),
        "ours": _Ours(conninfo),
        "original": _Original(conninfo),
    }
    with contextlib.ExitStack() as stack:
        for way in ways.values():
            stack.callback(way.session.close)
        speed = _measure_speeds(conninfo, batch, ways)
    title, unit = f"{batch.rows:,} new rows", "k rows/s"
    yield Result(title, speed["ours"], unit, floor=speed["copy"], note="COPY, without checks")
    yield Result(f"{title}: share of COPY", speed["ours"] / speed["copy"], "x", at_least=0.6)
    ratio = speed["ours"] / speed["original"]
    yield Result(f"{title}: multiple of the original project", ratio, "x", at_least=2)


def _measure_speeds(conninfo: str, batch: Batch, ways: dict[str, Any]) -> dict[str, float]:
    """Return the thousands of rows per second of each way."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    start = BEGIN
    for _ in range(batch.rounds):
        for name, way in ways.items():
            is_large = batch.rows > MAX_ROWS_IN_MEMORY
            if is_large:
                prepare(conninfo, batch.coins)
                start = BEGIN
            made = rows(batch.rows, batch.coins, start)
            made = made if is_large else iter(list(made))
            taken[name].append(measure_seconds(functools.partial(way.load, made)))
            start += STEP * (batch.rows // batch.coins)
    return {name: batch.rows / statistics.median(s) / 1e3 for name, s in taken.items()}


MEMORY = """
import resource, sys
from benchmarks import load
conninfo, count, coins = sys.argv[1], *map(int, sys.argv[2:])
ours = load._Ours(conninfo)
ours.load(load.rows(coins, coins, load.BEGIN))
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ours.load(load.rows(count, coins, load.BEGIN + load.STEP))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) / 1e3)
"""


def _growth_megabytes(conninfo: str, batch: Batch) -> float:
    used = run_python(["-c", MEMORY, conninfo, str(batch.rows), str(batch.coins)])
    return float(used.stdout)
