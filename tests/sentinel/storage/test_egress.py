"""What connections receive from Neon: measured, and added to the count in the database."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import cast

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import verify_db
from safe_zone import Settings
from sentinel.storage import egress, retention
from sentinel.storage.connection import Address, Connection, Session, open_connection
from services.api.connection_pool import ConnectionPool
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.support.network import NEEDS_TCP_INFO, as_neon

pytestmark = NEEDS_TCP_INFO
LARGE = "SELECT repeat('x', %s)"


class _Socket:
    """A connection as `measure_received` uses it."""

    def __init__(self, own: socket.socket) -> None:
        self.fileno = own.fileno


@pytest.fixture
def neon(fresh: FreshDatabase) -> Iterator[Address]:
    with as_neon(fresh.url) as url:
        yield Address(url, "neon")


def _total(fresh: FreshDatabase) -> int:
    [(total,)] = fresh.query("SELECT coalesce(sum(received_bytes), 0) FROM sentinel.egress")
    return int(cast("int", total))


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_the_bytes_of_a_tcp_stream_are_counted_exactly(size: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        with ours, theirs:
            ours.sendall(b"?" * 777)  # what is sent does not count
            theirs.sendall(b"x" * size)
            left = size
            while left:
                left -= len(ours.recv(65_536))
            assert egress.measure_received(cast("Connection", _Socket(ours))) == size


def test_a_session_adds_what_it_received_when_it_closes(
    neon: Address, fresh: FreshDatabase
) -> None:
    totals = []
    for _ in range(2):
        with Session(neon) as session:
            session.use(lambda connection: connection.execute(LARGE, [100_000]).fetchall())
        assert session.month_egress_bytes == _total(fresh)
        totals.append(_total(fresh))
    assert 100_000 < totals[0] < 105_000
    assert totals[1] == pytest.approx(2 * totals[0], rel=0.05)
    with psycopg.connect(fresh.url) as connection:
        assert egress.read_month(connection).total == totals[1]


def test_other_databases_are_not_counted(fresh: FreshDatabase) -> None:
    with Session(fresh.address()) as session:
        session.use(lambda connection: connection.execute(LARGE, [100_000]).fetchall())
    assert (session.month_egress_bytes, _total(fresh)) == (None, 0)


def test_a_connection_that_breaks_is_counted_by_the_next_one(
    neon: Address, fresh: FreshDatabase, time_: FakeTime
) -> None:
    def read(connection: Connection) -> None:
        connection.execute(LARGE, [100_000]).fetchall()
        egress.count(connection)
        fresh.query("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)

    with Session(neon, sleep=time_.sleep) as session:
        session.use(read)
        session.use(lambda connection: connection.execute("SELECT 1"))
    assert 100_000 < _total(fresh) < 110_000


@pytest.mark.before_first_run
def test_a_database_without_the_table_costs_nothing(
    neon: Address, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), Session(neon) as session:
        session.use(lambda connection: connection.execute(LARGE, [10]).fetchall())
    assert (session.month_egress_bytes, caplog.text) == (None, "")


def test_a_role_that_may_not_write_gets_one_warning(
    neon: Address, fresh: FreshDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    fresh.query("DROP ROLE IF EXISTS egress_reader")
    fresh.query("CREATE ROLE egress_reader LOGIN")
    egress._warn_once.cache_clear()
    for _ in range(2):
        with Session(Address(make_conninfo(neon.conninfo, user="egress_reader"), "x")) as session:
            session.use(lambda connection: connection.execute("SELECT 1").fetchall())
    assert caplog.text.count("Neon's egress is not counted: permission denied") == 1
    assert session.month_egress_bytes is None


def test_the_api_adds_its_share_at_its_end_and_after_a_large_answer(
    neon: Address, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = ConnectionPool(neon)
    pool.open()
    monkeypatch.setattr(egress, "RECORD_BYTES", 300_000)
    egress._unrecorded.clear()
    totals = []
    for _ in range(4):
        pool.read(lambda connection: connection.execute(LARGE, [120_000]).fetchall())
        totals.append(_total(fresh))
    pool.close()
    assert totals[:2] == [0, 0]
    assert 360_000 < totals[2] == totals[3] < 370_000
    assert 480_000 < _total(fresh) < 490_000


def test_where_the_system_does_not_measure_the_estimate_counts(
    neon: Address, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentinel.storage.egress.sys.platform", "darwin")
    with Session(neon) as session:
        session.use(lambda connection: egress.add_estimate(connection, 5_000_000))
    assert (_total(fresh), session.month_egress_bytes) == (5_000_000, 5_000_000)


def test_the_count_expires_with_the_observations(fresh: FreshDatabase) -> None:
    for days in (59, 61):
        day = (NOW - timedelta(days=days)).date()
        fresh.query("INSERT INTO sentinel.egress VALUES (1, %s, 'ingest.py')", day)
    with open_connection(fresh.address()) as connection:
        retention.enforce_retention_policy(connection, NOW)
    assert _total(fresh) == 1


def test_verify_db_shows_the_months_egress(
    neon: Address, fresh: FreshDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh.query("INSERT INTO sentinel.egress VALUES (5000000, current_date, 'ingest.py')")
    with open_connection(neon) as connection:
        health = verify_db.examine(connection, Settings(state_dir=tmp_path), NOW)
    verify_db.show(health, "neon", 0, NOW, None)
    assert "egress this month     5.0 MB" in capsys.readouterr().out
