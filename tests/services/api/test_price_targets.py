"""Routes of the price targets: list, preview, add, delete."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import requests

from sentinel.coin import to_iso
from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import ApiSession, problem_detail


@pytest.fixture
def api(week_api: ApiSession, week_database: FreshDatabase) -> ApiSession:
    week_database.query("TRUNCATE sentinel.price_targets RESTART IDENTITY")
    week_api.empty_cache()
    return week_api


def _add(api: ApiSession, **fields: Any) -> requests.Response:
    return api.post("/price-targets", json={"coin_id": "bitcoin", "price": "100000"} | fields)


def test_a_target_is_added_listed_and_deleted(api: ApiSession) -> None:
    expires_at = "2027-01-31T17:00:00Z"
    added = _add(api, repeats=True, expires_at=expires_at, note="sell half", source="dashboard")
    assert added.status_code == 201
    assert added.headers["Location"] == "/price-targets/1"
    target = added.json()
    assert target | {
        "price": "100000", "direction": "above", "currency": "usd", "repeats": True,
        "expires_at": expires_at, "note": "sell half", "source": "dashboard", "state": "open",
        "is_armed": True, "fired_count": 0, "symbol": "bitc", "name": "Bitcoin",
    } == target  # fmt: skip
    assert api.get_json("/price-targets/1") == target
    assert _add(api, coin_id="ethereum", price=2_900).json()["direction"] == "below"
    assert api.get_json("/price-targets", coin_id="bitcoin") == {"items": [target], "next": None}
    page = api.get_json("/price-targets", limit=1)
    assert (page["items"][0]["coin_id"], page["next"]) == ("ethereum", "1")
    assert api.delete("/price-targets/1").status_code == 204
    assert "no price target 1" in problem_detail(api.delete("/price-targets/1"), 404)
    problem_detail(api.get("/price-targets/1"), 404)
    assert len(api.get_json("/price-targets")["items"]) == 1


def test_a_price_is_returned_with_20_digits(api: ApiSession) -> None:
    price = "1234567890123456789.5500000000000000"
    assert _add(api, price=price).json()["price"] == "1234567890123456789.6"


def test_a_preview_shows_when_a_target_would_have_fired_and_saves_nothing(
    api: ApiSession,
) -> None:
    # The price falls by one dollar in each quarter of an hour, to 90,000 now.
    new = {"coin_id": "bitcoin", "price": "90100", "direction": "below"}
    preview = api.post("/price-targets/preview", json=new).json()
    assert preview["since"] == (
        NOW - timedelta(days=7) + timedelta(minutes=15)
    ).isoformat().replace("+00:00", "Z")
    fired_at = (NOW - timedelta(minutes=15 * 99)).isoformat().replace("+00:00", "Z")
    assert preview["crossings"] == [{"observed_at": fired_at, "price": "90099"}]
    assert (preview["current_price"], preview["is_reached"]) == ("90000", True)
    above = api.post("/price-targets/preview", json=new | {"direction": "above"}).json()
    assert (above["crossings"], above["is_reached"]) == ([], False)
    assert api.get_json("/price-targets")["items"] == []


def test_a_preview_in_rupiah_uses_the_stored_rates(api: ApiSession) -> None:
    new = {"coin_id": "bitcoin", "price": str(90_010 * 16_250), "currency": "idr"}
    preview = api.post("/price-targets/preview", json=new).json()
    assert float(preview["current_price"]) == 90_000 * 16_250
    # The only rate is of the newest price.
    assert preview["since"] == to_iso(NOW)


@pytest.mark.parametrize("path", ["/price-targets", "/price-targets/preview"])
@pytest.mark.parametrize(
    ("fields", "status", "detail"),
    [
        ({"coin_id": "bitcoinn"}, 404, "There is no coin 'bitcoinn'"),
        ({"price": "0"}, 409, "The price must be above 0"),
        ({"price": "-1"}, 422, "body.price"),
        ({"expires_at": NOW.isoformat()}, 409, "which is in the past"),
        ({"note": "x" * 201}, 422, "body.note"),
        ({"currency": "eur"}, 422, "body.currency"),
        ({"sourc": "api"}, 422, "body.sourc"),
        ({"repeats": 0}, 422, "body.repeats"),
    ],
)
def test_a_wrong_target_is_rejected_with_its_reason(
    api: ApiSession, path: str, fields: dict[str, Any], status: int, detail: str
) -> None:
    response = api.post(path, json={"coin_id": "bitcoin", "price": "100000"} | fields)
    assert detail in problem_detail(response, status)


def test_a_preview_is_no_target(api: ApiSession) -> None:
    response = api.get("/price-targets/preview")
    problem_detail(response, 405)
    assert response.headers["Allow"] == "POST"
