"""A year of 500 coins, ten million rows, in the archive: bytes a row, reading one coin's year."""

from __future__ import annotations

import hashlib
import random
from datetime import timedelta

import psycopg
from psycopg import sql

from benchmarks.scale import (
    FILL_COINS,
    NOW,
    measure_median_seconds,
    measure_seconds,
    print_heading,
    print_result,
    scratch_folder,
    server,
)
from sentinel.archive import export, reader, store
from sentinel.archive.store import Archive
from sentinel.storage import partitions, retention

DAYS, COINS, SLOTS = 365, 500, 55
ROWS = DAYS * COINS * SLOTS
# Every 26 minutes, as the measured schedule delivered; whole seconds, prices to the last digit.
FILL_DAY = """
INSERT INTO sentinel.observations (observed_at, price_usd, market_cap_usd, volume_24h_usd, coin_key)
SELECT at, p.usd, p.usd * 1.9e7 * (1 + random() * 1e-4), 1e7 * exp(random() * 0.1), coin_key
FROM generate_series(0, %(slots)s - 1) AS slot, sentinel.coins,
     LATERAL (SELECT date_trunc('second', %(day)s + slot * %(step)s
                                          + random() * interval '60 seconds')) AS t (at),
     LATERAL (SELECT exp(coin_key %% 17 - 6 + 0.1 * sin(extract(epoch FROM at) / 4e4 + coin_key))
                     * (1 + 0.004 * random())) AS p (usd)
"""


def fill(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    first = (NOW - timedelta(days=DAYS)).replace(hour=0, minute=0)
    connection.execute(FILL_COINS, [COINS])
    have = set(partitions.existing_partitions(connection))
    for number in range(DAYS):
        day = first + timedelta(days=number)
        with connection.transaction():
            partitions.create_partitions(connection, have, [day.date()])
            step = timedelta(days=1) / SLOTS
            connection.execute(FILL_DAY, {"day": day, "step": step, "slots": SLOTS})


def main() -> None:
    print_heading(f"Archive: {ROWS:,} rows of {COINS} coins over {DAYS} days")
    with (
        server() as conninfo,
        scratch_folder() as folder,
        psycopg.connect(conninfo, autocommit=True) as connection,
    ):
        fill(connection)
        archive = store.open_archive(str(folder / "archive"), folder / "cache")
        days = sorted(day for day in partitions.existing_partitions(connection) if day < NOW.date())

        def export_all() -> None:
            for _ in export.export_days(connection, archive, days, NOW):
                pass

        taken = measure_seconds(export_all)
        print_result(
            "a day into the archive", f"{taken / len(days):.2f} s", "no goal", is_reached=True
        )
        for day in days:  # as a purge does: a day that is there is read from the database alone
            connection.execute(
                sql.SQL(retention.DROP_PARTITION).format(partition=partitions.partition_name(day))
            )
        _sizes(archive)
        _reads(connection, archive)


def _sizes(archive: Archive) -> None:
    files = archive.days().values()
    rows = sum(file.rows for file in files)
    assert rows == ROWS
    assert archive.folder
    size = sum((archive.folder / file.name).stat().st_size for file in files)
    print_result("bytes a row", f"{size / rows:.1f}", "at most 25", is_reached=size / rows <= 25)


def _reads(connection: psycopg.Connection[tuple[object, ...]], archive: Archive) -> None:
    def year() -> None:
        coin_id = f"coin-{random.randrange(COINS)}"
        start = NOW - timedelta(days=DAYS + 1)
        found = reader.read_points(connection, archive, [coin_id], start, NOW)
        assert len(found.seconds) == DAYS * SLOTS

    def floor() -> None:
        for file in archive.days().values():
            assert archive.folder
            hashlib.sha256((archive.folder / file.name).read_bytes())

    year()
    taken, least = measure_median_seconds(year, 7), measure_median_seconds(floor, 7)
    bound = f"under 0.5 s; floor {least:.2f} s (to digest every file)"
    print_result(
        "one coin's year, every file checked", f"{taken:.2f} s", bound, is_reached=taken < 0.5
    )
