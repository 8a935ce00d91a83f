"""The routes that hold all that one page shows: overview and coin."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.settings import MonitorSettings
from tests.conftest import NOW, FreshDatabase, new_database
from tests.services.api.client import TOKEN, ApiSession, add_transaction, running_api
from tests.services.api.conftest import load_week, make_settings
from tests.support.monitor import load, minutes

ADD_ALERTS = """
INSERT INTO sentinel.alerts (coin_key, kind, observed_at, reference_at, price_usd, reference_usd,
                             move, threshold, level)
SELECT coin_key, 'panic', %s - n * interval '1 hour', %s, 90000, 97000, -0.07, 0.05, 1
FROM sentinel.coins, generate_series(0, 9) AS n WHERE coin_id = 'bitcoin'
"""
ADD_FORECAST = """
INSERT INTO sentinel.forecasts (coin_key, made_at, due_at, price_usd, slope_per_minute,
                                predicted_usd, low_usd, high_usd, direction)
SELECT coin_key, %s, %s, 90000, 0.0001, 90090, 89000, 91000, 'neutral'
FROM sentinel.coins WHERE coin_id = 'bitcoin'
"""
# Around 24 hours ago.
HOLE = (NOW - timedelta(hours=31), NOW - timedelta(hours=23))


@pytest.fixture(scope="module")
def full_api(
    server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiSession]:
    """An API with alerts, a forecast, a hole in Bitcoin's history, and a coin of an hour."""
    with new_database(server, template) as database:
        _fill(database)
        settings = make_settings(database, tmp_path_factory.mktemp("full_api"))
        monitor = MonitorSettings(settings=settings, api_token=TOKEN)
        with running_api(monitor, database.address(), lambda: NOW) as base:
            yield ApiSession(base, TOKEN)


def _fill(database: FreshDatabase) -> None:
    load_week(database.address())
    hour = [(NOW - minutes(15 * n), "zcash", 50.0 + n) for n in range(5)]
    load(database.address(), hour, NOW)
    database.query("UPDATE sentinel.coins SET rank = 3 WHERE coin_id = 'zcash'")
    database.query(
        "DELETE FROM sentinel.observations WHERE observed_at BETWEEN %s AND %s AND coin_key ="
        " (SELECT coin_key FROM sentinel.coins WHERE coin_id = 'bitcoin')",
        *HOLE,
    )
    database.query(ADD_ALERTS, NOW, NOW)
    database.query(ADD_FORECAST, NOW, NOW + minutes(10))


def _find_changes(api: ApiSession, hours: int) -> dict[str, float]:
    found = api.get_json("/movers", hours=hours)
    return {row["coin_id"]: row["change"] for row in found["gainers"] + found["losers"]}


def test_the_overview_has_the_figures_of_the_single_routes(full_api: ApiSession) -> None:
    found = full_api.get_json("/overview")
    added = ("change_1h", "change_24h", "change_7d", "sparkline_usd")
    coins = [{key: row[key] for key in row if key not in added} for row in found["coins"]]
    assert coins == full_api.get_json("/coins", limit=500)["items"]
    for field, hours in (("change_1h", 1), ("change_24h", 24), ("change_7d", 168)):
        changes = {row["coin_id"]: row[field] for row in found["coins"] if row[field] is not None}
        assert changes == _find_changes(full_api, hours)
    movers = full_api.get_json("/movers", hours=24, limit=5)
    assert (found["gainers"], found["losers"]) == (movers["gainers"], movers["losers"])
    assert found["alerts"] == full_api.get_json("/alerts", limit=8)["items"]
    assert found["rate"] == full_api.get_json("/rates")


def test_no_change_spans_a_gap(full_api: ApiSession) -> None:
    bitcoin, ethereum, zcash = full_api.get_json("/overview")["coins"]
    assert bitcoin["change_1h"] == pytest.approx(90_000 / 90_004 - 1)
    assert bitcoin["change_24h"] is None
    assert ethereum["change_24h"] == pytest.approx(3_000 / 3_096 - 1)
    assert (zcash["change_1h"], zcash["change_24h"]) == (pytest.approx(50 / 54 - 1), None)
    page = full_api.get_json("/coins/bitcoin/page")
    for field in ("change_1h", "change_24h", "change_7d"):
        assert page[field] == bitcoin[field]


def test_a_sparkline_has_the_last_price_of_each_step_of_a_week(full_api: ApiSession) -> None:
    found = full_api.get_json("/overview")
    start, step = datetime.fromisoformat(found["sparkline_start"]), minutes(4 * 60)
    assert found["sparkline_step_seconds"] == step.total_seconds()
    bitcoin, ethereum, zcash = (row["sparkline_usd"] for row in found["coins"])
    assert len(bitcoin) == 42
    assert start + 41 * step <= NOW < start + 42 * step
    ages = [max(NOW - (start + n * step), timedelta()) for n in range(1, 43)]
    assert ethereum == [3_000 + math.ceil(age / minutes(15)) for age in ages]
    assert bitcoin.count(None) == 1
    assert zcash[:-2] == [None] * 40


def test_the_coin_page_has_the_figures_of_the_single_routes(full_api: ApiSession) -> None:
    span: dict[str, Any] = {"hours": 24, "points": 120}
    full_api.post("/price-targets", json={"coin_id": "bitcoin", "price": "100000"})
    for age in (minutes(60), timedelta(days=2)):
        assert add_transaction(
            full_api, quantity="0.5", price="90000", made_at=(NOW - age).isoformat()
        ).ok
    page = full_api.get_json("/coins/bitcoin/page", **span)
    assert page["coin"] == full_api.get_json("/coins/bitcoin")
    assert page["history"] == full_api.get_json("/coins/bitcoin/history", **span)
    assert page["history"]["resolution"] == "15m"
    assert (page["low_24h_usd"], page["high_24h_usd"]) == (90_000, 90_091)
    assert page["forecast"] == full_api.get_json("/coins/bitcoin/forecast")
    assert page["alerts"] == full_api.get_json("/alerts", coin_id="bitcoin")["items"]
    assert page["gaps"] == full_api.get_json("/gaps", coin_id="bitcoin")["items"]
    assert page["price_targets"] == full_api.get_json("/price-targets")["items"]
    first, second = page["transactions"]
    assert first["made_at"] < second["made_at"]
    assert (second["kind"], second["quantity"], second["price_usd"]) == ("buy", "0.5", "90000")
    traded = {"kind": "trade", "to_coin_id": "ethereum", "to_quantity": "3", "price": "90000"}
    assert add_transaction(full_api, quantity="-0.1", **traded).ok
    for coin_id, quantity, price in (("bitcoin", "-0.1", "90000"), ("ethereum", "3", "3000")):
        last = full_api.get_json(f"/coins/{coin_id}/page", hours=1)["transactions"][-1]
        assert (last["kind"], last["quantity"], last["price_usd"]) == ("trade", quantity, price)
    assert full_api.get("/coins/unknown/page").status_code == 404
