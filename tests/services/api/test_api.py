"""The API over HTTP: what it answers, to whom, and what it says when something is wrong."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
import uvicorn
from psycopg.types.json import Jsonb

from safe_zone import Settings
from sentinel.errors import StorageUnavailable
from sentinel.storage.connection import Address, parse_address
from services.api import connection_pool as store_room
from services.api.app import create_app
from services.api.connection_pool import Store
from services.settings import MonitorSettings
from tests.conftest import NOW, FakeTime, FreshDatabase, Module
from tests.support.monitor import load, minutes

TOKEN = "geheim-4711"
CSV = "made_at,coin_id,quantity,price,note\n"
WRITES = (
    ("POST", "/portfolio/transactions"),
    ("DELETE", "/portfolio/transactions/1"),
    ("POST", "/portfolio/transactions.csv"),
)


class Client(requests.Session):
    """Asks one API; `token` goes with every request where it is set."""

    def __init__(self, base: str, token: str | None = None) -> None:
        super().__init__()
        self.base = base
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: Any, url: Any, *arguments: Any, **options: Any) -> requests.Response:
        options.setdefault("timeout", 30)
        return super().request(method, f"{self.base}{url}", *arguments, **options)

    def ask(self, path: str, **query: Any) -> Any:
        """The content of a good answer."""
        answer = self.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextlib.contextmanager
def serving(
    monitor: MonitorSettings, address: Address, now: Callable[[], datetime]
) -> Iterator[str]:
    app = create_app(monitor, Store(address), now)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)  # another thread is starting
    [port] = [s.getsockname()[1] for one in server.servers for s in one.sockets]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


Serve = Callable[..., Client]


@pytest.fixture
def serve(settings: Settings, fresh: FreshDatabase, time_: FakeTime) -> Iterator[Serve]:
    with contextlib.ExitStack() as stack:

        def serve(token: str | None = TOKEN, address: Address | None = None) -> Client:
            monitor = MonitorSettings(settings=settings, api_token=token)
            running = serving(monitor, address or fresh.address(), time_.now)
            return Client(stack.enter_context(running), token)

        yield serve


@pytest.fixture
def api(serve: Serve) -> Client:
    return serve()


@pytest.fixture
def week(fresh: FreshDatabase) -> None:
    """A week of two coins, an observation a quarter of an hour, and the rupiah's rate."""
    rows = [
        (NOW - minutes(15 * n), coin, price + n)
        for n in range(7 * 96)
        for coin, price in (("bitcoin", 90_000.0), ("ethereum", 3_000.0))
    ]
    load(fresh.address(), rows, NOW, idr=16_250.0)


