"""Ten million rows in sixty days: bytes a row, the purge, and the reads people do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

import database
from benchmarks.results import Result
from benchmarks.scale import (
    FILL_COINS,
    FILL_DAY,
    FILL_LATEST,
    NOW,
    day_slots,
    measure_median_seconds,
    measure_seconds,
    server,
)
from safe_zone import RETENTION
from sentinel.storage import partitions
from sentinel.storage.connection import Address, Connection, Session
from sentinel.storage.queries.gaps import find_fillable_coins
from sentinel.storage.queries.prices import read_latest_prices
from sentinel.storage.queries.slot_coverage import measure_slot_coverage
from sentinel.storage.queries.table_health import read_table_health
from services.api.queries.history import read_history


class History(NamedTuple):
    """How many rows to store, evenly over the coins and the days before now."""

    rows: int
    days: int
    coins: int


FULL, SMOKE = History(10_000_000, 60, 500), History(12_000, 12, 10)
DEAD = """
SELECT coalesce(sum(n_dead_tup), 0)::int FROM pg_stat_user_tables WHERE relname LIKE 'observations%'
"""
COPY_DAY = "CREATE TABLE one_day AS SELECT * FROM sentinel.observations_{day}"
COUNT_WEEK = (
    "SELECT count(*) FROM sentinel.observations WHERE observed_at >= %s AND observed_at <= %s"
)
SORT_WEEK = """
SELECT count(*)
FROM (SELECT coin_key, observed_at FROM sentinel.observations
      WHERE observed_at >= %s::timestamptz - interval '7 days'
      ORDER BY coin_key, observed_at OFFSET 0) AS sorted
"""
PLAIN_DELETE = "DELETE FROM one_day"


def fill(
    connection: psycopg.Connection[tuple[object, ...]], history: History, now: datetime = NOW
) -> None:
    """Store the history until `now`, in the order in which it would have come.

    Rows of the next days can be stored too.
    """
    slots, step = day_slots(*history)
    first = (now - timedelta(days=history.days)).replace(hour=0, minute=0, second=0, microsecond=0)
    connection.execute(FILL_COINS, [history.coins])
    with partitions.writer_transaction(connection) as days:
        have = set(days)
    for number in range(history.days):
        day = first + timedelta(days=number)
        with connection.transaction():
            partitions.create_partitions(connection, have, [day.date()])
            connection.execute(FILL_DAY, {"day": day, "step": step, "slots": slots})
        partitions.cluster_closed_partition(connection, day)
    with connection.transaction():
        coming = [(now + timedelta(days=n)).date() for n in range(3)]
        partitions.create_partitions(connection, have, coming)
    connection.execute(FILL_LATEST, [now - timedelta(days=3)])
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")


def measure(is_smoke: bool) -> Iterator[Result]:
    history = SMOKE if is_smoke else FULL
    with server() as conninfo, psycopg.connect(conninfo, autocommit=True) as connection:
        fill(connection, history)
        size = read_table_health(connection, NOW).bytes_per_row or 0.0
        name = f"size of {history.rows:,} rows, indexes included"
        yield Result(name, size, "bytes a row", at_most=110)
        yield from _measure_reads(connection, history)
        yield from _measure_gap_search(connection, history)
        yield from _measure_purge(conninfo, connection)


def _measure_reads(connection: Connection, history: History) -> Iterator[Result]:
    def last_week() -> None:
        coin_id = f"coin-{random.randrange(history.coins)}"
        found = read_history(connection, coin_id, NOW - timedelta(days=7), NOW, "30m")
        assert len(found) >= 6 * 48

    def latest() -> None:
        assert len(read_latest_prices(connection, history.coins)) == history.coins

    floor = measure_median_seconds(lambda: connection.execute("SELECT 1").fetchone(), 200)
    coins = f"latest prices of {history.coins} coins"
    for name, read in ((coins, latest), ("a coin's last 7 days", last_week)):
        read()
        taken = measure_median_seconds(read, 200)
        yield Result(name, taken * 1e3, "ms", at_most=5, floor=floor * 1e3, note="SELECT 1")


def _measure_gap_search(connection: Connection, history: History) -> Iterator[Result]:
    """A run looks for gaps of its coins over seven days, and measures the covered coins' slots."""
    ids, cadence = [f"coin-{n}" for n in range(history.coins)], timedelta(minutes=15)

    def look() -> object:
        return find_fillable_coins(connection, NOW, cadence=cadence, coin_ids=ids).fetchall()

    def measure_slots() -> object:
        return measure_slot_coverage(connection, NOW, cadence=cadence, coins=100).fetchall()

    [(rows,)] = connection.execute(COUNT_WEEK, [NOW - timedelta(days=7), NOW]).fetchall()
    floor = measure_median_seconds(lambda: connection.execute(SORT_WEEK, [NOW]), 5)
    taken = measure_median_seconds(look, 5)
    yield Result(f"gap search in {rows:,} rows", taken, "s", floor=floor, note="to sort them")
    taken = measure_median_seconds(measure_slots, 5)
    yield Result("slot coverage of 100 coins", taken, "s", at_most=1)


def _measure_purge(conninfo: str, connection: Connection) -> Iterator[Result]:
    """A run drops the oldest day; beside it, a DELETE of the same rows."""
    oldest = min(partitions.existing_partitions(connection))
    connection.execute(COPY_DAY.format(day=f"{oldest:%Y%m%d}").encode())
    plain = measure_seconds(lambda: connection.execute(PLAIN_DELETE))
    later = datetime.combine(oldest, NOW.timetz()) + RETENTION + timedelta(days=1)
    with Session(Address(conninfo, "benchmark")) as session:
        session.use(lambda opened: opened.execute("SELECT 1").fetchone())
        taken = measure_seconds(
            lambda: database.run_write_transaction(session, lambda _connection, _days: None, later)
        )
        gone = session.purged_rows
    [(dead,)] = connection.execute(DEAD).fetchall()
    assert gone
    yield Result(f"purge of the oldest day, {gone:,} rows", taken, "s", at_most=0.1)
    yield Result("a DELETE of the same rows", plain, "s")
    yield Result("dead rows left", dead, "rows", at_most=0)
