"""The command that writes the public page into a folder."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from coin_registry import CoinRegistry
from pipeline import site_stage
from pipeline.run import Run
from pipeline.site import write_site
from safe_zone import Settings
from sentinel.errors import BudgetExhausted
from sentinel.site.status import Status
from sentinel.storage.connection import Session
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.support import alert_history
from tests.support.commands import Module, assert_error
from tests.support.loading import load_rows, make_rows
from tests.support.network import NEEDS_TCP_INFO, as_neon

COMMAND = "pipeline.site"


def test_the_page_is_written_beside_foreign_files(
    fresh: FreshDatabase, module: Module, tmp_path: Path
) -> None:
    with Session(fresh.address()) as session:
        load_rows(session, make_rows())
    folder = tmp_path / "a" / "site"
    folder.mkdir(parents=True)
    (folder / "CNAME").write_text("status.example.org")
    arguments = ("--out", str(folder), "--with-market")
    done = module(COMMAND, *arguments, DATABASE_URL=fresh.url)
    assert (done.returncode, done.stderr) == (0, "")
    index = Path(done.stdout.strip())
    assert index == folder / "index.html"
    assert index.read_text().startswith("<!doctype html>")
    assert index.stat().st_mode & 0o777 == 0o644
    status = Status.model_validate_json((folder / "status.json").read_bytes())
    assert status.storage is not None
    assert status.storage.coins == 20
    assert status.interval_seconds == 3600
    assert (folder / "CNAME").read_text() == "status.example.org"


@NEEDS_TCP_INFO
def test_on_neon_only_the_market_needs_room_in_the_egress_quota(
    fresh: FreshDatabase, tmp_path: Path
) -> None:
    with as_neon(fresh.url) as url:
        quotas = Settings().quotas | {"neon_egress_bytes": 300_000.0}
        settings = Settings(database_url=url, state_dir=tmp_path, quotas=quotas)
        with pytest.raises(BudgetExhausted, match=r"The market page reads about 0\.4 MB"):
            write_site(tmp_path / "site", settings, NOW, with_market=True)
        write_site(tmp_path / "site", settings, NOW)
        write_site(tmp_path / "site", settings, NOW, with_market=True, is_forced=True)
    [(received,)] = fresh.query("SELECT sum(received_bytes) FROM sentinel.egress")
    assert received > 5_000


def test_what_keeps_the_page_from_being_written_is_named(
    fresh: FreshDatabase, module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    missing = make_conninfo(fresh.url, dbname="no_such_database")
    done = module(COMMAND, "--out", str(tmp_path / "site"), DATABASE_URL=missing)
    assert_error(done, 4, "no_such_database")
    done = module(COMMAND, "--out", str(tmp_path / "file"), DATABASE_URL=missing)
    assert_error(done, 2, f"cannot be written to {tmp_path / 'file'}", "--out DIR")
    monkeypatch.setitem(sys.modules, "sentinel.site.site_files", None)
    done = module(COMMAND, "--out", str(tmp_path / "site"), DATABASE_URL=missing)
    assert_error(done, 2, "is not installed", "requirements/site.txt")


def test_a_scheduled_run_scores_the_alerts_for_its_page(
    settings: Settings, fresh: FreshDatabase, session: Session, time_: FakeTime
) -> None:
    alert_history.store(fresh, time_.now())
    slow = replace(settings, public_page="market", cadence_minutes=120)
    run = Run(slow, time_.clocks, is_scheduled=True)
    run.fetched.targets = ["bitcoin"]
    site_stage.prepare_page(run, CoinRegistry(), session)
    assert run.warnings == []
    content = (settings.state_dir / "site" / "status.json").read_bytes()
    status = Status.model_validate_json(content)
    alerts = status.trust.alerts
    assert alerts
    assert (alerts.falls, alerts.caught, alerts.scored_at) == (4, 3, time_.now())
    assert status.interval_seconds == 7200  # a page is not old before the next run
    market = json.loads((settings.state_dir / "site" / "market.json").read_bytes())
    assert [coin["coin_id"] for coin in market["coins"]] == ["bitcoin"], "a monitor's are left out"