def _problem(answer: requests.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    content = answer.json()
    assert content["status"] == status
    return str(content["detail"])


# --- reading ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("week")
def test_coins_come_by_rank_and_can_be_searched(api: Client) -> None:
    [first, second] = api.ask("/coins")["items"]
    assert (first["coin_id"], first["price"], first["source"]) == ("bitcoin", 90_000, "observed")
    assert datetime.fromisoformat(first["observed_at"]) == NOW
    assert api.ask("/coins", search="ETHER")["items"] == [second]
    page = api.ask("/coins", limit=1)
    assert page == {"items": [first], "next": "1"}
    assert api.ask("/coins", limit=1, offset=1) == {"items": [second], "next": None}


@pytest.mark.usefixtures("week")
def test_a_history_is_down_sampled_to_the_last_price_of_each_step(api: Client) -> None:
    found = api.ask(
        "/coins/bitcoin/history",
        start=(NOW - timedelta(hours=6)).isoformat(),
        resolution="1h",
    )
    assert found["resolution"] == "1h"
    whole = [point for point in found["points"] if point["observations"] == 4]
    assert len(whole) == 6
    for point in whole:
        at = datetime.fromisoformat(point["at"])
        last = (NOW - (at + timedelta(minutes=45, seconds=30))) / minutes(15)
        assert point["price"] == point["low"] == 90_000 + round(last)
        assert point["high"] == point["low"] + 3


@pytest.mark.usefixtures("week")
def test_raw_is_every_observation_and_auto_fits_the_span(api: Client) -> None:
    span = {"start": (NOW - timedelta(hours=2)).isoformat(), "end": NOW.isoformat()}
    assert len(api.ask("/coins/bitcoin/history", resolution="raw", **span)["points"]) == 8
    assert api.ask("/coins/bitcoin/history")["resolution"] == "30m"
    two_months = (NOW - timedelta(days=60)).isoformat()
    assert api.ask("/coins/bitcoin/history", start=two_months)["resolution"] == "4h"
    # A step that the span is too long for becomes the next one; a year before the first is none.
    for year in ("1066", "2026"):
        found = api.ask("/coins/bitcoin/history", start=f"{year}-01-01", resolution="raw")
        assert found["resolution"] == "5m"
        assert len(found["points"]) == 7 * 96


@pytest.mark.usefixtures("week")
def test_a_history_may_be_asked_for_by_hours(api: Client) -> None:
    found = api.ask("/coins/bitcoin/history", hours=2, resolution="raw")
    assert len(found["points"]) == 8
    both = api.get("/coins/bitcoin/history?hours=2&start=2026-11-20T00:00:00Z")
    assert "give one of them" in _problem(both, 409)


@pytest.mark.usefixtures("week")
def test_backfilled_stretches_are_told_from_observed_ones(
    api: Client, fresh: FreshDatabase
) -> None:
    fresh.query("UPDATE observations SET source = 'backfilled' WHERE observed_at < %s",
                NOW - minutes(31))  # fmt: skip
    points = api.ask("/coins/bitcoin/history", resolution="1h")["points"]
    assert all(point["backfilled"] == point["observations"] for point in points[:-2])
    assert [(p["observations"], p["backfilled"]) for p in points[-2:]] == [(4, 2), (1, 0)]


@pytest.mark.usefixtures("week")
def test_movers_are_measured_against_the_price_before(api: Client) -> None:
    found = api.ask("/movers", hours=24, limit=5)
    assert found["gainers"] == []
    assert [mover["coin_id"] for mover in found["losers"]] == ["ethereum", "bitcoin"]
    assert found["losers"][0]["change"] == pytest.approx(3000 / 3096 - 1)


@pytest.mark.usefixtures("week")
def test_a_sparkline_has_the_price_at_the_end_of_each_step_and_no_price_for_a_hole(
    api: Client, fresh: FreshDatabase
) -> None:
    hole = (NOW - timedelta(hours=5), NOW - timedelta(hours=3))
    fresh.query("DELETE FROM observations WHERE observed_at BETWEEN %s AND %s", *hole)
    found = api.ask("/sparklines", hours=24)
    assert [item["coin_id"] for item in found["items"]] == ["bitcoin", "ethereum"]
    prices = found["items"][0]["prices"]
    assert len(prices) == 25
    assert prices[-1] == 90_000
    assert prices[0] == 90_096  # of a day ago
    assert 1 <= prices.count(None) <= 2
    assert api.ask("/sparklines", limit=1, offset=1)["items"] == found["items"][1:]


@pytest.mark.usefixtures("week")
def test_the_rate_is_that_of_the_last_day_or_none(serve: Serve, time_: FakeTime) -> None:
    rate = serve().ask("/rates")
    assert rate["idr_per_usd"] == 16_250
    assert datetime.fromisoformat(rate["observed_at"]) == NOW
    time_.sleep(2 * 86_400)
    assert serve().ask("/rates") == {"idr_per_usd": None, "observed_at": None}


@pytest.mark.usefixtures("week")
def test_a_forecast_comes_with_how_such_forecasts_fared(api: Client, fresh: FreshDatabase) -> None:
    assert "too thin" in _problem(api.get("/coins/bitcoin/forecast"), 404)
    fresh.query(
        "INSERT INTO forecasts (coin_key, made_at, due_at, price, slope, predicted, low, high,"
        " direction) SELECT coin_key, %s, %s, 90000, 0.0001, 90090, 89000, 91000, 'neutral'"
        " FROM coins WHERE coin_id = 'bitcoin'",
        NOW,
        NOW + minutes(10),
    )
    fresh.query(
        "INSERT INTO forecast_scores (coin_key, hour, abs_error, abs_no_change, scored, called,"
        " hit, banded, covered)"
        " SELECT coin_key, %s - hours * interval '1 hour', 1.2, 1.0, 60, 10, 5, 50, 40"
        " FROM coins, unnest(ARRAY[1, 2, 30]) AS hours WHERE coin_id = 'bitcoin'",
        NOW,
    )
    found = api.ask("/coins/bitcoin/forecast")
    assert (found["predicted"], found["low"], found["high"]) == (90_090, 89_000, 91_000)
    assert found["coverage"] == 0.8
    day, past_week = found["scores"]
    assert day == {
        "hours": 24, "scored": 120, "mase": pytest.approx(1.2), "hit_rate": 0.5, "called": 20,
        "coverage": 0.8, "banded": 100, "verdict": "no edge",
    }  # fmt: skip
    assert past_week["scored"] == 180
    board = api.ask("/forecasts/scoreboard")
    assert board["scores"][0]["verdict"] == "no edge"
    assert [coin["coin_id"] for coin in board["coins"]] == ["bitcoin"]


@pytest.mark.usefixtures("week")
def test_alerts_come_newest_first_with_their_outcome_and_lead_on(
    api: Client, fresh: FreshDatabase
) -> None:
    fresh.query(
        "INSERT INTO alerts (coin_key, kind, observed_at, reference_at, price, reference, move,"
        " threshold, step, after_1h)"
        " SELECT coin_key, 'panic', %s + n * interval '1 min', %s, 95, 100, -0.05, 0.05, 1, -0.01"
        " FROM coins, generate_series(1, 3) AS n WHERE coin_id = 'bitcoin'",
        NOW - timedelta(hours=5),
        NOW - timedelta(hours=6),
    )
    page = api.ask("/alerts", limit=2)
    assert [alert["alert_id"] for alert in page["items"]] == [3, 2]
    assert page["items"][0]["after_1h"] == -0.01
    assert page["items"][0]["after_24h"] is None
    rest = api.ask("/alerts", limit=2, before=page["next"])
    assert ([alert["alert_id"] for alert in rest["items"]], rest["next"]) == ([1], None)
    assert api.ask("/alerts", kind="reversal")["items"] == []
    assert api.ask("/alerts", coin_id="ethereum")["items"] == []


def test_runs_gaps_budget_and_metrics_of_a_real_run(
    serve: Serve, in_process: Any, settings: Settings, time_: FakeTime
) -> None:
    in_process(dataclasses.replace(settings, limit=5))
    time_.at += minutes(15)
    in_process(dataclasses.replace(settings, limit=5))
    api = serve()
    page = api.ask("/runs", limit=1)
    assert page["items"][0]["status"] == "ok"
    [older] = api.ask("/runs", before=page["next"])["items"]
    assert older["started_at"] < page["items"][0]["started_at"]
    assert api.ask("/gaps") == {"items": [], "next": None}
    assert api.ask("/budget")["meters"]["coingecko_credits"]["used"] == 6
    text = api.get("/metrics").text
    assert "sentinel_coins 5.0" in text
    assert 'sentinel_quota_used{quota="coingecko_credits"} 6.0' in text


def test_delivery_counts_a_schedule_by_the_schedule_and_a_loop_by_its_own_pace(
    serve: Serve,
    fresh: FreshDatabase,
    in_process: Callable[[Settings], Any],
    settings: Settings,
    time_: FakeTime,
) -> None:
    for _ in range(5):
        in_process(dataclasses.replace(settings, limit=5))
        time_.sleep(30 * 60)
    schedule = serve().ask("/delivery")
    assert (schedule["cadence_minutes"], schedule["delivered"]) == (15, 5)
    assert schedule["share"] == pytest.approx(0.5, abs=0.06)
    fresh.query("INSERT INTO heartbeats VALUES ('ingestion', %s, %s)", time_.now(), Jsonb({}))
    loop = serve().ask("/delivery")
    assert loop["cadence_minutes"] == pytest.approx(30, abs=0.1)
    assert loop["share"] >= 0.8


def test_the_registry_tells_who_is_on_parole_and_a_damaged_one_is_empty(
    serve: Serve, settings: Settings
) -> None:
    lines = [
        {"id": "bitcoin", "symbol": "btc", "name": "Bitcoin", "rank": 1},
        {"id": "struck", "symbol": "s", "name": "Struck", "strikes": 2, "reason": "missing"},
        {"id": "gone", "symbol": "g", "name": "Gone", "status": "delisted", "strikes": 3},
        {
            "id": "parole",
            "symbol": "p",
            "name": "Parole",
            "status": "inactive",
            "strikes": 4,
            "reason": "null_price",
            "since": "2026-11-18T00:00:00Z",
            "next_probe": "2026-11-22T00:00:00Z",
        },
    ]
    settings.registry_path.write_text(
        json.dumps({"synced_at": "2026-11-20T00:00:00Z", "coins": lines})
    )
    found = serve().ask("/registry")
    assert (found["active"], found["inactive"], found["delisted"]) == (2, 1, 1)
    assert [coin["id"] for coin in found["coins"]] == ["parole", "struck"]
    assert found["coins"][0]["next_probe"] == "2026-11-22T00:00:00Z"
    settings.registry_path.write_text("{")
    assert serve().ask("/registry")["coins"] == []


def test_rejections_are_counted_and_the_newest_shown(serve: Serve, fresh: FreshDatabase) -> None:
    assert serve().ask("/rejections") == {"by_reason": {}, "items": []}
    for n, reason in enumerate(["null_price", "null_price", "malformed"]):
        fresh.query(
            "INSERT INTO rejections VALUES (%s, 'run', %s, %s, %s)",
            NOW - minutes(n), f"coin-{n}", reason, "x" * 5_000,
        )  # fmt: skip
    found = serve().ask("/rejections", limit=2)
    assert found["by_reason"] == {"null_price": 2, "malformed": 1}
    assert [one["coin_id"] for one in found["items"]] == ["coin-0", "coin-1"]
    assert len(found["items"][0]["raw"]) == 300


def test_the_last_verified_backup_has_an_age_and_a_failure_its_reason(
    serve: Serve, fresh: FreshDatabase
) -> None:
    assert set(serve().ask("/backups").values()) == {None}
    state = {"verified_at": (NOW - timedelta(hours=9)).isoformat(), "file": "x.dump",
             "bytes": 5, "rows": 7, "problem": None}  # fmt: skip
    fresh.query("INSERT INTO heartbeats VALUES ('backup', %s, %s)", NOW, Jsonb(state))
    assert serve().ask("/backups")["age_seconds"] == 9 * 3600
    fresh.query("UPDATE heartbeats SET state = state || %s", Jsonb({"problem": "the disk is full"}))
    found = serve().ask("/backups")
    assert (found["problem"], found["rows"]) == ("the disk is full", 7)


@pytest.mark.usefixtures("week")
def test_a_gap_is_listed(api: Client, fresh: FreshDatabase) -> None:
    fresh.query("DELETE FROM observations WHERE observed_at BETWEEN %s AND %s",
                NOW - timedelta(hours=5), NOW - timedelta(hours=3))  # fmt: skip
    found = api.ask("/gaps", coin_id="bitcoin")["items"]
    assert [(gap["coin_id"], gap["slot_minutes"]) for gap in found] == [("bitcoin", 15.0)]


def test_health_looks_at_database_freshness_and_the_loop(
    api: Client, fresh: FreshDatabase, time_: FakeTime
) -> None:
    answer = api.get("/health")
    assert answer.status_code == 503
    assert "start the ingestion" in answer.json()["checks"]["freshness"]["message"]
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    state = {"interval_seconds": 300, "message": "all well", "errors": []}
    fresh.query("INSERT INTO heartbeats VALUES ('ingestion', %s, %s)", NOW, Jsonb(state))
    assert api.ask("/health")["status"] == "ok"
    time_.at += minutes(16)
    stale = api.get("/health")
    assert stale.status_code == 503
    assert stale.json()["missed_runs"] == 2
    assert not stale.json()["checks"]["freshness"]["is_ok"]
    assert not stale.json()["checks"]["last_run"]["is_ok"]


def test_a_loop_that_rests_for_weeks_is_not_well(
    api: Client, fresh: FreshDatabase, time_: FakeTime
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    state = {"interval_seconds": 14 * 86_400, "message": "", "errors": []}
    fresh.query("INSERT INTO heartbeats VALUES ('ingestion', %s, %s)", NOW, Jsonb(state))
    assert api.ask("/health")["status"] == "ok"
    time_.at += timedelta(hours=4)
    assert api.get("/health").status_code == 503


def test_trouble_in_the_loop_is_told(api: Client, fresh: FreshDatabase) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    state = {"interval_seconds": 300, "message": "", "errors": ["CoinGecko is away."]}
    fresh.query("INSERT INTO heartbeats VALUES ('ingestion', %s, %s)", NOW, Jsonb(state))
    answer = api.get("/health")
    assert answer.status_code == 503
    assert answer.json()["checks"]["last_run"]["message"] == "CoinGecko is away."


# --- the portfolio ---------------------------------------------------------------------------


def _enter(api: Client, **fields: Any) -> requests.Response:
    return api.post("/portfolio/transactions", json={"coin_id": "bitcoin"} | fields)


@pytest.mark.usefixtures("week")
def test_a_purchase_is_valued_at_once_in_both_currencies(api: Client) -> None:
    made_at = (NOW - timedelta(days=3)).isoformat()
    answer = _enter(api, quantity="0.1", price="80000", fee="8", made_at=made_at, idr_per_usd=16000)
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/portfolio/transactions/1"
    assert api.ask(answer.headers["Location"]) == answer.json()
    _problem(api.get("/portfolio/transactions/2"), 404)
    found = api.ask("/portfolio")
    assert found["net_worth_usd"] == "9000.00"
    assert found["net_worth_idr"] == "146250000.000"
    assert found["total"]["usd"] == "992.00"
    assert float(found["total"]["coin_move_idr"]) == 1000 * 16_000
    assert float(found["total"]["rupiah_move_idr"]) == 9000 * 250
    [holding] = found["holdings"]
    assert (holding["symbol"], holding["share"], holding["missing"]) == (
        "bitc", 1.0, ["no rupiah rate of 24 hours ago"],
    )  # fmt: skip
    assert len(found["history"]) == 4
    assert found["history"][-1]["usd"] == "9000.00"
    assert found["history"][0]["idr"] is None
    assert found["history"][0]["missing"] == ["no rupiah rate"]


@pytest.mark.usefixtures("week")
def test_a_price_in_rupiah_is_taken_at_the_rate_of_its_day(api: Client) -> None:
    kept = _enter(api, quantity="1", price="1462500000", currency="idr").json()
    assert float(kept["price_usd"]) == 90_000
    assert float(kept["idr_per_usd"]) == 16_250
    early = (NOW - timedelta(days=40)).isoformat()
    refused = _enter(api, quantity="1", price="1", currency="idr", made_at=early)
    assert "no rupiah rate of 2026-10-11 is known" in _problem(refused, 409)
    assert len(api.ask("/portfolio/transactions")["items"]) == 1


@pytest.mark.usefixtures("week")
def test_the_newest_transactions_may_come_first(api: Client) -> None:
    for n in range(3):
        at = (NOW - timedelta(days=n)).isoformat()
        new = {"coin_id": "bitcoin", "quantity": str(n + 1), "price": "1", "made_at": at}
        assert api.post("/portfolio/transactions", json=new).status_code == 201
    path = "/portfolio/transactions"
    assert [one["quantity"] for one in api.ask(path)["items"]] == ["3", "2", "1"]
    first = api.ask(path, newest_first="true", limit=2)
    assert [one["quantity"] for one in first["items"]] == ["1", "2"]
    assert first["next"] == "2"


@pytest.mark.usefixtures("week")
def test_more_than_is_held_cannot_be_sold_and_what_was_sold_from_not_be_removed(
    api: Client,
) -> None:
    kept = _enter(api, quantity="1", price="1").json()
    assert "more would have been sold" in _problem(_enter(api, quantity="-2", price="1"), 409)
    assert _enter(api, quantity="-1", price="2").status_code == 201
    path = f"/portfolio/transactions/{kept['transaction_id']}"
    _problem(api.delete(path), 409)
    assert len(api.ask("/portfolio/transactions")["items"]) == 2
    assert api.delete("/portfolio/transactions/3").status_code == 204
    assert api.delete(path).status_code == 204
    assert "no transaction" in _problem(api.delete(path), 404)


@pytest.mark.usefixtures("week")
def test_two_sales_at_once_do_not_sell_twice(api: Client) -> None:
    _enter(api, quantity="1", price="1")
    codes: list[int] = []

    def sell() -> None:
        codes.append(_enter(Client(api.base, TOKEN), quantity="-1", price="2").status_code)

    threads = [threading.Thread(target=sell) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [201, 409, 409, 409, 409, 409]


@pytest.mark.usefixtures("week")
@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"quantity": "0"}, 409, "nothing was bought"),
        ({"quantity": 1e-30}, 409, "nothing was bought"),
        ({"quantity": "NaN"}, 422, "quantity"),
        ({"quantity": "1e400"}, 422, "quantity"),
        ({"quantity": 1e300}, 422, "quantity"),
        ({"quantity": "0.0000000000000000001"}, 422, "18 places at most"),
        ({"price": "-1"}, 422, "price"),
        ({"price": None}, 422, "price"),
        ({"coin_id": "bitcoinn"}, 404, "no coin 'bitcoinn'"),
        ({"coin_id": "bit\0coin"}, 422, "coin_id"),
        ({"note": "a\0b"}, 422, "note"),
        ({"made_at": "2030-01-01T00:00:00Z"}, 409, "lies ahead"),
        ({"made_at": "1066-10-14T00:00:00Z"}, 409, "before there were prices"),
        ({"made_at": 1763600000}, 422, "made_at"),
        ({"idr_per_usd": "0"}, 409, "idr_per_usd"),
        ({"amount": "1"}, 422, "amount"),
    ],
)
def test_a_wrong_transaction_is_refused_by_name(
    api: Client, fields: dict[str, Any], status: int, said: str
) -> None:
    assert said in _problem(_enter(api, **({"quantity": "1", "price": "1"} | fields)), status)
    assert api.ask("/portfolio/transactions")["items"] == []


