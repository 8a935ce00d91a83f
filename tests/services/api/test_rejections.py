"""Routes of the quarantine: list, replay, discard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sentinel.coin import to_iso
from sentinel.models import Rejection
from sentinel.storage import run_records
from sentinel.storage.connection import Session
from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import ApiSession, problem_detail
from tests.support.monitor import minutes

RAW = '{"usd": %s, "last_updated_at": %d, "usd_market_cap": 7.0}'


@pytest.fixture
def quarantine(week_api: ApiSession, week_database: FreshDatabase) -> ApiSession:
    """The API over two entries that are valid today, one that is not, and a long one."""
    week_database.query("TRUNCATE sentinel.rejections")
    at = int((NOW - minutes(7)).timestamp())
    raws = {"bitcoin": RAW % (5.0, at), "ethereum": RAW % (6.0, at), "bad": RAW % (-1, at)}
    reasons = {"bitcoin": "price_too_high", "ethereum": "price_too_high", "bad": "negative_price"}
    with Session(week_database.address()) as session:
        entries = [
            Rejection(
                run_id="run", coin_id=coin_id, reason=reason, raw=raws[coin_id],
                rejected_at=NOW - minutes(n),
            )
            for n, (coin_id, reason) in enumerate(reasons.items())
        ]  # fmt: skip
        session.use(lambda c: run_records.record_rejections(c, entries))
    week_api.empty_cache()
    return week_api


def _ids(api: ApiSession, **query: Any) -> list[str]:
    return [entry["id"] for entry in api.get_json("/rejections", **query)["items"]]


def test_entries_are_filtered_and_paged_and_counted_by_reason(quarantine: ApiSession) -> None:
    page = quarantine.get_json("/rejections", limit=2)
    assert page["by_reason"] == {"price_too_high": 2, "negative_price": 1}
    assert [entry["id"] for entry in page["items"]] == ["run/bitcoin", "run/ethereum"]
    assert _ids(quarantine, limit=2, before=page["next"]) == ["run/bad"]
    assert _ids(quarantine, reason="negative_price") == ["run/bad"]
    assert _ids(quarantine, since=to_iso(NOW - minutes(1)), coin_id="ethereum") == ["run/ethereum"]
    assert _ids(quarantine, is_open=False) == []
    problem_detail(quarantine.get("/rejections?before=run/x"), 404)


def test_a_replay_loads_valid_entries_once_and_two_at_once_are_safe(
    quarantine: ApiSession, week_database: FreshDatabase
) -> None:
    def post(body: dict[str, Any]) -> Any:
        response = quarantine.post("/rejections/replay", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    expected = {"loaded": 2, "stored_before": 0, "refused": {"negative_price": 1}}
    assert post({"dry_run": True}) == expected | {"dry_run": True}
    assert _ids(quarantine, is_open=False) == []
    with ThreadPoolExecutor() as threads:
        both = list(threads.map(post, [{}, {}]))
    assert sorted(each["loaded"] for each in both) == [0, 2]
    assert _ids(quarantine, is_open=False) == ["run/bitcoin", "run/ethereum"]
    assert _ids(quarantine, is_open=True) == ["run/bad"]
    stored = "DELETE FROM sentinel.observations WHERE price_usd IN (5, 6) RETURNING price_usd"
    assert sorted(week_database.query(stored)) == [(5.0,), (6.0,)]


def test_a_discard_closes_the_selected_entries_for_good(quarantine: ApiSession) -> None:
    def post(**body: Any) -> Any:
        return quarantine.post("/rejections/discard", json=body)

    assert "set all to true" in problem_detail(post(), 409)
    assert "No entry has the id run/x" in problem_detail(post(ids=["run/x", "run/bad"]), 404)
    problem_detail(post(reasons="null_price"), 422)
    assert post(reason="price_too_high", dry_run=True).json() == {"discarded": 2, "dry_run": True}
    done = post(ids=["run/bad"], note="a typing error")
    assert done.json() == {"discarded": 1, "dry_run": False}
    [entry] = quarantine.get_json("/rejections", is_open=False)["items"]
    assert (entry["id"], entry["resolution"], entry["note"]) == (
        *("run/bad", "discarded", "a typing error"),
    )
    assert post(all=True).json()["discarded"] == 2
