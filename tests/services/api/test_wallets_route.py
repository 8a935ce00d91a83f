"""What the API says of wallets, and of a history that is longer than the database's."""

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
from sentinel.paper_trading import wallets
from sentinel.storage import schema
from sentinel.storage.connection import Connection, Session
from services.settings import MonitorSettings
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.services.api.test_api import Client, serving
from tests.support.monitor import load, minutes

QUARTER = minutes(15)


@pytest.fixture
def api(
    settings: Settings, fresh: FreshDatabase, time_: FakeTime, tmp_path: Path
) -> Iterator[Client]:
    """An API with an archive behind its database."""
    own = dataclasses.replace(settings, archive_url=str(tmp_path / "archive"))
    with serving(MonitorSettings(settings=own), fresh.address(), time_.now) as base:
        yield Client(base)


def _trade(fresh: FreshDatabase, name: str, strategy: str, steps: int) -> None:
    """A wallet that was opened some quarters of an hour ago and stepped at each since."""
    chosen, begin = strategies.choose(strategy), NOW - (steps - 1) * QUARTER
    with Session(fresh.address()) as session:
        for n in range(steps):
            at = begin + n * QUARTER
            load(fresh.address(), [(at, "bitcoin", 100.0 + n)], at)
            session.use(functools.partial(_step, name, chosen, at))


def _step(name: str, strategy: Strategy, at: datetime, connection: Connection) -> None:
    if not wallets.wallets(connection, name):
        cash = Decimal(1_000)
        wallets.open_wallet(connection, name, strategy, ["bitcoin"], cash, Costs(), at)
    wallets.step_all(connection, None, wallets.wallets(connection, name), at)


def test_a_wallet_is_shown_with_its_curve_trades_and_what_holding_would_have_been(
    api: Client, fresh: FreshDatabase
) -> None:
    _trade(fresh, "a wallet of mine?", "hold", 6)
    [listed] = api.ask("/wallets")["items"]
    assert (listed["name"], listed["trades"], listed["problem"]) == ("a wallet of mine?", 2, None)
    assert listed["total_return"] == listed["buy_and_hold_return"]
    assert api.ask("/wallets/a wallet of mine%3F")["wallet"] == listed


def test_a_wallets_page_has_its_curve_its_purses_and_its_trades(
    api: Client, fresh: FreshDatabase
) -> None:
    _trade(fresh, "patient", "hold", 6)
    found = api.ask("/wallets/patient")
    assert [trade["side"] for trade in found["trades"]] == ["close", "buy"]
    assert [point["usd"] for point in found["curve"]] == [p["hold_usd"] for p in found["curve"]]
    assert datetime.fromisoformat(found["curve"][-1]["at"]) == NOW
    [purse] = found["purses"]
    assert purse["coin_id"] == "bitcoin"
    assert Decimal(purse["cash_usd"]) == 0
    assert found["wallet"]["sharpe"] is None


def test_a_spoiled_ledger_is_named_and_does_not_hide_the_others(
    api: Client, fresh: FreshDatabase
) -> None:
    _trade(fresh, "good", "hold", 4)
    _trade(fresh, "bad", "hold", 4)
    fresh.query(
        "UPDATE wallet_events SET cash_usd = cash_usd * 2 WHERE kind = 'filled' AND wallet_id = 2"
    )
    good, bad = api.ask("/wallets")["items"]
    assert good["problem"] is None
    assert "is not the same" in bad["problem"]
    assert bad["final_usd"] is None
    assert api.ask("/wallets/bad")["curve"] == []


def test_a_wallet_that_is_not_there_is_not_found(api: Client) -> None:
    assert api.get("/wallets/nobodys").status_code == 404
    assert api.ask("/wallets") == {"items": []}


def test_a_year_is_one_call_across_database_and_archive(
    api: Client, fresh: FreshDatabase, settings: Settings, tmp_path: Path
) -> None:
    old = NOW - timedelta(days=200)
    load(fresh.address(), [(old + n * QUARTER, "bitcoin", 50.0 + n) for n in range(8)], old)
    own = dataclasses.replace(settings, archive_url=str(tmp_path / "archive"))
    archive_hook = export.archive_hook(own)
    with Session(fresh.address()) as session:
        session.use(schema.migrate_if_needed)
        database.write(session, lambda _connection, _days: None, NOW, archive_hook=archive_hook)
    load(fresh.address(), [(NOW - QUARTER, "bitcoin", 99.0)], NOW)
    assert fresh.query("SELECT count(*) FROM observations") == [(1,)]
    year = api.ask("/coins/bitcoin/history", hours=24 * 365, resolution="1d")
    assert year["resolution"] == "1d"
    assert [(p["price"], p["low"], p["high"], p["observations"]) for p in year["points"]] == [
        (57.0, 50.0, 57.0, 8),
        (99.0, 99.0, 99.0, 1),
    ]
    raw = api.ask(
        "/coins/bitcoin/history",
        start=old.isoformat(),
        end=(old + timedelta(hours=3)).isoformat(),
        resolution="raw",
    )
    assert [p["price"] for p in raw["points"]] == [50.0 + n for n in range(8)]
    [file] = (tmp_path / "archive").iterdir()
    file.write_bytes(b"not what was written")
    damaged = api.get(f"/coins/bitcoin/history?hours={24 * 364}")
    assert damaged.status_code == 503
    assert file.name in damaged.json()["detail"]
