"""Backups, exports and backtests ask the month's egress quota before they read from Neon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safe_zone import Settings
from sentinel.errors import BudgetExhausted
from sentinel.storage import egress_budget, service_status
from sentinel.storage.connection import Address, Session, open_connection
from sentinel.storage.egress_budget import LargeRead
from services.backup.create import create_backup
from services.settings import MonitorSettings
from tests.conftest import FreshDatabase, NeonConsole
from tests.sentinel.archive.helpers import (
    OLD,
    count_rows,
    list_files,
    load_rows,
    make_rows,
    purge,
)
from tests.support.commands import Script
from tests.support.monitor import listening, load
from tests.support.network import NEEDS_TCP_INFO, as_neon

MB = 1_000_000
NOW = datetime(2026, 11, 20, tzinfo=UTC)  # 19 of 30 days are over
READ = LargeRead("This backup", 250 * MB, "Wait.", 30, "a nightly one")
ADD = """
INSERT INTO sentinel.egress (received_bytes, day, reader)
VALUES (%s, (now() AT TIME ZONE 'UTC')::date, %s)
"""


@pytest.fixture
def neon_url(fresh: FreshDatabase) -> Iterator[str]:
    with as_neon(fresh.url) as url:
        yield url


@pytest.fixture
def settings(neon_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=neon_url, state_dir=tmp_path / "state", archive_url=str(tmp_path / "archive")
    )


def _use_up(fresh: FreshDatabase, megabytes: int, reader: str = "services.backup") -> None:
    fresh.query(ADD, megabytes * MB, reader)


def _check(settings: Settings, read: LargeRead = READ, *, is_forced: bool = False) -> str | None:
    assert settings.database_url
    with open_connection(Address(settings.database_url, "neon")) as connection:
        return egress_budget.check_read(connection, settings, read, NOW, is_forced=is_forced)


def test_a_read_that_fits_says_what_it_costs(settings: Settings, fresh: FreshDatabase) -> None:
    _use_up(fresh, 1_900)
    assert _check(settings) == (
        "This backup reads about 0.25 GB from Neon; 3.10 GB of 5.00 GB are left this month; "
        "a nightly one would use 7.50 GB a month."
    )


def test_a_read_leaves_five_percent_and_what_the_runs_will_need(
    settings: Settings, fresh: FreshDatabase
) -> None:
    _use_up(fresh, 4_500)
    assert _check(settings)  # ends at 95 %
    _use_up(fresh, 95, "ingest.py")  # of 19 days: the other 11 need 55
    with pytest.raises(BudgetExhausted) as refused:
        _check(settings)
    assert str(refused.value).endswith(
        "a month. It was not started: 0.10 GB are free, because runs and monitor will need about "
        "55.0 MB until 2026-12-01, and 5% are kept back. Wait."
    )
    assert refused.value.exit_code == 5
    assert _check(settings, is_forced=True)
    assert _check(settings, READ._replace(estimated_bytes=99 * MB))


def test_neons_own_larger_figure_counts(settings: Settings, neon: NeonConsole) -> None:
    neon.bodies["p-1"] = json.dumps({"project": {"data_transfer_bytes": 4_800 * MB}}).encode()
    keyed = replace(
        settings, neon_api_key="napi-secret", neon_project_id="p-1", neon_base_url=neon.url
    )
    assert _check(settings)
    with pytest.raises(BudgetExhausted, match=r"0\.20 GB of 5\.00 GB are left"):
        _check(keyed)


@pytest.mark.before_first_run
def test_no_database_but_neons_and_no_quota_ask_for_nothing(
    settings: Settings, fresh: FreshDatabase
) -> None:
    assert _check(settings)  # of a schema without the count
    assert _check(replace(settings, database_url=fresh.url)) is None
    unlimited = settings.quotas | {"neon_egress_bytes": None}
    assert _check(replace(settings, quotas=unlimited)) is None


@pytest.mark.slow
def test_a_refused_backup_is_announced_and_makes_the_monitor_unhealthy(
    server_dir: Path, neon_url: str, fresh: FreshDatabase, tmp_path: Path
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    _use_up(fresh, 4_750)
    with listening() as target:
        own = Settings(database_url=neon_url, state_dir=server_dir)
        monitor = MonitorSettings(settings=own, alert_urls=(target.url,))
        with pytest.raises(BudgetExhausted, match="This backup reads about"):
            create_backup(monitor, tmp_path / "backups", NOW)
        assert "Back up weekly" in str(target.requests)
    assert not list((tmp_path / "backups").glob("*.zip"))
    with open_connection(fresh.address()) as connection:
        found = service_status.read_backup_status(connection)
    assert found
    assert "Back up weekly" in str(found.problem)


@NEEDS_TCP_INFO
@pytest.mark.slow
def test_a_backup_says_what_it_reads_and_its_bytes_are_counted(
    server_dir: Path,
    neon_url: str,
    fresh: FreshDatabase,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prices = [(NOW - timedelta(minutes=n), "bitcoin", 1.0 + n) for n in range(2_000)]
    load(fresh.address(), prices, NOW)
    _use_up(fresh, 4_999)
    monitor = MonitorSettings(settings=Settings(database_url=neon_url, state_dir=server_dir))
    assert create_backup(monitor, tmp_path / "backups", NOW, ignore_budget=True) == 0
    assert "This backup reads about" in capsys.readouterr().err
    [(total,)] = fresh.query("SELECT sum(received_bytes) FROM sentinel.egress")
    assert 2_000 * 40 < int(str(total)) - 4_999 * MB < 2_000 * 120


def test_a_day_that_the_budget_cannot_archive_stays_in_the_database(
    settings: Settings, fresh: FreshDatabase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert settings.database_url
    with Session(Address(settings.database_url, "neon")) as session:
        load_rows(session, make_rows(), OLD)
        _use_up(fresh, 4_760)
        purge(session, settings)
        assert count_rows(fresh) == 12
        assert "waits for the archive: Archiving a day reads about" in caplog.text
        fresh.query("DELETE FROM sentinel.egress")
        purge(session, settings, NOW + timedelta(days=1))
    assert (count_rows(fresh), len(list_files(tmp_path / "archive"))) == (0, 1)


@pytest.mark.slow
def test_an_export_and_a_backtest_are_refused_unless_the_flag_is_given(
    script: Script, settings: Settings, fresh: FreshDatabase
) -> None:
    now = datetime.now(UTC)
    load(fresh.address(), [(now - timedelta(hours=n), "bitcoin", 1.0 + n) for n in range(50)], now)
    _use_up(fresh, 4_760)
    environment = {"DATABASE_URL": str(settings.database_url)}
    archive = {"ARCHIVE_URL": str(settings.archive_url)}
    for name, arguments, subject in (
        ("archive.py", ["export"], "This export"),
        ("sandbox.py", ["backtest", "--strategy", "hold", "--days", "3"], "This backtest"),
    ):
        refused = script(name, *arguments, **environment, **archive)
        assert (refused.returncode, refused.stdout) == (5, "")
        assert refused.stderr.startswith(f"error: {subject} reads about")
        assert "--ignore-budget" in refused.stderr
        done = script(name, *arguments, "--ignore-budget", **environment, **archive)
        assert (done.returncode, done.stderr.split(" from")[0]) == (
            0,
            refused.stderr.removeprefix("error: ").split(" from")[0],
        )
