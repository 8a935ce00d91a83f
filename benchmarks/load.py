"""Load rows, compared with a plain COPY into the same table and with the original project."""

from __future__ import annotations

import functools
import itertools
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg

import database
from benchmarks.scale import NOW, measure_seconds, print_heading, print_result, server
from safe_zone import ROOT
from sentinel.models import MarketRow
from sentinel.storage import partitions
from sentinel.storage.connection import Address, Session

# Rows, coins and repetitions.
SIZES = ((500, 500, 21), (17_000, 17_000, 9), (1_000_000, 500, 3))
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
        self.connection = psycopg.connect(conninfo)

    def load(self, batch: Iterable[MarketRow]) -> None:
        keys: dict[str, int] = dict(self.connection.execute(KEYS).fetchall())
        with self.connection.cursor().copy(COPY) as copy:
            for row in batch:
                copy.write_row((*row[1:5], keys[row.coin_id]))
        self.connection.commit()


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

        self.connection = psycopg2.connect(conninfo)

    def load(self, batch: Iterable[MarketRow]) -> None:
        from psycopg2.extras import execute_values

        records = [(r[0], "sym", r[2], r[3], r[4], r[1]) for r in batch]
        with self.connection, self.connection.cursor() as cursor:
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


def main() -> None:
    print_heading("Load: thousands of new rows per second over an open connection")
    with server() as conninfo:
        ways: dict[str, Any] = {"copy": _Copy(conninfo), "ours": _Ours(conninfo)}
        for count, coins, times in SIZES:
            prepare(conninfo, coins)
            ways["original"] = _Original(conninfo)
            taken: dict[str, list[float]] = {name: [] for name in ways}
            start = BEGIN
            for _ in range(times):
                for name, way in ways.items():
                    if count > 100_000:
                        prepare(conninfo, coins)
                        start = BEGIN
                    batch = rows(count, coins, start)
                    batch = batch if count > 100_000 else iter(list(batch))
                    taken[name].append(measure_seconds(functools.partial(way.load, batch)))
                    start += STEP * (count // coins)
            _print_speeds(
                count, {name: count / statistics.median(s) / 1e3 for name, s in taken.items()}
            )
        prepare(conninfo, 500)
        grown = _growth_megabytes(conninfo)
        print_result(
            "1,000,000 rows: memory above the idle process",
            f"{grown:.0f} MB",
            "at most 60 MB",
            is_reached=grown <= 60,
        )


def _print_speeds(count: int, speed: dict[str, float]) -> None:
    figure, title = f"{speed['ours']:.0f} k/s", f"{count:,} rows"
    ratio = speed["ours"] / speed["copy"]
    bound = f"at least 0.6 of {speed['copy']:.0f}: {ratio:.2f}"
    print_result(f"{title}, compared with COPY", figure, bound, is_reached=ratio >= 0.6)
    ratio = speed["ours"] / speed["original"]
    bound = f"at least 2 x {speed['original']:.0f}: {ratio:.2f}"
    print_result(f"{title}, compared with the original", figure, bound, is_reached=ratio >= 2)


MEMORY = """
import resource, sys
from benchmarks import load
conninfo = sys.argv[1]
ours = load._Ours(conninfo)
ours.load(load.rows(500, 500, load.BEGIN))
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ours.load(load.rows(1_000_000, 500, load.BEGIN + load.STEP))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) / 1e3)
"""


def _growth_megabytes(conninfo: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, conninfo], cwd=ROOT, check=True, capture_output=True
    )
    return float(done.stdout)
