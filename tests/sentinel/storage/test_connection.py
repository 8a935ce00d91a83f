"""Addresses, and sessions whose connection fails."""

from __future__ import annotations

import psycopg
import pytest

import database
from sentinel.errors import ConfigurationError, StorageUnavailable
from sentinel.models import LoadCounts
from sentinel.storage import locks, partitions
from sentinel.storage.connection import Address, Connection, Session, parse_address
from tests.conftest import NOW, FakeTime, FreshDatabase, Load
from tests.support.loading import LABELS, make_rows


def test_a_connection_that_breaks_during_the_work_is_reopened(
    session: Session, fresh: FreshDatabase, time_: FakeTime
) -> None:
    tries = []

    def work(connection: Connection, days: partitions.Days) -> LoadCounts:
        tries.append(connection)
        counts = database.load_batch(connection, make_rows(), LABELS.get, days)
        if len(tries) == 1:
            [(pid,)] = connection.execute("SELECT pg_backend_pid()").fetchall()
            fresh.query("SELECT pg_terminate_backend(%s)", pid)
        return counts

    assert database.run_write_transaction(session, work, NOW) == LoadCounts(inserted=20)
    assert (len(tries), len(time_.slept)) == (2, 1)
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(20,)]


def test_a_server_that_is_down_is_tried_four_times_and_named_in_the_error(time_: FakeTime) -> None:
    address = parse_address("postgresql://me:hunter2@127.0.0.1:9/market")
    session = Session(address, clock=time_.monotonic, sleep=time_.sleep)
    with pytest.raises(StorageUnavailable) as caught:
        database.run_write_transaction(session, lambda _connection, _days: None, NOW)
    assert "market on 127.0.0.1" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert len(time_.slept) == 3


def test_an_unknown_database_is_not_retried(fresh: FreshDatabase, time_: FakeTime) -> None:
    address = Address(fresh.url.replace("dbname=test_", "dbname=no_"), "no")
    session = Session(address, clock=time_.monotonic, sleep=time_.sleep)
    with pytest.raises(StorageUnavailable, match="Correct user and database"):
        database.run_write_transaction(session, lambda _connection, _days: None, NOW)
    assert time_.slept == []


@pytest.mark.before_first_run
def test_missing_rights_are_not_retried(fresh: FreshDatabase, time_: FakeTime) -> None:
    fresh.query("DROP ROLE IF EXISTS poor")
    fresh.query("CREATE ROLE poor LOGIN")
    address = Address(fresh.url.replace("user=postgres", "user=poor"), "x")
    with (
        Session(address, clock=time_.monotonic, sleep=time_.sleep) as session,
        pytest.raises(StorageUnavailable, match=r"GRANT CREATE ON DATABASE .* TO poor"),
    ):
        database.run_write_transaction(session, lambda _connection, _days: None, NOW)
    assert time_.slept == []


def test_a_lock_that_is_held_too_long_is_an_error(
    load: Load, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    load([])
    monkeypatch.setattr("sentinel.storage.partitions.LOCK_TIMEOUT_SECONDS", 0.1)
    with psycopg.connect(fresh.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [locks._WRITER_LOCK])
        with pytest.raises(StorageUnavailable, match="hanging run"):
            load(make_rows())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@host:port/d",
        "postgresql://me:hunter2/x@host/d",
        "postgresql://me:p@hunter2@host/d",
        "postgresql://me:5432/hunter2@host/d",
        "postgresql://me:p@x/hunter2@host/d",
        "postgresql://me:hunter2@a..b/d",
        "postgresql://me:hunter2@host/d?surprise=1",
        "postgresql://me:hunter%zz@host/d",
        "host='hunter2",
    ],
)
def test_an_invalid_address_is_not_repeated_in_the_error(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_address(url)
    assert "hunter" not in f"{caught.value}{caught.value.__cause__}"
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_an_address_prints_its_display_name_without_the_password() -> None:
    address = parse_address("postgresql://me:hunter2@ep-1-pooler.neon.tech/market")
    assert repr(address) == "Address(market on ep-1-pooler.neon.tech)"
