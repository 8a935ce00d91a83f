"""Import and export of transactions as CSV."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import (
    ApiSession,
    StartApi,
    add_transaction,
    problem_detail,
)

CSV_HEADER = "made_at,coin_id,quantity,price,note\n"


@pytest.fixture
def api(portfolio_api: ApiSession) -> ApiSession:
    return portfolio_api


def test_importing_an_export_twice_adds_nothing(
    api: ApiSession, week_database: FreshDatabase
) -> None:
    for n, quantity in enumerate(("0.5", "0.25", "-0.3", "0.000000000000000001", "0.25")):
        at = (NOW - timedelta(days=9 - n % 4)).isoformat()
        add_transaction(
            api, quantity=quantity, price="81000.5", fee="1", made_at=at, note=' a "b", c\r\nd\re '
        )
    at = (NOW - timedelta(days=9)).isoformat()
    for _ in range(2):  # two alike are two
        rupiah = {"currency": "idr", "idr_per_usd": "16333", "price": "1000000007"}
        assert add_transaction(api, quantity="1", made_at=at, **rupiah).status_code == 201
    other_kinds: list[dict[str, str]] = [
        {"kind": "transfer", "quantity": "0.5", "to_wallet": "Cold, dry"},
        {"kind": "transfer", "quantity": "0.1", "wallet": "Cold, dry", "to_wallet": "main"},
        {"kind": "transfer", "quantity": "0.1", "price": "5", "wallet": "Cold, dry"},
        {"kind": "reward", "quantity": "0.1", "coin_id": "ethereum"},
        {"kind": "trade", "quantity": "-0.1", "price": "9", "to_coin_id": "ethereum"},
    ]
    other_kinds[-1]["to_quantity"] = "3"
    for fields in other_kinds:
        assert add_transaction(api, **fields).status_code == 201
    exported = api.get("/portfolio/transactions.csv")
    assert exported.headers["Content-Type"].startswith("text/csv")
    before = [
        dict(item, transaction_id=0) for item in api.get_json("/portfolio/transactions")["items"]
    ]
    headers = {"Content-Type": "text/csv"}
    path = "/portfolio/transactions.csv"
    body = exported.content
    assert api.post(path, data=body, headers=headers).json() == {"added": 0, "skipped": 12}
    week_database.query("DELETE FROM sentinel.transactions")
    assert api.post(path, data=body, headers=headers).json() == {"added": 12, "skipped": 0}
    assert api.post(path, data=body, headers=headers).json() == {"added": 0, "skipped": 12}
    after = [
        dict(item, transaction_id=0) for item in api.get_json("/portfolio/transactions")["items"]
    ]

    def plain(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        numbers = ("quantity", "price_usd", "fee_usd")
        return [item | {name: Decimal(item[name]) for name in numbers} for item in items]

    assert plain(after) == plain(before)


def test_a_file_imported_by_an_earlier_version_adds_nothing(
    api: ApiSession, week_database: FreshDatabase
) -> None:
    # As the first version joined the fields; its n-th identical transaction ended with n.
    fields = "2026-11-17T00:00:00+00:00|bitcoin|1|5|0.5|a note|1"
    week_database.query(
        "INSERT INTO sentinel.transactions"
        " (made_at, coin_id, quantity, price_usd, fee_usd, note, identity)"
        " VALUES ('2026-11-17Z', 'bitcoin', 1, 5, 0.5, 'a note', %s)",
        hashlib.sha256(fields.encode()).hexdigest(),
    )
    header = "made_at,coin_id,quantity,price_usd,fee_usd,idr_per_usd,note"
    response = api.post(
        "/portfolio/transactions.csv",
        data=f"{header}\n2026-11-17T00:00:00+00:00,bitcoin,1,5,0.5,,a note\n",
        headers={"Content-Type": "text/csv"},
    )
    assert response.json() == {"added": 0, "skipped": 1}


def test_an_export_can_be_imported_on_a_new_machine(start_api: StartApi) -> None:
    api = start_api()
    line = "2026-11-20,shiba,12345678901.123456789012345678,0.00001,\n"
    response = api.post(
        "/portfolio/transactions.csv",
        data=f"{CSV_HEADER}{line}".encode(),
        headers={"Content-Type": "text/csv"},
    )
    assert response.json() == {"added": 1, "skipped": 0}
    assert "12345678901.123456789012345678," in api.get("/portfolio/transactions.csv").text
    assert "shiba: no price" in api.get_json("/portfolio")["missing"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1"),
        ("\n", "line 1"),
        ("coin,amount\nbitcoin,1\n", "unknown: coin, amount"),
        ("coin_id,quantity,price\nbitcoin,1,5\n", "line 1: the header must name the columns"),
        ("made_at,coin_id,quantity,quantity\n2026-11-20,bitcoin,1,5\n", "each once"),
        (f"{CSV_HEADER}2026-11-20,bitcoin,1,5,\n2026-11-20,bitcoin,x,5,\n", "line 3: quantity"),
        (
            f'{CSV_HEADER}2026-11-20,bitcoin,1,5,"a\nb"\n2026-11-20,bitcoin,x,5,\n',
            "line 4: quantity",
        ),
        (f"{CSV_HEADER}2026-11-20,bitcoin,1\n", "line 2"),
        (f"{CSV_HEADER},bitcoin,1,5,\n", "line 2: made_at is missing"),
        (f"{CSV_HEADER}2026-11-20,nowhere,1,5,\n", "line 2: There is no coin"),
        (
            f"{CSV_HEADER}2026-11-20,bitcoin,1,5,\n2026-11-20,bitcoin,-2,5,\n",
            "no more can be sold",
        ),
        ("made_at,coin_id,quantity,price,price_usd\n2026-11-20,bitcoin,1,5,5\n", "price_usd"),
        ("made_at,coin_id,quantity,price,currency\n2026-11-20,bitcoin,1,5,idr\n", "idr_per_usd"),
        (f"{CSV_HEADER}2026-11-20,bitc".encode() + b"\xffoin,1,5,\n", "UTF-8"),
    ],
)
def test_an_invalid_csv_is_rejected_with_its_line_and_changes_nothing(
    api: ApiSession, content: Any, message: str
) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    response = api.post(
        "/portfolio/transactions.csv", data=data, headers={"Content-Type": "text/csv"}
    )
    assert message in problem_detail(response, 409)
    assert api.get_json("/portfolio/transactions")["items"] == []


def test_a_csv_saved_by_a_spreadsheet_can_be_imported(api: ApiSession) -> None:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["coin_id", "quantity", "price", "currency", "made_at", "idr_per_usd"])
    writer.writerow(["bitcoin", "0.1", "1462500000", "idr", "2026-11-20 10:00", "16250"])
    writer.writerow(["ethereum", "2", "2900", "", "2026-11-20", ""])
    response = api.post(
        "/portfolio/transactions.csv",
        data=("\ufeff" + file.getvalue()).encode(),
        headers={"Content-Type": "text/csv; charset=utf-8"},
    )
    assert response.json() == {"added": 2, "skipped": 0}
    assert len(api.get_json("/portfolio")["holdings"]) == 2
