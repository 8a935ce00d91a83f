"""Partitions, one for each day, and the retention policy."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import psycopg
import pytest

import database
from safe_zone import ROOT
from sentinel.models import FxRate, LoadCounts, MarketRow, Rejection
from sentinel.storage import retention, run_records
from sentinel.storage.connection import Connection, Session
from sentinel.storage.queries import recent_activity
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
    dead = fresh.query("SELECT pg_relation_size('sentinel.rejections')")
    assert dead == [(0,)]  # vacuum returned the empty pages to the file system


def _record_small(connection: Connection, at: datetime) -> None:
    run_records.record_rejections(
        connection, [Rejection(f"coin-{n}", "null_price", "{}", "run", at) for n in range(5)]
    )
    earlier = [FxRate(at - timedelta(hours=n), "idr", 16_000.0 - n) for n in (1, 2)]
    run_records.record_fx_rates(connection, [*earlier, FxRate(at, "idr", 16_000.0)])


def test_expired_rows_of_other_tables_go_while_a_day_waits_for_the_archive(
    load: Load, session: Session, fresh: FreshDatabase
) -> None:
    load(make_rows(NOW))
    later = NOW + timedelta(days=62)
    database.run_write_transaction(session, lambda c, _days: _record_small(c, NOW), NOW)
    database.run_write_transaction(session, lambda *_: None, later, archive_hook=lambda *_: {})
    assert fresh.query("SELECT count(*) FROM sentinel.rejections") == [(0,)]
    # The portfolio's history needs one rate of each day.
    assert fresh.query("SELECT observed_at, per_usd FROM sentinel.fx_rates") == [(NOW, 16_000.0)]
    # The day waits, and the newest price of its coins with it.
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(20,)]
    assert fresh.query("SELECT count(price_usd) FROM sentinel.coins") == [(20,)]


def test_a_table_that_another_session_has_locked_does_not_hold_up_a_run(
    load: Load, fresh: FreshDatabase, session: Session
) -> None:
    session.use(lambda connection: connection.execute("SET lock_timeout = '1s'"))
    with psycopg.connect(fresh.url) as manual_vacuum:
        manual_vacuum.execute("LOCK TABLE sentinel.rejections IN SHARE UPDATE EXCLUSIVE MODE")
        assert load(make_rows(NOW)) == LoadCounts(inserted=20)


def test_the_vacuum_comes_after_the_load_and_its_failure_is_a_warning(
    load: Load,
    fresh: FreshDatabase,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "VACUUM", "SELECT 1 / count(*) FROM sentinel.observations -- {}")
    load(make_rows(NOW))
    assert not caplog.records  # it counted the rows of the load
    monkeypatch.setattr(retention, "VACUUM", "SELECT 1 / 0 -- {}")
    tomorrow = NOW + timedelta(days=1)
    assert load(make_rows(tomorrow), tomorrow) == LoadCounts(inserted=20)
    [record] = caplog.records
    assert "VACUUM of rejections, fx_rates" in record.getMessage()
    assert "the rows are stored: DivisionByZero" in record.getMessage()
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(40,)]


def test_a_statement_timeout_of_the_role_ends_no_run_that_has_stored_its_rows(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        recent_activity, "DATABASE_BYTES", "SELECT 1 FROM (SELECT pg_sleep(0.1)) AS slow"
    )

    def read(connection: Connection) -> int:
        connection.execute("SET statement_timeout = '20ms'")
        found = recent_activity.read_recent_activity(
            connection, NOW, cadence=timedelta(), coin_ids=[], until=None, usages_since=NOW
        )
        return found.database_bytes

    assert session.use(read) == 1


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


def test_the_documents_say_what_bounds_each_table(fresh: FreshDatabase) -> None:
    """A new table is partitioned, purged, or documented as small."""
    tables = fresh.query(
        "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace('sentinel') "
        "AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    document = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (`sentinel\..*?) \| (.*?) \|", document, re.MULTILINE)
    bounds = {
        name: bound for names, bound in rows for name in re.findall(r"sentinel\.(\w+)", names)
    }
    assert bounds.keys() == {name for (name,) in tables}
    purged = {name for name, bound in bounds.items() if re.search(r"\d+ days", bound)}
    assert purged == {"observations", *retention.DELETE_EXPIRED_ROWS}
