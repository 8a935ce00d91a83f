"""Reads, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

import database
from sentinel.models import CoinLabel, Gap, MarketRow, Source
from sentinel.storage import run_records, schema
from sentinel.storage.connection import Connection, Session
from sentinel.storage.queries.gaps import find_gaps
from sentinel.storage.queries.prices import read_latest_prices, read_price_series
from sentinel.storage.queries.table_health import (
    TableHealth,
    count_duplicates,
    read_table_health,
)
from tests.conftest import NOW, FreshDatabase
from verify_db import examine

LABELS = {
    "bitcoin": CoinLabel("btc", "Bitcoin", 1),
    "ethereum": CoinLabel("eth", "Ethereum", 2),
    "obscure": CoinLabel("obs", "Obscure", None),
}


@pytest.fixture
def connection(fresh: FreshDatabase) -> Iterator[Connection]:
    with Session(fresh.address()) as session:
        rows = [
            MarketRow(coin_id, NOW - timedelta(hours=hours), 100.0 - hours, None, 1.0)
            for coin_id in LABELS
            for hours in range(72)
        ]
        database.run_write_transaction(
            session, lambda opened, days: database.load_batch(opened, rows, LABELS.get, days), NOW
        )
        with psycopg.connect(fresh.url, autocommit=True) as opened:
            yield opened


def _record_runs(connection: Connection, *times: datetime) -> None:
    for number, at in enumerate(times):
        connection.execute(
            "INSERT INTO sentinel.pipeline_runs VALUES (%s, %s, %s, 'ingest', 'ok', 3, 3, 3, 0, "
            "0, 0, 0, "
            "'{}', '{}', 1, 1, 0.1, 0, 0, 0)",
            [f"run-{number}", at, at],
        )


def test_the_latest_prices_are_by_rank_the_unranked_last(connection: Connection) -> None:
    found = read_latest_prices(connection, 10)
    assert [price.coin_id for price in found] == ["bitcoin", "ethereum", "obscure"]
    assert (found[0].price_usd, found[0].observed_at, found[0].market_cap_usd) == (100.0, NOW, None)
    assert len(read_latest_prices(connection, 1)) == 1


def test_a_series_is_in_order_and_ends_before_its_stop(connection: Connection) -> None:
    start = NOW - timedelta(days=1)
    found = read_price_series(connection, "bitcoin", start, NOW)
    assert [point.observed_at for point in found] == [start + timedelta(hours=n) for n in range(24)]
    assert (found[0].price_usd, found[0].source) == (76.0, "observed")
    assert read_price_series(connection, "unknown", start, NOW) == []


def test_health_counts_and_measures(connection: Connection) -> None:
    health = read_table_health(connection, NOW)
    assert (health.rows, health.coins, health.newest) == (216, 3, NOW)
    assert health.oldest == NOW - timedelta(hours=71)
    assert health.rows_last_day == 72
    assert health.bytes_per_row is not None
    assert health.database_bytes > health.observation_bytes > 0
    assert count_duplicates(connection) == 0


def _store(fresh: FreshDatabase, coin_id: str, *minutes: int, source: Source = "observed") -> None:
    rows = [
        MarketRow(coin_id, NOW - timedelta(minutes=m), 1.0, None, None, source) for m in minutes
    ]
    with Session(fresh.address()) as session:
        database.run_write_transaction(
            session, lambda opened, days: database.load_batch(opened, rows, LABELS.get, days), NOW
        )


def _found(fresh: FreshDatabase, **options: Any) -> list[Gap]:
    with psycopg.connect(fresh.url) as opened:
        return find_gaps(opened, NOW, cadence=QUARTER, **options)


QUARTER = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
REGULAR = tuple(range(600, 300, -15))


def test_times_are_utc_whatever_the_servers_zone(fresh: FreshDatabase) -> None:
    [(name,)] = fresh.query("SELECT current_database()")
    fresh.query(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
    _store(fresh, "bitcoin", *REGULAR)
    moment = NOW - timedelta(minutes=600)
    with Session(fresh.address()) as session:
        binary = session.use(lambda c: read_price_series(c, "bitcoin", moment, NOW))
        text = session.use(lambda c: read_latest_prices(c, 1))
    for found, at in ((binary[0].observed_at, moment), (text[0].observed_at, NOW - 315 * MINUTE)):
        assert (found, found.utcoffset()) == (at, timedelta())


def test_gaps_are_measured_against_each_coins_observed_cadence(fresh: FreshDatabase) -> None:
    _store(fresh, "bitcoin", *REGULAR, *range(180, 0, -15))
    _store(fresh, "ethereum", *range(600, 0, -60))  # once an hour is its way
    [gap] = _found(fresh)
    assert (gap.coin_id, gap.slot, gap.missed) == ("bitcoin", QUARTER, 8)
    assert (gap.start, gap.stop) == (NOW - timedelta(minutes=315), NOW - timedelta(minutes=180))


def test_repaired_stretches_are_no_gaps_and_do_not_change_the_cadence(
    fresh: FreshDatabase,
) -> None:
    _store(fresh, "bitcoin", *REGULAR, *range(180, 0, -15))
    _store(fresh, "bitcoin", *range(310, 180, -5), source="backfilled")
    assert _found(fresh) == []
    _store(fresh, "bitcoin", 1)
    assert _found(fresh) == []


def test_a_schedule_that_delivers_half_is_no_gap(fresh: FreshDatabase) -> None:
    _store(fresh, "bitcoin", *(27 * n + (n % 3) * 10 for n in range(30)))
    assert _found(fresh) == []


def test_a_coin_with_one_observation_has_no_gap_but_the_silence_since(
    fresh: FreshDatabase,
) -> None:
    _store(fresh, "bitcoin", 300)
    assert _found(fresh) == []
    [gap] = _found(fresh, until=NOW)
    assert (gap.start, gap.stop, gap.slot) == (NOW - timedelta(minutes=300), NOW, QUARTER)


def test_gaps_come_by_rank_and_only_of_the_coins_asked_for(fresh: FreshDatabase) -> None:
    for coin_id in ("obscure", "ethereum", "bitcoin"):
        _store(fresh, coin_id, *REGULAR, *range(180, 0, -15))
    assert [gap.coin_id for gap in _found(fresh)] == ["bitcoin", "ethereum", "obscure"]
    assert [gap.coin_id for gap in _found(fresh, coin_ids=["obscure"])] == ["obscure"]


def test_what_was_given_up_carries_its_reason_also_in_part(fresh: FreshDatabase) -> None:
    _store(fresh, "bitcoin", *REGULAR, *range(180, 0, -15))
    [gap] = _found(fresh)
    with psycopg.connect(fresh.url, autocommit=True) as opened:
        run_records.record_unfillable_gaps(opened, [gap._replace(reason="no_prices")], NOW)
    assert [found.reason for found in _found(fresh)] == ["no_prices"]
    _store(fresh, "bitcoin", 300, source="backfilled")
    assert [found.reason for found in _found(fresh)] == ["no_prices"]


def _health(rows_last_day: int, database_bytes: int, observation_bytes: int) -> TableHealth:
    oldest = NOW - timedelta(days=10)
    rows = observation_bytes // 100
    return TableHealth(rows, 500, NOW, oldest, rows_last_day, observation_bytes, database_bytes)


@pytest.mark.parametrize(
    ("rows_last_day", "days"),
    [
        (48_000, None),  # 61 days of 4.8 MB stay below 500 MB
        (100_000, 40.0),  # 10 MB a day, 400 MB left
        (0, None),
    ],
)
def test_days_until_full_count_what_the_retention_gives_back(
    rows_last_day: int, days: float | None
) -> None:
    health = _health(rows_last_day, 100_000_000, 90_000_000)
    assert health.days_until_full(NOW, 500_000_000) == days


def test_a_full_storage_has_no_days_left_and_a_young_one_no_forecast() -> None:
    assert _health(10**6, 600_000_000, 590_000_000).days_until_full(NOW, 500_000_000) == 0.0
    young = TableHealth(500, 500, NOW, NOW - timedelta(hours=2), 500, 10**6, 10**7)
    assert young.days_until_full(NOW, 500_000_000) is None


def test_an_observation_stored_twice_is_found_and_unhealthy(
    connection: Connection,
) -> None:
    # A damaged index lets duplicates in; here it is taken away.
    connection.execute("ALTER TABLE sentinel.observations DROP CONSTRAINT observations_pkey")
    connection.execute(
        "INSERT INTO sentinel.observations SELECT * FROM sentinel.observations WHERE coin_key = 1"
    )
    health = examine(connection, NOW, timedelta(minutes=15))
    assert health.duplicates == 72
    assert "72 observations are stored twice" in health.problems[0]


def test_a_database_without_the_schema_differs_from_an_empty_one(fresh: FreshDatabase) -> None:
    with psycopg.connect(fresh.url, autocommit=True) as connection:
        assert examine(connection, NOW, timedelta(minutes=15)).problems == [
            "no run has stored anything in this database: run python ingest.py"
        ]
        schema.apply_migrations(connection)
        assert examine(connection, NOW, timedelta(minutes=15)).problems == [
            "no observation is stored: run python ingest.py"
        ]
