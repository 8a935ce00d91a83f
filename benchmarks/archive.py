"""A year of 500 coins, ten million rows, in the archive: bytes a row, reading one coin's year."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import psycopg
from psycopg import sql

from benchmarks.results import Result
from benchmarks.scale import (
    FILL_COINS,
    NOW,
    measure_median_seconds,
    measure_seconds,
    scratch_folder,
    server,
)
from sentinel.archive import export, reader, store
from sentinel.archive.store import Archive
from sentinel.storage import partitions, retention


class Size(NamedTuple):
    """How many rows to archive."""

    days: int
    coins: int
    # Observations of a coin in a day.
    slots: int


FULL, SMOKE = Size(365, 500, 55), Size(3, 5, 55)
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


def fill(connection: psycopg.Connection[tuple[object, ...]], size: Size) -> None:
    first = (NOW - timedelta(days=size.days)).replace(hour=0, minute=0)
    connection.execute(FILL_COINS, [size.coins])
    have = set(partitions.existing_partitions(connection))
    for number in range(size.days):
        day = first + timedelta(days=number)
        with connection.transaction():
            partitions.create_partitions(connection, have, [day.date()])
            step = timedelta(days=1) / size.slots
            connection.execute(FILL_DAY, {"day": day, "step": step, "slots": size.slots})


def measure(is_smoke: bool) -> Iterator[Result]:
    size = SMOKE if is_smoke else FULL
    with (
        server() as conninfo,
        scratch_folder() as folder,
        psycopg.connect(conninfo, autocommit=True) as connection,
    ):
        fill(connection, size)
        archive = store.open_archive(str(folder / "archive"), folder / "cache")
        days = sorted(day for day in partitions.existing_partitions(connection) if day < NOW.date())

        def export_all() -> None:
            for _ in export.export_days(connection, archive, days, NOW):
                pass

        taken = measure_seconds(export_all)
        yield Result("a day into the archive", taken / len(days), "s")
        for day in days:  # as a purge does: a day that is there is read from the database alone
            connection.execute(
                sql.SQL(retention.DROP_PARTITION).format(partition=partitions.partition_name(day))
            )
        yield _measure_size(archive, size)
        yield _measure_reads(connection, archive, size)


def _measure_size(archive: Archive, size: Size) -> Result:
    files = archive.days().values()
    rows = sum(file.rows for file in files)
    assert rows == size.days * size.coins * size.slots
    assert archive.folder
    stored = sum((archive.folder / file.path).stat().st_size for file in files)
    return Result(f"size of {rows:,} rows", stored / rows, "bytes a row", at_most=25)


def _measure_reads(
    connection: psycopg.Connection[tuple[object, ...]], archive: Archive, size: Size
) -> Result:
    def read_coin() -> None:
        coin_id = f"coin-{random.randrange(size.coins)}"
        start = NOW - timedelta(days=size.days + 1)
        found = reader.read_points(connection, archive, [coin_id], start, NOW)
        assert len(found.seconds) == size.days * size.slots

    def digest_files() -> None:
        for file in archive.days().values():
            assert archive.folder
            hashlib.sha256((archive.folder / file.path).read_bytes())

    read_coin()
    taken, floor = measure_median_seconds(read_coin, 7), measure_median_seconds(digest_files, 7)
    name = f"one coin's {size.days} days, every file checked"
    return Result(name, taken, "s", at_most=0.5, floor=floor, note="to digest every file")
