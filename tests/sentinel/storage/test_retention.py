"""Partitions, one for each day, and the retention policy."""

from __future__ import annotations

from datetime import datetime, timedelta

import psycopg
import pytest

import database
from sentinel.models import FxRate, LoadCounts, MarketRow, Rejection
from sentinel.storage import run_records
from sentinel.storage.connection import Connection, Session
from tests.conftest import NOW, FreshDatabase, Load
from tests.support.loading import load_rows, make_rows


def _partitions(fresh: FreshDatabase) -> list[str]:
    found = fresh.query(
        "SELECT relname::text FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
        "WHERE inhparent = 'sentinel.observations'::regclass ORDER BY 1"
    )
    return [name for (name,) in found]


def test_partitions_are_created_ahead_and_for_the_days_of_the_rows(
    load: Load, fresh: FreshDatabase
) -> None:
    load(make_rows(NOW - timedelta(days=59)))
    assert _partitions(fresh) == [
        "observations_20260922",
        "observations_20261120",
        "observations_20261121",
        "observations_20261122",
    ]


def test_a_row_at_midnight_is_stored_in_the_partition_of_the_new_day(
    load: Load, fresh: FreshDatabase
) -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0)
    load([*make_rows(midnight), *make_rows(midnight - timedelta(microseconds=1))])
    assert fresh.query("SELECT count(*) FROM sentinel.observations_20261119") == [(20,)]
    assert fresh.query("SELECT count(*) FROM sentinel.observations_20261120") == [(20,)]


def test_partitions_older_than_the_retention_are_dropped(
    load: Load, session: Session, fresh: FreshDatabase
) -> None:
    load(make_rows(NOW))
    later = NOW + timedelta(days=60)
    load(make_rows(later), later)
    assert session.purged_rows == 0  # the day is still partly within the 60 days
    much_later = NOW + timedelta(days=61)
    load(make_rows(much_later), much_later)
    assert session.purged_rows == 20
    assert "observations_20261120" not in _partitions(fresh)
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(40,)]


def test_the_view_shows_sixty_days_to_the_second(session: Session, fresh: FreshDatabase) -> None:
    [(now,)] = fresh.query("SELECT now()")
    ages = (timedelta(days=60, seconds=5), timedelta(days=59, hours=23))
    rows = [MarketRow(f"coin-{n}", now - age, 1.0, None, None) for n, age in enumerate(ages)]
    load_rows(session, rows, now)
    assert fresh.query("SELECT coin_id FROM market_data") == [("coin-1",)]


def test_a_purge_vacuums_the_small_tables(
    load: Load, session: Session, fresh: FreshDatabase
) -> None:
    load(make_rows(NOW))
    database.run_write_transaction(
        session, lambda connection, _days: _record_small(connection, NOW), NOW
    )
    later = NOW + timedelta(days=62)
    load(make_rows(later), later)
    assert fresh.query("SELECT count(*) FROM sentinel.rejections") == [(0,)]
    assert fresh.query("SELECT count(*) FROM sentinel.fx_rates") == [(0,)]
    dead = fresh.query(
        "SELECT relname, pg_relation_size(oid) FROM pg_class "
        "WHERE relname IN ('rejections', 'fx_rates') AND pg_relation_size(oid) > 0"
    )
    assert dead == []  # vacuum returned the empty pages to the file system


def _record_small(connection: Connection, at: datetime) -> None:
    run_records.record_rejections(
        connection, [Rejection(f"coin-{n}", "null_price", "{}", "run", at) for n in range(5)]
    )
    run_records.record_fx_rates(connection, [FxRate(at, "idr", 16_000.0)])


def test_a_long_read_postpones_the_purge_but_not_the_load(
    load: Load,
    session: Session,
    fresh: FreshDatabase,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sentinel.storage.retention.PURGE_LOCK_TIMEOUT_SECONDS", 0.1)
    load(make_rows(NOW))
    later = NOW + timedelta(days=62)
    with psycopg.connect(fresh.url) as reader:
        reader.execute("SELECT count(*) FROM sentinel.observations")
        assert load(make_rows(later), later) == LoadCounts(inserted=20)
    assert session.purged_rows == 0
    assert "the purge waits" in caplog.text
    load(make_rows(later), later)
    assert session.purged_rows == 20


def test_yesterdays_partition_is_rewritten_in_the_order_of_coins(
    load: Load, fresh: FreshDatabase
) -> None:
    times = [NOW.replace(hour=0) + timedelta(minutes=5 * n) for n in range(40)]
    load([row for at in times for row in make_rows(at, coins=range(50))])
    order = "SELECT coin_key, observed_at FROM sentinel.observations_20261120 ORDER BY ctid"
    rows = fresh.query(order)
    size = "SELECT pg_total_relation_size('sentinel.observations_20261120')"
    before = fresh.query(size)[0][0]
    assert rows != sorted(rows)
    tomorrow = NOW + timedelta(days=1)
    load(make_rows(tomorrow), tomorrow)
    assert fresh.query(order) == sorted(rows)
    assert fresh.query(size)[0][0] < before
