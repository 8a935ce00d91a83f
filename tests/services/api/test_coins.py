"""Routes of coins: list, sparklines, movers, exchange rate."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from coin_registry import CoinRegistry
from safe_zone import Settings
from sentinel.coin import Coin
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.services.api.client import ApiSession, problem_detail
from tests.support.monitor import load


def test_coins_are_listed_by_rank_and_can_be_searched(week_api: ApiSession) -> None:
    [first, second] = week_api.get_json("/coins")["items"]
    assert (first["coin_id"], first["price_usd"], first["source"]) == (
        "bitcoin",
        90_000,
        "observed",
    )
    assert datetime.fromisoformat(first["observed_at"]) == NOW
    assert week_api.get_json("/coins", search="ETHER")["items"] == [second]
    page = week_api.get_json("/coins", limit=1)
    assert page == {"items": [first], "next": "1"}
    assert week_api.get_json("/coins", limit=1, offset=1) == {"items": [second], "next": None}


def test_a_coin_goes_by_a_symbol_that_no_other_coin_has(
    week_api: ApiSession, week_database: FreshDatabase
) -> None:
    assert week_api.get_json("/coins/BITC")["coin_id"] == "bitcoin"
    assert week_api.get_json("/coins/Bitcoin/history", hours=1)["points"]
    assert "no coin 'bit'" in problem_detail(week_api.get("/coins/bit"), 404)
    week_database.query(
        "UPDATE sentinel.coins SET symbol = CASE coin_id WHEN 'bitcoin' THEN 'bitc' ELSE 'BITC' END"
    )
    week_api.empty_cache()
    assert problem_detail(week_api.get("/coins/bitc"), 409) == (
        "Several coins have the symbol 'bitc': bitcoin (rank 1), ethereum (rank 2). Name one by "
        "its id."
    )
    week_database.query("UPDATE sentinel.coins SET symbol = left(coin_id, 4)")
    week_api.empty_cache()


def test_an_id_of_the_registry_wins_over_a_symbol(
    api: ApiSession, settings: Settings, fresh: FreshDatabase
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    coin = {"id": "bitc", "symbol": "x", "name": "X"}
    settings.registry_path.write_text(json.dumps({"synced_at": None, "coins": [coin]}))
    assert api.put("/coins/bitc/star").status_code == 204
    assert [coin["coin_id"] for coin in api.get_json("/starred-coins")["items"]] == ["bitc"]


def test_movers_are_measured_against_the_price_before_the_time_span(week_api: ApiSession) -> None:
    found = week_api.get_json("/movers", hours=24, limit=5)
    assert found["gainers"] == []
    assert [mover["coin_id"] for mover in found["losers"]] == ["ethereum", "bitcoin"]
    assert found["losers"][0]["change"] == pytest.approx(3000 / 3096 - 1)


@pytest.mark.usefixtures("week")
def test_a_sparkline_has_the_price_at_the_end_of_each_step_and_null_for_a_gap(
    api: ApiSession, fresh: FreshDatabase
) -> None:
    hole = (NOW - timedelta(hours=5), NOW - timedelta(hours=3))
    fresh.query("DELETE FROM sentinel.observations WHERE observed_at BETWEEN %s AND %s", *hole)
    found = api.get_json("/sparklines", hours=24)
    assert [item["coin_id"] for item in found["items"]] == ["bitcoin", "ethereum"]
    prices = found["items"][0]["prices_usd"]
    assert len(prices) == 25
    assert prices[-1] == 90_000
    assert prices[0] == 90_096  # of a day ago
    assert 1 <= prices.count(None) <= 2
    assert api.get_json("/sparklines", limit=1, offset=1)["items"] == found["items"][1:]


@pytest.mark.usefixtures("week")
def test_the_exchange_rate_is_null_after_a_day_without_one(
    api: ApiSession, time_: FakeTime
) -> None:
    rate = api.get_json("/rates")
    assert rate["idr_per_usd"] == 16_250
    assert datetime.fromisoformat(rate["observed_at"]) == NOW
    time_.sleep(2 * 86_400)
    api.empty_cache()
    assert api.get_json("/rates") == {"idr_per_usd": None, "observed_at": None}


def test_listed_coins_are_found_by_rank_also_without_a_price(
    api: ApiSession, fresh: FreshDatabase, tmp_path: Path
) -> None:
    registry = CoinRegistry()
    for coin_id, rank in (("wrapped-bitcoin", 20), ("bitcoin", 1), ("bitcoin-2", None), ("x", 3)):
        registry.coins[coin_id] = Coin(coin_id, coin_id[:4], coin_id.title(), rank)
    registry.save(tmp_path / "coin_registry.json")
    fresh.query(
        "INSERT INTO sentinel.coins (coin_id, symbol, name) VALUES ('old', 'o', 'Bitcoin2')"
    )
    found = api.get_json("/coins/listed", search=" BITcoin")["items"]
    assert [(coin["coin_id"], coin["rank"]) for coin in found] == [
        *(("bitcoin", 1), ("wrapped-bitcoin", 20), ("bitcoin-2", None), ("old", None)),
    ]
    assert len(api.get_json("/coins/listed", limit=2)["items"]) == 2