@pytest.mark.usefixtures("week")
def test_an_export_can_be_imported_again_and_twice_adds_nothing(
    api: Client, fresh: FreshDatabase
) -> None:
    for n, quantity in enumerate(("0.5", "0.25", "-0.3", "0.000000000000000001", "0.25")):
        at = (NOW - timedelta(days=9 - n % 4)).isoformat()
        _enter(
            api, quantity=quantity, price="81000.5", fee="1", made_at=at, note=' a "b", c\r\nd\re '
        )
    at = (NOW - timedelta(days=9)).isoformat()
    for _ in range(2):  # two alike are two
        rupiah = {"currency": "idr", "idr_per_usd": "16333", "price": "1000000007"}
        assert _enter(api, quantity="1", made_at=at, **rupiah).status_code == 201
    exported = api.get("/portfolio/transactions.csv")
    assert exported.headers["Content-Type"].startswith("text/csv")
    before = [dict(item, transaction_id=0) for item in api.ask("/portfolio/transactions")["items"]]
    headers = {"Content-Type": "text/csv"}
    path = "/portfolio/transactions.csv"
    body = exported.content
    assert api.post(path, data=body, headers=headers).json() == {"added": 0, "known": 7}
    fresh.query("DELETE FROM transactions")
    assert api.post(path, data=body, headers=headers).json() == {"added": 7, "known": 0}
    assert api.post(path, data=body, headers=headers).json() == {"added": 0, "known": 7}
    after = [dict(item, transaction_id=0) for item in api.ask("/portfolio/transactions")["items"]]

    def plain(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        numbers = ("quantity", "price_usd", "fee_usd")
        return [item | {name: Decimal(item[name]) for name in numbers} for item in items]

    assert plain(after) == plain(before)


def test_an_export_can_be_brought_to_a_new_machine(api: Client) -> None:
    line = "2026-11-20,shiba,12345678901.123456789012345678,0.00001,\n"
    answer = api.post(
        "/portfolio/transactions.csv",
        data=f"{CSV}{line}".encode(),
        headers={"Content-Type": "text/csv"},
    )
    assert answer.json() == {"added": 1, "known": 0}
    assert "12345678901.123456789012345678," in api.get("/portfolio/transactions.csv").text
    assert "shiba: no price" in api.ask("/portfolio")["missing"]


@pytest.mark.usefixtures("week")
def test_no_digit_is_lost_however_many_there_are(api: Client) -> None:
    for digit in ("8", "2"):
        quantity = f"12345678901.12345678901234567{digit}"
        assert _enter(api, quantity=quantity, price="1").status_code == 201
        assert _enter(api, quantity=f"-{quantity}", price="1").status_code == 201
    [holding] = api.ask("/portfolio")["holdings"]
    assert Decimal(holding["quantity"]) == 0


@pytest.mark.usefixtures("week")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1"),
        ("\n", "line 1"),
        ("coin,amount\nbitcoin,1\n", "unknown: coin, amount"),
        ("coin_id,quantity,price\nbitcoin,1,5\n", "line 1: the columns must be"),
        ("made_at,coin_id,quantity,quantity\n2026-11-20,bitcoin,1,5\n", "each once"),
        (f"{CSV}2026-11-20,bitcoin,1,5,\n2026-11-20,bitcoin,x,5,\n", "line 3: quantity"),
        (f'{CSV}2026-11-20,bitcoin,1,5,"a\nb"\n2026-11-20,bitcoin,x,5,\n', "line 4: quantity"),
        (f"{CSV}2026-11-20,bitcoin,1\n", "line 2"),
        (f"{CSV},bitcoin,1,5,\n", "line 2: made_at is missing"),
        (f"{CSV}2026-11-20,nowhere,1,5,\n", "line 2: There is no coin"),
        (f"{CSV}2026-11-20,bitcoin,1,5,\n2026-11-20,bitcoin,-2,5,\n", "more would have been sold"),
        ("made_at,coin_id,quantity,price,price_usd\n2026-11-20,bitcoin,1,5,5\n", "price_usd"),
        ("made_at,coin_id,quantity,price,currency\n2026-11-20,bitcoin,1,5,idr\n", "idr_per_usd"),
        (f"{CSV}2026-11-20,bitc".encode() + b"\xffoin,1,5,\n", "UTF-8"),
    ],
)
def test_a_bad_csv_is_refused_by_line_and_changes_nothing(
    api: Client, content: Any, said: str
) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    answer = api.post(
        "/portfolio/transactions.csv", data=data, headers={"Content-Type": "text/csv"}
    )
    assert said in _problem(answer, 409)
    assert api.ask("/portfolio/transactions")["items"] == []


