"""Shared by the benchmarks: a database, and measured times."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import database
from sentinel.storage import embedded
from sentinel.storage.connection import Address, Session

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def measure_median_seconds(work: Callable[[], object], times: int) -> float:
    return statistics.median(measure_seconds(work) for _ in range(times))


def measure_seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a folder that the embedded server can use too: for root it runs as another user."""
    with tempfile.TemporaryDirectory(prefix="sentinel-bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Yield the connection string of a new embedded PostgreSQL with our tables."""
    with scratch_folder() as folder, embedded.ensure_running(folder) as conninfo:
        with Session(Address(conninfo, "benchmark")) as session:
            database.run_write_transaction(session, lambda _connection, _days: None, NOW)
        yield conninfo


# A history of 60 days, written directly into the partitions.
FILL_COINS = """
INSERT INTO sentinel.coins (coin_id, symbol, name, rank)
SELECT 'coin-' || n, 'c' || n, 'Coin ' || n, n + 1 FROM generate_series(0, %s - 1) AS n
"""
FILL_DAY = """
INSERT INTO sentinel.observations (observed_at, price_usd, market_cap_usd, volume_24h_usd, coin_key)
SELECT %(day)s + slot * %(step)s, random() * 1000, random() * 1e12, random() * 1e9, coin_key
FROM generate_series(0, %(slots)s - 1) AS slot, sentinel.coins
ORDER BY slot, coin_key
"""
FILL_LATEST = """
UPDATE sentinel.coins SET (observed_at, price_usd, market_cap_usd, volume_24h_usd, source) = (
    SELECT observed_at, price_usd, market_cap_usd, volume_24h_usd,
        source FROM sentinel.observations o
    WHERE o.coin_key = coins.coin_key AND observed_at >= %s
    ORDER BY observed_at DESC LIMIT 1)
"""


def day_slots(rows: int, days: int, coins: int) -> tuple[int, timedelta]:
    """Return the observations per coin and day, and the time between them."""
    slots = round(rows / days / coins)
    return slots, timedelta(days=1) / slots
