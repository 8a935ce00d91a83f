"""The route of alerts: filters, outcome and reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sentinel.coin import to_iso
from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import ApiSession, problem_detail

# Coin, kind, hours ago, price, mark and its hours before, threshold, basis, level, announced, a
# day later.
ALERTS = (
    ("bitcoin", "panic", 60, 95, 100, 3, 0.05, "window", 1, True, -0.02),
    ("bitcoin", "panic", 50, 85, 100, 13, 0.05, "week", 2, True, 0.01),
    ("bitcoin", "reversal", 40, 110, 100, 2, 0.04, "outage", 1, False, 0.03),
    ("ethereum", "panic", 6, 0.995, 1, 0, 0.004, "peg", 1, True, None),
    ("ethereum", "reversal", 5, 0.999, 0.995, 1, 0.004, "peg", 1, True, None),
)


@pytest.fixture
def api(week_api: ApiSession, week_database: FreshDatabase) -> ApiSession:
    """The API over these five alerts, with the ids 1 to 5."""
    week_database.query("TRUNCATE sentinel.alerts RESTART IDENTITY")
    for coin_id, kind, hours, price, mark, before, *rest in ALERTS:
        at = NOW - timedelta(hours=hours)
        week_database.query(
            "INSERT INTO sentinel.alerts (coin_key, kind, observed_at, reference_at, price_usd,"
            " reference_usd, move, threshold, basis, level, is_announced, after_24h)"
            " SELECT coin_key, %s::sentinel.alert_kind, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s"
            " FROM sentinel.coins WHERE coin_id = %s",
            *(kind, at, at - timedelta(hours=before), price, mark, price / mark - 1, *rest),
            coin_id,
        )
    week_api.empty_cache()
    return week_api


def test_alerts_are_listed_newest_first_with_a_next_page(api: ApiSession) -> None:
    assert _ids(api) == [5, 4, 3, 2, 1]
    page = api.get_json("/alerts", limit=3)
    assert ([alert["alert_id"] for alert in page["items"]], page["next"]) == ([5, 4, 3], "3")
    assert (page["mutes"], page["price_targets"]) == (None, None)
    rest = api.get_json("/alerts", limit=3, before=page["next"])
    assert ([alert["alert_id"] for alert in rest["items"]], rest["next"]) == ([2, 1], None)


def test_alerts_are_filtered_by_coins_kind_time_outcome_and_announcement(api: ApiSession) -> None:
    since, until = to_iso(NOW - timedelta(hours=50)), to_iso(NOW - timedelta(hours=5))
    assert _ids(api, coin_id="bitcoin") == [3, 2, 1]
    assert _ids(api, coin_id=["bitcoin", "ethereum"], kind="reversal") == [5, 3]
    assert _ids(api, since=since, until=until) == [4, 3, 2]
    assert _ids(api, outcome="went_on") == [3, 1]
    assert _ids(api, outcome="recovered") == [2]
    assert _ids(api, outcome="unknown") == [5, 4]
    assert _ids(api, is_announced=False) == [3]
    assert "query.since" in problem_detail(api.get("/alerts?since=yesterday"), 422)


def test_each_alert_says_why_it_was_raised_in_english_and_indonesian(api: ApiSession) -> None:
    newest = [alert["why"] for alert in api.get_json("/alerts")["items"]]
    assert newest == [
        "It came back to its peg: 0.4% from $0.9950, the price furthest from it.",
        "It was 0.5% below its peg of $1.00; its alerts begin at 0.4%.",
        "It rose 10.0% in 2 hours from its low of $100.00, the lowest price before a time without "
        "prices; its alerts begin at 4.0%.",
        "It fell 15.0% in 13 hours from its high of $100.00, the highest price of the week; its "
        "alerts begin at 5.0%, and this is alert 2 of the move.",
        "It fell 5.0% in 3 hours from its high of $100.00, the highest price of the last 24 hours; "
        "its alerts begin at 5.0%.",
    ]
    [first] = api.get_json("/alerts", language="id", before=2)["items"]
    assert first["why"].startswith("Turun 5,0% dalam 3 jam dari puncaknya US$100,00")


def test_one_request_has_the_mutes_and_price_targets_of_the_same_coins(api: ApiSession) -> None:
    for coin_id in ("bitcoin", "ethereum"):
        api.post(f"/coins/{coin_id}/mute", json={"hours": 24})
        api.post("/price-targets", json={"coin_id": coin_id, "price": "100000"})
    page = api.get_json("/alerts", coin_id="ethereum", include=["mutes", "price_targets"])
    for name in ("mutes", "price_targets"):
        assert [one["coin_id"] for one in page[name]] == ["ethereum"]
    for target in api.get_json("/price-targets")["items"]:
        api.delete(f"/price-targets/{target['target_id']}")
        api.delete(f"/coins/{target['coin_id']}/mute")


def _ids(api: ApiSession, **query: Any) -> list[int]:
    return [alert["alert_id"] for alert in api.get_json("/alerts", **query)["items"]]