@pytest.mark.usefixtures("week")
def test_a_csv_of_a_spreadsheet_is_understood(api: Client) -> None:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["coin_id", "quantity", "price", "currency", "made_at", "idr_per_usd"])
    writer.writerow(["bitcoin", "0.1", "1462500000", "idr", "2026-11-20 10:00", "16250"])
    writer.writerow(["ethereum", "2", "2900", "", "2026-11-20", ""])
    answer = api.post(
        "/portfolio/transactions.csv",
        data=("\ufeff" + file.getvalue()).encode(),
        headers={"Content-Type": "text/csv; charset=utf-8"},
    )
    assert answer.json() == {"added": 2, "known": 0}
    assert len(api.ask("/portfolio")["holdings"]) == 2


# --- who may what ----------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(
    "header",
    [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ü"],
)
def test_every_unauthorised_write_is_refused(
    api: Client, method: str, path: str, header: str | None
) -> None:
    stranger = Client(api.base)
    if header:
        stranger.headers["Authorization"] = header.encode("latin-1")
    _problem(stranger.request(method, path, json={}), 401)


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_without_a_token_set_nothing_can_be_written(serve: Serve, method: str, path: str) -> None:
    api = serve(token=None)
    assert "SENTINEL_API_TOKEN" in _problem(api.request(method, path, json={}), 403)
    api.headers["Authorization"] = "Bearer "
    _problem(api.request(method, path, json={}), 403)


