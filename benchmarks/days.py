"""Ten million rows in sixty days: bytes a row, the purge, and the reads people do."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import psycopg

import database
from benchmarks.scale import (
    FILL_COINS,
    FILL_DAY,
    FILL_LATEST,
    NOW,
    day_slots,
    measure_median_seconds,
    measure_seconds,
    print_heading,
    print_result,
    server,
)
from sentinel.storage import partitions
from sentinel.storage.connection import Address, Connection, Session
from sentinel.storage.queries.gaps import find_gaps
from sentinel.storage.queries.prices import read_latest_prices
from sentinel.storage.queries.table_health import read_table_health
from services.api.queries.history import read_history

ROWS, DAYS, COINS = 10_000_000, 60, 500
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


def fill(connection: psycopg.Connection[tuple[object, ...]], now: datetime = NOW) -> None:
    """ROWS observations over DAYS days that end at `now`, in the order they would have come."""
    slots, step = day_slots(ROWS, DAYS, COINS)
    first = (now - timedelta(days=DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
    connection.execute(FILL_COINS, [COINS])
    with partitions.writer_transaction(connection) as days:
        have = set(days)
    for number in range(DAYS):
        day = first + timedelta(days=number)
        with connection.transaction():
            partitions.create_partitions(connection, have, [day.date()])
            connection.execute(FILL_DAY, {"day": day, "step": step, "slots": slots})
        partitions.cluster_closed_partition(connection, day)
    connection.execute(FILL_LATEST, [now - timedelta(days=3)])
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")


def _look_for_gaps(connection: Connection) -> None:
    """A run looks for gaps of its 500 coins over seven days, where each has 333 points a day."""
    cadence = timedelta(minutes=15)
    ids = [f"coin-{n}" for n in range(COINS)]

    def look() -> object:
        return find_gaps(connection, NOW, cadence=cadence, coin_ids=ids)

    [(rows,)] = connection.execute(COUNT_WEEK, [NOW - timedelta(days=7), NOW]).fetchall()
    floor = measure_median_seconds(lambda: connection.execute(SORT_WEEK, [NOW]), 5)
    taken = measure_median_seconds(look, 5)
    bound = f"no goal; floor {floor:.2f} s (to sort them)"
    print_result(f"looking for gaps among {rows:,} rows", f"{taken:.2f} s", bound, is_reached=True)


def main() -> None:
    print_heading(f"History: {ROWS:,} rows of {COINS} coins over {DAYS} days")
    with server() as conninfo, psycopg.connect(conninfo, autocommit=True) as connection:
        fill(connection)
        health = read_table_health(connection, NOW)
        size = health.bytes_per_row or 0.0
        print_result(
            "bytes a row on disk, indexes included",
            f"{size:.0f}",
            "at most 110",
            is_reached=size <= 110,
        )
        _reads(connection)
        _look_for_gaps(connection)
        _purge(conninfo, connection)


def _reads(connection: Connection) -> None:
    def last_week() -> None:
        coin_id = f"coin-{random.randrange(COINS)}"
        found = read_history(connection, coin_id, NOW - timedelta(days=7), NOW, "30m")
        assert len(found) > 6 * 48

    def latest() -> None:
        assert len(read_latest_prices(connection, COINS)) == COINS

    floor = measure_median_seconds(lambda: connection.execute("SELECT 1").fetchone(), 200)
    for name, read in (("latest prices of 500 coins", latest), ("a coin's last 7 days", last_week)):
        read()
        taken = measure_median_seconds(read, 200)
        bound = f"p50 under 5 ms; floor {floor * 1e3:.2f} ms (SELECT 1)"
        print_result(name, f"{taken * 1e3:.2f} ms", bound, is_reached=taken < 0.005)


def _purge(conninfo: str, connection: Connection) -> None:
    """The oldest day goes as a run drops it; beside it, the same rows deleted one by one."""
    oldest = min(
        day
        for (name,) in connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits "
            "WHERE inhparent = 'sentinel.observations'::regclass"
        )
        if (day := partitions.day_of_partition(name))
    )
    connection.execute(COPY_DAY.format(day=f"{oldest:%Y%m%d}").encode())
    plain = measure_seconds(lambda: connection.execute(PLAIN_DELETE))
    later = NOW + timedelta(days=1)
    with Session(Address(conninfo, "benchmark")) as session:
        session.use(lambda opened: opened.execute("SELECT 1").fetchone())
        taken = measure_seconds(
            lambda: database.run_write_transaction(session, lambda _connection, _days: None, later)
        )
        gone = session.purged_rows
    dead = connection.execute(DEAD).fetchone()
    assert gone == ROWS / DAYS // COINS * COINS or gone > 160_000
    bound = f"under 0.10 s; a DELETE of them takes {plain:.2f} s"
    print_result(
        f"purge of the oldest day ({gone:,} rows)", f"{taken:.3f} s", bound, is_reached=taken < 0.1
    )
    left = int(str(dead[0])) if dead else -1
    print_result("dead rows left", str(left), "0", is_reached=left == 0)
