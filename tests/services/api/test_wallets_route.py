"""Routes of wallets, and a history that reaches back into the archive."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import database
from safe_zone import Settings
from sentinel.archive import export
from sentinel.backtesting import strategies
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.strategies import Strategy
from sentinel.paper_trading import stepping, wallets
from sentinel.paper_trading.strategy_process import StrategyProcess
from sentinel.storage import schema
from sentinel.storage.connection import Connection, Session
from services.settings import MonitorSettings
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.services.api.client import ApiSession, running_api
from tests.support.monitor import load, minutes

QUARTER = minutes(15)


@pytest.fixture
def api(
    settings: Settings, fresh: FreshDatabase, time_: FakeTime, tmp_path: Path
) -> Iterator[ApiSession]:
    """Run an API over a database and an archive."""
    own = dataclasses.replace(settings, archive_url=str(tmp_path / "archive"))
    with running_api(MonitorSettings(settings=own), fresh.address(), time_.now) as base:
        yield ApiSession(base)


def _trade(fresh: FreshDatabase, *names: str) -> None:
    """Open wallets three quarters of an hour ago and step them at each quarter since."""
    with Session(fresh.address()) as session:
        for n in range(4):
            at = NOW - (3 - n) * QUARTER
            load(fresh.address(), [(at, "bitcoin", 100.0 + n)], at)
            for name in names:
                session.use(functools.partial(_step, name, strategies.load("hold"), at))


def _step(name: str, strategy: Strategy, at: datetime, connection: Connection) -> None:
    if not wallets.load_wallets(connection, name):
        opening = wallets.compose_opening(connection, ["bitcoin"], Decimal(1_000), at)
        wallets.open_wallet(connection, name, strategy, Costs(), opening, at, Path())
    with StrategyProcess() as process:
        opened = wallets.load_wallets(connection, name)
        stepping.step_wallets(connection, None, opened, at, Path(), process)


def test_a_wallet_has_results_beside_buy_and_hold_an_equity_curve_positions_and_trades(
    api: ApiSession, fresh: FreshDatabase
) -> None:
    _trade(fresh, "a wallet of mine?")
    [listed] = api.get_json("/wallets")["items"]
    # The sale at the last price is listed, and counts as no trade.
    assert (listed["name"], listed["trades"], listed["problem"]) == ("a wallet of mine?", 1, None)
    assert listed["total_return"] == listed["buy_and_hold_return"]
    found = api.get_json("/wallets/a wallet of mine%3F")
    assert found["wallet"] == listed
    assert [trade["side"] for trade in found["trades"]] == ["close", "buy"]
    assert [point["value_usd"] for point in found["curve"]] == [
        p["buy_and_hold_usd"] for p in found["curve"]
    ]
    assert datetime.fromisoformat(found["curve"][-1]["valued_at"]) == NOW
    [position] = found["positions"]
    assert position["coin_id"] == "bitcoin"
    assert Decimal(position["cash_usd"]) == 0
    assert found["wallet"]["sharpe"] is None


def test_a_damaged_ledger_is_reported_and_does_not_hide_other_wallets(
    api: ApiSession, fresh: FreshDatabase
) -> None:
    _trade(fresh, "good", "bad")
    fresh.query(
        "UPDATE sentinel.wallet_events SET cash_usd = cash_usd * 2 WHERE kind = 'filled' AND "
        "wallet_id = 2"
    )
    good, bad = api.get_json("/wallets")["items"]
    assert good["problem"] is None
    assert "does not match" in bad["problem"]
    assert bad["final_usd"] is None
    assert api.get_json("/wallets/bad")["curve"] == []


def test_an_unknown_wallet_is_not_found(api: ApiSession) -> None:
    assert api.get("/wallets/unknown").status_code == 404
    assert api.get_json("/wallets") == {"items": []}


def test_one_request_reads_a_year_from_database_and_archive(
    api: ApiSession, fresh: FreshDatabase, settings: Settings, tmp_path: Path
) -> None:
    old = NOW - timedelta(days=200)
    load(fresh.address(), [(old + n * QUARTER, "bitcoin", 50.0 + n) for n in range(8)], old)
    own = dataclasses.replace(settings, archive_url=str(tmp_path / "archive"))
    archive_hook = export.archive_hook(own)
    with Session(fresh.address()) as session:
        session.use(schema.migrate_if_needed)
        database.run_write_transaction(
            session, lambda _connection, _days: None, NOW, archive_hook=archive_hook
        )
    load(fresh.address(), [(NOW - QUARTER, "bitcoin", 99.0)], NOW)
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(1,)]
    year = api.get_json("/coins/bitcoin/history", hours=24 * 365, resolution="1d")
    assert year["resolution"] == "1d"
    assert [
        (p["open_usd"], p["price_usd"], p["low_usd"], p["high_usd"], p["observations"])
        for p in year["points"]
    ] == [
        (50.0, 57.0, 50.0, 57.0, 8),
        (99.0, 99.0, 99.0, 99.0, 1),
    ]
    all_years = api.get_json("/coins/bitcoin/history", hours=24 * 365 * 20, resolution="1d")
    assert all_years["points"] == year["points"]
    assert datetime.fromisoformat(all_years["start"]).date() == old.date()
    raw = api.get_json(
        "/coins/bitcoin/history",
        start=old.isoformat(),
        end=(old + timedelta(hours=3)).isoformat(),
        resolution="raw",
    )
    assert [p["price_usd"] for p in raw["points"]] == [50.0 + n for n in range(8)]
    [file] = (tmp_path / "archive").glob("observations/*/*.parquet")
    file.write_bytes(b"not what was written")
    damaged = api.get(f"/coins/bitcoin/history?hours={24 * 364}")
    assert damaged.status_code == 503
    assert file.name in damaged.json()["detail"]
