"""Routes of starred coins: list, star, unstar."""

from __future__ import annotations

import pytest

from sentinel.alerting import starred_coins
from tests.conftest import FreshDatabase
from tests.services.api.client import ApiSession, problem_detail


@pytest.fixture
def api(week_api: ApiSession, week_database: FreshDatabase) -> ApiSession:
    week_database.query("TRUNCATE sentinel.starred_coins")
    week_api.empty_cache()
    return week_api


def test_a_coin_is_starred_once_listed_by_rank_and_unstarred(api: ApiSession) -> None:
    for coin_id in ("ethereum", "bitcoin", "ethereum"):
        assert api.put(f"/coins/{coin_id}/star").status_code == 204
    listed = api.get_json("/starred-coins")["items"]
    assert [(coin["coin_id"], coin["symbol"]) for coin in listed] == [
        ("bitcoin", "bitc"),
        ("ethereum", "ethe"),
    ]
    assert [coin["is_starred"] for coin in api.get_json("/coins")["items"]] == [True, True]
    assert api.delete("/coins/ethereum/star").status_code == 204
    assert not api.get_json("/coins/ethereum")["is_starred"]
    assert "not starred" in problem_detail(api.delete("/coins/ethereum/star"), 404)


def test_an_unknown_coin_and_one_too_many_are_rejected(
    api: ApiSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem_detail(api.put("/coins/bitcoinn/star"), 404)
    monkeypatch.setattr(starred_coins, "MAX_STARRED", 1)
    api.put("/coins/bitcoin/star")
    assert api.put("/coins/bitcoin/star").status_code == 204  # it is starred already
    assert "starred already" in problem_detail(api.put("/coins/ethereum/star"), 409)
