"""Runs through a transaction pooler, as on Neon's `-pooler` host."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ingest import RunReport
from pipeline.spool import Spool
from safe_zone import Settings
from sentinel.storage.connection import open_connection, parse_address
from services.backup.create import make_verified_backup
from services.backup.verification import restore_dump
from tests.conftest import NOW, FakeTime, FreshDatabase, open_to_other_users
from tests.support.network import between

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")

RUNS = 20  # over an unreliable network; the soak repeats them with other cuts
CONFIG = """
[databases]
market = host={host} port=5432 dbname={dbname} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 2
logfile = {folder}/pgbouncer.log
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def pooled_url(
    request: pytest.FixtureRequest, fresh: FreshDatabase, tmp_path: Path
) -> Iterator[str]:
    """The fresh database behind a PgBouncer in transaction mode, or in the mode of the test."""
    mode = getattr(request, "param", "transaction")
    parts = conninfo_to_dict(fresh.url)
    socket_dir, port = Path(str(parts["host"])), _free_port()
    owner = socket_dir.stat()
    os.chown(tmp_path, owner.st_uid, owner.st_gid)
    open_to_other_users(tmp_path.parent)
    config = tmp_path / "pgbouncer.ini"
    config.write_text(
        CONFIG.format(
            host=socket_dir, dbname=parts["dbname"], port=port, folder=tmp_path, mode=mode
        )
    )
    as_owner = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    process = subprocess.Popen([str(PGBOUNCER), "-q", config], **as_owner)  # type: ignore[call-overload]
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        assert process.poll() is None, (tmp_path / "pgbouncer.log").read_text()
        yield f"postgresql://anybody@127.0.0.1:{port}/market?sslmode=disable"
    finally:
        process.terminate()
        process.wait()


def test_runs_work_through_a_transaction_pooler(
    pooled_url: str,
    settings: Settings,
    in_process: Callable[[Settings], RunReport],
    time_: FakeTime,
    fresh: FreshDatabase,
) -> None:
    pooled = replace(settings, database_url=pooled_url)
    with psycopg.connect(pooled_url, prepare_threshold=None) as other:
        other.execute("SELECT 1")  # keeps one of the pool's two sessions busy
        for expected in (100, 100, 100):
            report = in_process(pooled)
            assert (report.exit_code, report.rows_inserted) == (0, expected), report.message
            time_.at += timedelta(minutes=15)
    time_.at += timedelta(days=62)
    assert in_process(pooled).purged_rows == 300
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(100,)]


def test_a_pooler_keeps_the_settings_that_a_connection_chooses(
    pooled_url: str, fresh: FreshDatabase
) -> None:
    name = conninfo_to_dict(fresh.url)["dbname"]
    fresh.query(f"ALTER DATABASE {name} SET DateStyle TO 'German'")
    fresh.query(f"ALTER DATABASE {name} SET client_encoding TO 'latin1'")
    address = parse_address(pooled_url)
    with psycopg.connect(pooled_url, prepare_threshold=None) as other:
        for _ in range(3):  # each connection gets one of the pool's two sessions after the other
            with open_connection(address) as first, open_connection(address) as second:
                for connection in (first, second, first):
                    [row] = connection.execute("SELECT now(), '🟥'").fetchall()
                    assert (row[0].tzinfo, row[1]) == (UTC, "🟥")
            [(shown,)] = other.execute("SELECT now()::text").fetchall()
            assert re.match(r"\d\d\.\d\d\.\d{4} ", shown)  # the pool's other users keep theirs


@pytest.mark.parametrize("pooled_url", ["statement"], indirect=True)
def test_a_pooler_in_statement_mode_is_named_in_the_error(
    pooled_url: str, settings: Settings, in_process: Callable[[Settings], RunReport]
) -> None:
    report = in_process(replace(settings, database_url=pooled_url))
    assert report.exit_code == 4
    assert "pool_mode" in report.message


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_runs_over_an_unreliable_network_lose_and_duplicate_no_row(
    pooled_url: str,
    settings: Settings,
    in_process: Callable[[Settings], RunReport],
    time_: FakeTime,
    fresh: FreshDatabase,
    dice: random.Random,
) -> None:
    """The network cuts two of five connections to the pooler in mid-transfer."""
    port = int(str(conninfo_to_dict(pooled_url)["port"]))
    valid = 0
    codes: set[int] = set()
    with between(("127.0.0.1", port), 0.002, cut_share=0.4, dice=dice) as line:
        url = f"postgresql://anybody@127.0.0.1:{line.port}/market?sslmode=disable"
        for number in range(RUNS):
            # From time to time every connection of a run is cut.
            line.cut_share = 1.0 if number % 10 == 5 else 0.4
            report = in_process(replace(settings, database_url=url, limit=40))
            valid += report.rows_valid
            codes.add(report.exit_code)
            time_.at += timedelta(minutes=15)
        cuts = line.cuts
    assert (codes, cuts > RUNS / 4) == ({0, 4}, True)
    report = in_process(replace(settings, limit=40))
    assert report.exit_code == 0, report.message
    assert fresh.query("SELECT count(*) FROM sentinel.observations WHERE source = 'observed'") == [
        (valid + report.rows_valid,)
    ]
    runs = fresh.query("SELECT count(*), count(DISTINCT run_id) FROM sentinel.pipeline_runs")
    assert runs[0][0] == runs[0][1]
    assert Spool(settings.state_dir / "spool").waiting_rows() == 0


@pytest.mark.slow
def test_backups_and_restores_work_through_a_transaction_pooler(
    pooled_url: str,
    settings: Settings,
    in_process: Callable[[Settings], RunReport],
    server_dir: Path,
    tmp_path: Path,
    fresh: FreshDatabase,
) -> None:
    """Each is one transaction, with all its settings inside."""
    in_process(replace(settings, database_url=pooled_url))
    address, count = parse_address(pooled_url), "SELECT count(*) FROM sentinel.observations"
    before = fresh.query(count)
    backup = make_verified_backup(address, tmp_path, server_dir, NOW)
    fresh.query("TRUNCATE sentinel.observations")
    restore_dump(backup.path, backup.manifest.contents, address)
    assert fresh.query(count) == before != [(0,)]
