"""Routes of muted coins: list, mute, unmute."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sentinel.coin import to_iso
from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import ApiSession, problem_detail


@pytest.fixture
def api(week_api: ApiSession, week_database: FreshDatabase) -> ApiSession:
    week_database.query("TRUNCATE sentinel.muted_coins")
    week_api.empty_cache()
    return week_api


def test_a_coin_is_muted_listed_and_unmuted(api: ApiSession) -> None:
    day = to_iso(NOW + timedelta(days=1))
    muted = api.post("/coins/bitcoin/mute", json={"hours": 24})
    assert muted.json() == {"coin_id": "bitcoin", "muted_until": day}
    api.post("/coins/ethereum/mute", json={"hours": 1})
    listed = api.get_json("/mutes")["items"]
    assert [mute["coin_id"] for mute in listed] == ["ethereum", "bitcoin"]
    assert api.get_json("/coins/bitcoin")["muted_until"] == day
    assert api.delete("/coins/bitcoin/mute").status_code == 204
    assert api.get_json("/coins/bitcoin")["muted_until"] is None
    assert "not muted" in problem_detail(api.delete("/coins/bitcoin/mute"), 404)


def test_an_unknown_coin_and_an_endless_mute_are_rejected(api: ApiSession) -> None:
    problem_detail(api.post("/coins/bitcoinn/mute", json={"hours": 24}), 404)
    for hours in (0, -1, 1e9, "NaN"):
        problem_detail(api.post("/coins/bitcoin/mute", json={"hours": hours}), 422)


def test_a_mute_needs_the_token(api: ApiSession, open_api: ApiSession) -> None:
    assert open_api.post("/coins/bitcoin/mute", json={"hours": 1}).status_code == 403
    assert api.get_json("/mutes")["items"] == []
