"""Counts, sizes and the days until the storage is full."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sentinel.storage.connection import Connection
from sentinel.storage.queries.table_health import (
    TableHealth,
    count_duplicates,
    estimate_table_health,
    read_table_health,
)
from tests.conftest import NOW


def _health(rows_last_day: int, database_bytes: int, observation_bytes: int) -> TableHealth:
    oldest = NOW - timedelta(days=10)
    rows = observation_bytes // 100
    return TableHealth(rows, 500, NOW, oldest, rows_last_day, observation_bytes, database_bytes)


def test_table_health_counts_rows_and_bytes(connection: Connection) -> None:
    health = read_table_health(connection, NOW)
    assert (health.rows, health.coins, health.newest) == (216, 3, NOW)
    assert health.oldest == NOW - timedelta(hours=71)
    assert health.rows_last_day == 72
    assert health.bytes_per_row is not None
    assert health.database_bytes > health.observation_bytes > 0
    assert count_duplicates(connection) == 0
    assert estimate_table_health(connection, NOW).fetchone() == health


@pytest.mark.parametrize(
    ("rows_last_day", "days"),
    [
        (48_000, None),  # 61 days of 4.8 MB stay below 500 MB
        (100_000, 40.0),  # 10 MB a day, 400 MB left
        (0, None),
    ],
)
def test_days_until_full_consider_the_retention(rows_last_day: int, days: float | None) -> None:
    health = _health(rows_last_day, 100_000_000, 90_000_000)
    assert health.days_until_full(NOW, 500_000_000) == days


def test_a_full_storage_has_no_days_left_and_a_new_one_no_forecast() -> None:
    assert _health(10**6, 600_000_000, 590_000_000).days_until_full(NOW, 500_000_000) == 0.0
    young = TableHealth(500, 500, NOW, NOW - timedelta(hours=2), 500, 10**6, 10**7)
    assert young.days_until_full(NOW, 500_000_000) is None