def test_every_write_is_behind_the_token(api: Client) -> None:
    paths = api.ask("/openapi.json")["paths"]
    found = {
        (method.upper(), re.sub(r"\{.*?\}", "1", path))
        for path, methods in paths.items()
        for method in methods
        if method not in ("get", "head", "options")
    }
    assert found == set(WRITES)


@pytest.mark.usefixtures("week")
def test_reads_are_open_without_a_token_and_closed_with_one(serve: Serve, api: Client) -> None:
    stranger = Client(api.base)
    assert api.ask("/coins")["items"]
    _problem(stranger.get("/coins"), 401)
    assert stranger.get("/health").status_code in (200, 503)
    assert serve(token=None).ask("/coins")["items"]


@pytest.mark.usefixtures("week")
def test_reads_are_served_by_a_role_that_can_only_read(fresh: FreshDatabase) -> None:
    store = Store(fresh.address())
    store.open()
    try:
        who = "SELECT current_user, current_setting('transaction_read_only')"
        assert store.read(lambda c: c.execute(who).fetchall()) == [(store_room.READER, "on")]
        with psycopg.connect(fresh.url) as connection:
            connection.execute(f"SET ROLE {store_room.READER}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(b"DELETE FROM coins")
        with pytest.raises(StorageUnavailable, match=r"permission denied|read-only transaction"):
            store.read(lambda c: c.execute(b"DELETE FROM coins"))
    finally:
        store.close()
    assert fresh.query("SELECT count(*) FROM coins") == [(2,)]


# --- HTTP ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("week")
def test_an_etag_spares_the_body_until_something_changes(api: Client, fresh: FreshDatabase) -> None:
    first = api.get("/coins")
    again = api.get("/coins", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    load(fresh.address(), [(NOW + minutes(1), "bitcoin", 91_000.0)], NOW)
    until = time.monotonic() + 10
    while again.status_code == 304:
        assert time.monotonic() < until
        again = api.get("/coins", headers={"If-None-Match": first.headers["ETag"]})
    assert again.json()["items"][0]["price"] == 91_000


@pytest.mark.usefixtures("week")
def test_who_wrote_reads_what_was_written(api: Client) -> None:
    for n in range(1, 6):
        _enter(api, quantity="1", price="1")
        assert len(api.ask("/portfolio/transactions")["items"]) == n


@pytest.mark.usefixtures("week")
def test_answers_are_compressed_for_who_can_read_that(api: Client) -> None:
    packed = api.get("/coins/bitcoin/history")
    plain = api.get("/coins/bitcoin/history", headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.json()["points"] == plain.json()["points"]
    assert int(packed.headers["Content-Length"]) < len(plain.content) / 4


@pytest.mark.usefixtures("week")
@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/coins/bitcoinn", 404, "no coin 'bitcoinn'"),
        ("/coins/bitcoinn/history", 404, "no coin"),
        ("/coins/bitcoinn/forecast", 404, "no coin"),
        ("/nowhere", 404, "Not Found"),
        ("/coins?limit=501", 422, "query.limit"),
        ("/coins?limit=0", 422, "query.limit"),
        ("/coins?search=%00", 422, "query.search"),
        ("/coins/%00", 422, "path.coin_id"),
        ("/coins/bitcoin/history?start=yesterday", 422, "query.start"),
        ("/coins/bitcoin/history?start=2026-11-20&end=2026-11-19", 409, "not before end"),
        ("/coins/bitcoin/history?start=1763600000", 422, "query.start"),
        ("/coins/bitcoin/history?end=-1.34e-135", 422, "query.end"),
        ("/coins/bitcoin/history?resolution=2h", 422, "query.resolution"),
        ("/alerts?before=99999999999999999999", 422, "query.before"),
        ("/runs?before=9999", 422, "query.before"),
    ],
)
def test_a_wrong_question_gets_a_problem_that_says_what_is_wrong(
    api: Client, path: str, status: int, said: str
) -> None:
    assert said in _problem(api.get(path), status)


def test_a_wrong_method_is_a_problem_too(api: Client) -> None:
    answer = api.put("/portfolio/transactions", json={})
    _problem(answer, 405)
    assert answer.headers["Allow"] == "GET, POST"


@pytest.mark.usefixtures("week")
def test_a_probe_may_ask_for_the_head(api: Client) -> None:
    head, whole = api.head("/coins"), api.get("/coins")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["ETag"] == whole.headers["ETag"]


def test_a_body_that_is_too_large_is_refused_while_it_is_read(api: Client) -> None:
    body = (b"x" * 100_000 for _ in range(100))
    answer = api.post(
        "/portfolio/transactions.csv", data=body, headers={"Content-Type": "text/csv"}
    )
    assert answer.status_code == 413


@pytest.mark.usefixtures("week")
def test_long_lists_lead_on(api: Client) -> None:
    for _ in range(3):
        _enter(api, quantity="1", price="1")
    page = api.ask("/portfolio/transactions", limit=2)
    assert (len(page["items"]), page["next"]) == (2, "2")
    rest = api.ask("/portfolio/transactions", limit=2, offset=page["next"])
    assert (len(rest["items"]), rest["next"]) == (1, None)


@pytest.mark.usefixtures("week")
def test_a_write_may_be_the_first_request(serve: Serve, fresh: FreshDatabase) -> None:
    from sentinel.storage import schema

    with psycopg.connect(fresh.url, autocommit=True) as connection:
        schema.drop_everything(connection)
    assert _enter(serve(), quantity="1", price="1").status_code == 201


def test_a_login_that_may_not_use_the_role_reads_all_the_same(
    fresh: FreshDatabase, serve: Serve, api: Client
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    assert api.ask("/coins")["items"]  # the role is there by now, and not this login's
    name = f"plain_{fresh.url.partition('dbname=')[2][:13]}"
    fresh.query(f"CREATE ROLE {name} LOGIN")
    try:
        fresh.query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
        fresh.query(f"GRANT ALL ON SCHEMA public TO {name}")
        plain = parse_address(psycopg.conninfo.make_conninfo(fresh.url, user=name))
        assert serve(address=plain).ask("/coins")["items"]
        fresh.query(f"GRANT {store_room.READER} TO {name}")
        store = Store(plain)
        store.open()
        who = store.read(lambda c: c.execute("SELECT current_user").fetchall())
        store.close()
        assert who == [(store_room.READER,)]
    finally:
        fresh.query(f"DROP OWNED BY {name}")
        fresh.query(f"DROP ROLE {name}")


def test_the_description_has_examples_and_the_token(api: Client) -> None:
    description = api.ask("/openapi.json")
    assert description["components"]["schemas"]["Coin"]["properties"]["coin_id"]["examples"]
    assert description["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert api.get("/docs").status_code == 200


def test_a_database_that_is_away_is_a_problem_and_comes_back(
    serve: Serve, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_room, "WAIT_SECONDS", 0.3)
    gone = serve(address=parse_address("host=127.0.0.1 port=9 user=x dbname=y"))
    assert "cannot be used" in _problem(gone.get("/coins"), 503)
    health = gone.get("/health")
    assert health.status_code == 503
    assert not health.json()["checks"]["database"]["is_ok"]
    api = serve()
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    assert api.ask("/coins")["items"]
    fresh.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
    for n in itertools.count():
        answer = api.get("/coins", params={"offset": n % 2})
        if answer.status_code == 200:
            break
        _problem(answer, 503)
        assert n < 50
    assert api.ask("/coins")["items"]


def test_an_emptied_database_is_served_again(api: Client, fresh: FreshDatabase) -> None:
    from sentinel.storage import schema

    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    assert api.ask("/coins")["items"]
    with psycopg.connect(fresh.url, autocommit=True) as connection:
        schema.drop_everything(connection)
    assert api.ask("/coins", limit=7)["items"] == []


def test_a_port_that_is_taken_is_said_in_one_line(live_module: Module, api: Client) -> None:
    port = api.base.rpartition(":")[2]
    done = live_module("services.api", SENTINEL_API_PORT=port)
    assert done.returncode == 2
    assert f"Nothing can listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("week")
def test_schemathesis_finds_no_500_and_no_breach_of_the_contract(
    api: Client, fresh: FreshDatabase, tmp_path: Path
) -> None:
    _enter(api, quantity="1", price="1")
    fresh.query("INSERT INTO heartbeats VALUES ('ingestion', %s, %s)", NOW,
                Jsonb({"interval_seconds": 60}))  # fmt: skip
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "schemathesis", "run", f"{api.base}/openapi.json"),
            *("-H", f"Authorization: Bearer {TOKEN}", "--max-examples", "40", "--seed", "1"),
            *("--suppress-health-check", "all", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=570,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_json_holds_no_float_that_json_has_not(api: Client) -> None:
    assert json.loads(api.get("/forecasts/scoreboard").text)["coins"] == []
