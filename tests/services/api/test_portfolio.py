"""Routes of the portfolio: value and transactions."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.api.schemas.base import format_amount
from tests.conftest import NOW
from tests.services.api.client import (
    TOKEN,
    ApiSession,
    add_transaction,
    problem_detail,
)

NO_PRICE = {"price": None}
TRADE = {"kind": "trade", "quantity": "-1", "to_coin_id": "ethereum", "to_quantity": "2"}
PATH = "/portfolio/transactions"
CSV = "/portfolio/transactions.csv"


@pytest.fixture
def api(portfolio_api: ApiSession) -> ApiSession:
    return portfolio_api


def test_a_purchase_is_valued_at_once_in_both_currencies(api: ApiSession) -> None:
    made_at = (NOW - timedelta(days=3)).isoformat()
    response = add_transaction(
        api, quantity="0.1", price="80000", fee="8", made_at=made_at, idr_per_usd=16000
    )
    assert response.status_code == 201
    assert response.headers["Location"] == "/portfolio/transactions/1"
    assert api.get_json(response.headers["Location"]) == response.json()
    problem_detail(api.get("/portfolio/transactions/2"), 404)
    found = api.get_json("/portfolio")
    assert found["net_worth_usd"] == "9000"
    assert found["net_worth_idr"] == "146250000"
    assert found["total_profit"]["usd"] == "992"
    assert float(found["total_profit"]["coin_move_idr"]) == 1000 * 16_000
    assert float(found["total_profit"]["rupiah_move_idr"]) == 9000 * 250
    [holding] = found["holdings"]
    assert (holding["symbol"], holding["share"], holding["missing"]) == (
        "bitc", 1.0, ["no rupiah rate from 24 hours ago"],
    )  # fmt: skip
    assert len(found["history"]) == 4
    assert found["history"][-1]["net_worth_usd"] == "9000"
    assert found["history"][0]["net_worth_idr"] is None
    assert found["history"][0]["missing"] == ["no rupiah rate"]


def test_a_price_in_rupiah_is_converted_at_the_rate_of_its_day(api: ApiSession) -> None:
    kept = add_transaction(api, quantity="1", price="1462500000", currency="idr").json()
    assert float(kept["price_usd"]) == 90_000
    assert float(kept["idr_per_usd"]) == 16_250
    early = (NOW - timedelta(days=40)).isoformat()
    refused = add_transaction(api, quantity="1", price="1", currency="idr", made_at=early)
    assert "no rupiah rate of 2026-10-11 is stored" in problem_detail(refused, 409)
    assert len(api.get_json("/portfolio/transactions")["items"]) == 1


def test_transactions_can_be_listed_newest_first(api: ApiSession) -> None:
    for n in range(3):
        at = (NOW - timedelta(days=n)).isoformat()
        new = {"coin_id": "bitcoin", "quantity": str(n + 1), "price": "1", "made_at": at}
        assert api.post("/portfolio/transactions", json=new).status_code == 201
    path = "/portfolio/transactions"
    assert [one["quantity"] for one in api.get_json(path)["items"]] == ["3", "2", "1"]
    first = api.get_json(path, newest_first="true", limit=2)
    assert [one["quantity"] for one in first["items"]] == ["1", "2"]
    assert first["next"] == "2"


def test_a_sale_of_more_than_is_held_and_the_removal_of_its_purchase_are_rejected(
    api: ApiSession,
) -> None:
    kept = add_transaction(api, quantity="1", price="1").json()
    assert "no more can be sold" in problem_detail(
        add_transaction(api, quantity="-2", price="1"), 409
    )
    assert add_transaction(api, quantity="-1", price="2").status_code == 201
    path = f"/portfolio/transactions/{kept['transaction_id']}"
    problem_detail(api.delete(path), 409)
    assert len(api.get_json("/portfolio/transactions")["items"]) == 2
    assert api.delete("/portfolio/transactions/3").status_code == 200
    assert api.delete(path).json() == kept
    assert "no transaction" in problem_detail(api.delete(path), 404)


def test_an_edited_or_restored_transaction_is_not_imported_again(api: ApiSession) -> None:
    lines = "made_at,coin_id,quantity,price\n2026-11-17,bitcoin,1,5\n2026-11-18,bitcoin,2,6\n"
    headers = {"Content-Type": "text/csv"}
    assert api.post(CSV, data=lines, headers=headers).json() == {"added": 2, "skipped": 0}
    first = f"{PATH}/1"
    changes = {"coin_id": "bitcoin", "quantity": "3", "price": "7", "note": "corrected"}
    edited = api.put(first, json=changes)
    assert edited.json() == api.get_json(first)
    assert (edited.json()["quantity"], edited.json()["made_at"]) == ("3", "2026-11-17T00:00:00Z")
    before = api.get_json(PATH)["items"]
    assert api.delete(first).json() == before[0]
    assert api.post(f"{first}/restore").json() == before[0]
    assert api.get_json(PATH)["items"] == before
    for content in (lines, api.get(CSV).text):
        assert api.post(CSV, data=content, headers=headers).json() == {"added": 0, "skipped": 2}
    api.delete(first)
    assert api.post(CSV, data=lines, headers=headers).json() == {"added": 1, "skipped": 1}
    assert "imported again since" in problem_detail(api.post(f"{first}/restore"), 404)
    assert "no transaction 9" in problem_detail(api.put(f"{PATH}/9", json=changes), 404)


def test_an_amount_that_is_sent_back_keeps_the_digits_that_the_response_left_out(
    api: ApiSession,
) -> None:
    quantity = "12345678901.123456789012345678"
    added = add_transaction(api, quantity=quantity, price="1", idr_per_usd="16000")
    shown = added.json()["quantity"]
    assert shown == "12345678901.123456789"
    add_transaction(api, quantity=f"-{quantity}", price="1")
    changes = {"coin_id": "bitcoin", "quantity": shown, "price": "1", "note": "a note"}
    assert api.put(f"{PATH}/1", json=changes).status_code == 200
    # The rate of its date stays, too.
    assert f",bitcoin,{quantity},1,0,16000,a note," in api.get(CSV).text


def test_a_wallet_gives_no_more_than_it_holds(api: ApiSession) -> None:
    add_transaction(api, quantity="1", price="1")
    moved = {"kind": "transfer", "quantity": "0.6", "to_wallet": "Cold"}
    transfer = add_transaction(api, **moved).json()
    assert transfer["price_usd"] == "0"
    sale = add_transaction(api, quantity="-0.5", price="1")
    assert "bitcoin: the main wallet held only 0.4" in problem_detail(sale, 409)
    too_much = {"wallet": "Cold", "price": "1"}
    trade = add_transaction(api, **TRADE | too_much)
    assert "the wallet 'Cold' held only 0.6" in problem_detail(trade, 409)
    assert add_transaction(api, **TRADE | too_much | {"quantity": "-0.6"}).status_code == 201
    removal = api.delete(f"{PATH}/{transfer['transaction_id']}")
    assert "the wallet 'Cold' held only 0 at" in problem_detail(removal, 409)
    edit = api.put(f"{PATH}/1", json={"coin_id": "bitcoin", "quantity": "0.5", "price": "1"})
    assert "no more can be sold" in problem_detail(edit, 409)
    wallets = api.get_json("/portfolio/wallets")["items"]
    held = {w["wallet"]: [(h["coin_id"], h["quantity"]) for h in w["holdings"]] for w in wallets}
    assert held == {"": [("bitcoin", "0.4")], "Cold": [("ethereum", "2")]}
    assert [w["value_usd"] for w in wallets] == ["36000", "6000"]
    assert len(api.get_json(PATH, wallet="Cold")["items"]) == 2
    assert len(api.get_json(PATH, wallet="main")["items"]) == 2
    assert len(api.get_json(PATH, coin_id="ethereum", kind="trade")["items"]) == 1


def test_the_price_of_a_moment_is_proposed_in_both_currencies(api: ApiSession) -> None:
    at = NOW - timedelta(minutes=15 * 10 + 2)
    price = api.get_json("/portfolio/price", coin_id="bitcoin", at=at.isoformat())
    assert (price["price_usd"], price["price_idr"]) == ("90011", "1462678750")
    assert (price["source"], price["reason"]) == ("database", None)
    before = (NOW - timedelta(days=70)).isoformat()
    price = api.get_json("/portfolio/price", coin_id="bitcoin", at=before)
    assert price["price_usd"] is price["price_idr"] is price["observed_at"] is None
    problem = "No price of bitcoin is stored from the day before 2026-09-11 12:00 UTC."
    assert price["reason"] == problem


def test_concurrent_sales_do_not_sell_the_same_coins_twice(api: ApiSession) -> None:
    add_transaction(api, quantity="1", price="1")
    codes: list[int] = []

    def sell() -> None:
        codes.append(
            add_transaction(ApiSession(api.base, TOKEN), quantity="-1", price="2").status_code
        )

    threads = [threading.Thread(target=sell) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [201, 409, 409, 409, 409, 409]


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"quantity": "0"}, 409, "must not be 0"),
        ({"quantity": 1e-30}, 409, "must not be 0"),
        ({"quantity": "NaN"}, 422, "quantity"),
        ({"quantity": "1e400"}, 422, "quantity"),
        ({"quantity": 1e300}, 422, "quantity"),
        ({"quantity": "0.0000000000000000001"}, 422, "at most 18 decimal places"),
        ({"price": "-1"}, 422, "price"),
        ({"price": None}, 409, "price: a purchase needs"),
        ({"coin_id": "bitcoinn"}, 404, "no coin 'bitcoinn'"),
        ({"coin_id": "bit\0coin"}, 422, "coin_id"),
        ({"note": "a\0b"}, 422, "note"),
        ({"made_at": "2030-01-01T00:00:00Z"}, 409, "is in the future"),
        ({"made_at": "1066-10-14T00:00:00Z"}, 409, "when no coin had a price"),
        ({"made_at": 1763600000}, 422, "made_at"),
        ({"idr_per_usd": "0"}, 409, "idr_per_usd"),
        ({"amount": "1"}, 422, "amount"),
        ({"kind": "gift"}, 422, "kind"),
        ({"kind": "buy", "quantity": "-1"}, 409, "quantity: the quantity of a purchase must be"),
        ({"kind": "reward"}, 409, "price: a reward has no price"),
        ({"kind": "transfer", "price": None}, 409, "price: a transfer needs the price"),
        ({"kind": "transfer", "to_wallet": "A"}, 409, "price: a transfer between own wallets"),
        ({"kind": "transfer", "to_wallet": " Main"} | NO_PRICE, 409, "must be another wallet"),
        ({"to_wallet": "A"}, 409, "to_wallet: only a transfer"),
        ({"to_quantity": "1"}, 409, "to_coin_id: only a trade"),
        ({"kind": "trade", "quantity": "-1"}, 409, "to_coin_id: a trade needs the coin received"),
        (TRADE | {"to_coin_id": "bitcoin"}, 409, "must be another coin"),
        (TRADE | {"to_coin_id": "ethereumm"}, 404, "no coin 'ethereumm'"),
        (TRADE, 409, "no more can be sold"),
    ],
)
def test_an_invalid_transaction_is_rejected_with_the_name_of_the_field(
    api: ApiSession, fields: dict[str, Any], status: int, message: str
) -> None:
    assert message in problem_detail(
        add_transaction(api, **({"quantity": "1", "price": "1"} | fields)), status
    )
    assert api.get_json("/portfolio/transactions")["items"] == []


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("146250000.000", "146250000"),
        ("1E+3", "1000"),
        ("-0.00", "0"),
        (Decimal(1) / Decimal(3), "0." + "3" * 20),
        ("1.00000000000000000005", "1"),
        ("12345678901234567890.5", "12345678901234567890"),
        ("0.000000000000000004500000000000000000", "0.0000000000000000045"),
        ("-1e-60", "0"),
    ],
)
def test_an_amount_in_json_is_plain_and_has_at_most_20_digits(amount: Any, text: str) -> None:
    assert format_amount(Decimal(amount)) == text


def test_amounts_keep_every_digit(api: ApiSession) -> None:
    for digit in ("8", "2"):
        quantity = f"12345678901.12345678901234567{digit}"
        assert add_transaction(api, quantity=quantity, price="1").status_code == 201
        assert add_transaction(api, quantity=f"-{quantity}", price="1").status_code == 201
    [holding] = api.get_json("/portfolio")["holdings"]
    assert Decimal(holding["quantity"]) == 0


def test_the_history_since_the_first_purchase_has_what_was_invested(api: ApiSession) -> None:
    for days, quantity in ((90, "1"), (3, "-0.5")):
        made_at = (NOW - timedelta(days=days)).isoformat()
        assert add_transaction(
            api, quantity=quantity, price="80000", made_at=made_at, idr_per_usd=16000
        ).ok
    assert len(api.get_json("/portfolio")["history"]) == 60
    found = api.get_json("/portfolio", days=7000)
    assert len(found["history"]) == 91
    first, last = found["history"][0], found["history"][-1]
    assert (first["net_worth_usd"], first["net_invested_usd"]) == (None, "80000")
    assert first["missing"] == ["bitcoin: no price", "no rupiah rate"]
    for currency in ("usd", "idr"):
        profit = float(last[f"net_worth_{currency}"]) - float(last[f"net_invested_{currency}"])
        assert profit == float(found["total_profit"][currency])
    assert len(api.get_json("/portfolio", days=1)["history"]) == 1
    problem_detail(api.get("/portfolio", params={"days": 0}), 422)


def test_the_returns_of_all_periods_come_in_one_response(api: ApiSession) -> None:
    assert api.get_json("/portfolio/returns")["periods"] == []
    made_at = (NOW - timedelta(days=6)).isoformat()
    add_transaction(api, quantity="1", price="90000", made_at=made_at, idr_per_usd=16000)
    found = api.get_json("/portfolio/returns")
    by_name = {each["period"]: each for each in found["periods"]}
    assert list(by_name) == ["24h", "7d", "30d", "60d", "1y", "all"]
    # The purchase was made at 90,000, as the newest price is; 24 hours ago it was 90,096.
    assert by_name["all"]["usd"]["time_weighted"] == {"value": 0.0, "unavailable": None}
    assert by_name["24h"]["usd"]["time_weighted"]["value"] == pytest.approx(90_000 / 90_096 - 1)
    assert by_name["24h"]["idr"]["time_weighted"]["unavailable"] == "no rupiah rate on 2026-11-19"
    assert by_name["7d"]["starts_at"] == by_name["all"]["starts_at"]
    assert found["bitcoin"]["usd"]["unavailable"] is None
    assert float(found["cash"]["idr"]["profit"]) == 90_000 * 250
