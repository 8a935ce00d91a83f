"""The Portfolio page: what a viewer types, and the rows and figures that they see."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from sentinel.amounts import Currency, Language
from services.dashboard import data
from services.dashboard.elements.chart import Chart
from services.dashboard.elements.number_input import format_for_api, parse_number
from services.dashboard.formatting import HIDDEN, Formatter
from services.dashboard.portfolio import figures
from services.dashboard.portfolio.import_dialog import build_line_row
from services.dashboard.portfolio.tables import build_transaction_row
from tests.conftest import NOW
from tests.services.dashboard.test_dashboard import formatter

TRADE = {
    "transaction_id": 7,
    "made_at": NOW.isoformat(),
    "kind": "trade",
    "wallet": "Binance",
    "coin_id": "bitcoin",
    "quantity": "-0.5",
    "price_usd": "91000",
    "fee_usd": "1.5",
    "idr_per_usd": "16250",
    "to_coin_id": "ethereum",
    "to_quantity": "14.2",
    "to_wallet": None,
    "note": "paid 45,500",
}


@pytest.mark.parametrize(
    ("text", "language", "currency", "number"),
    [
        ("0.25", "en", None, "0.25"),
        ("0,25", "en", None, "0.25"),
        ("91,000.50", "en", "USD", "91000.50"),
        ("$91,000", "en", "USD", "91000"),
        ("91.123", "en", "USD", "91.123"),
        ("15.000", "id", "USD", "15000"),
        ("15.000", "en", "IDR", "15000"),
        ("Rp1.474.248.000", "en", "IDR", "1474248000"),
        ("1,474,248,000", "id", "IDR", "1474248000"),
        ("1.474.248.000,5", "id", "IDR", "1474248000.5"),
        ("0.25", "id", "IDR", "0.25"),
        ("-2", "en", None, "-2"),
        (" ", "en", None, None),
    ],
)
def test_numbers_are_read_in_the_notation_of_the_page(
    text: str, language: Language, currency: Currency | None, number: str | None
) -> None:
    expected = None if number is None else Decimal(number)
    assert parse_number(text, language, currency) == expected


def test_a_number_that_is_none_or_could_be_a_thousand_times_larger_is_asked_about() -> None:
    languages: tuple[tuple[str, Language], ...] = (("1.125", "id"), ("1,125", "en"))
    for quantity, language in languages:
        with pytest.raises(ValueError, match="could be 1125 or"):
            parse_number(quantity, language)
    for nonsense in ("nonsense", "NaN", "1e", "--1", "Infinity"):
        with pytest.raises(ValueError, match="is not a number"):
            parse_number(nonsense, "en", "USD")


def test_a_number_is_sent_without_an_exponent_and_as_fine_as_the_api_accepts() -> None:
    assert format_for_api(Decimal("4.5e-06")) == "0.0000045"
    assert format_for_api(Decimal("1E+3")) == "1000"
    assert format_for_api(Decimal(1) / Decimal(3)) == "0.333333333333333333"


def test_a_trade_is_one_row_with_both_coins_and_no_amount_while_amounts_are_hidden() -> None:
    names = {"bitcoin": "Bitcoin (BTC)", "ethereum": "Ethereum (ETH)"}
    row = build_transaction_row(formatter(), TRADE, names, has_wallets=True)
    assert row.cells[1:3] == ["Trade", "Bitcoin (BTC) → Ethereum (ETH)"]
    assert row.cells[3] == (-0.5, "\N{MINUS SIGN}0.5 → 14.2")
    assert row.cells[5] == (45_500.0, "$45,500.00")
    hidden = build_transaction_row(formatter(hide_amounts=True), TRADE, names, has_wallets=False)
    assert hidden.cells[3:7] == [
        (None, f"{HIDDEN} → {HIDDEN}"), (None, HIDDEN), (None, HIDDEN), (None, HIDDEN)
    ]  # fmt: skip
    assert "45,500" not in str(hidden)
    coins = {"coin": {"name": "Bitcoin"}, "to_coin": None, "message": "the fee of 45,500 PEPE"}
    new = TRADE | coins | {"line": 9, "status": "new"}
    line = build_line_row(formatter(hide_amounts=True), new)
    assert line.cells[5:] == [*[(None, HIDDEN)] * 3, HIDDEN]
    assert "45,500" not in str(line)


def test_hidden_amounts_leave_the_profit_as_a_share_of_what_was_invested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    charts: list[Chart] = []
    monkeypatch.setattr(figures, "show_chart", lambda _key, chart, _formatter: charts.append(chart))
    history = [
        {
            "valued_at": NOW.isoformat(),
            "net_worth_usd": worth,
            "net_invested_usd": "1000",
        }
        for worth in ("1000", "1100", None)
    ]

    def draw(viewer: Formatter) -> Chart:
        figures.show_net_worth(viewer, history, "60d")
        return charts[-1]

    assert list(draw(formatter()).series[0].values) == [1000.0, 1100.0, None]
    assert list(draw(formatter(hide_amounts=True)).series[0].values) == [
        0.0, pytest.approx(0.1), None
    ]  # fmt: skip


class Api:
    """An API with one coin, which records what is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, method: str, path: str, content: Any = None) -> None:
        self.sent.append((method, path, content))


def test_a_reward_and_a_transfer_are_entered_after_another_kind_was_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Streamlit forgets the fields that a kind does not have."""

    def dialog() -> None:
        import streamlit as st

        from services.dashboard.portfolio import transaction_dialog
        from tests.services.dashboard.test_dashboard import formatter

        if "tx_kind" not in st.session_state:
            fields = transaction_dialog._read_fields(formatter(), None) | {"coin": "bitcoin"}
            for name, value in fields.items():
                st.session_state[f"tx_{name}"] = value
        transaction_dialog._show(None)

    api = Api()
    monkeypatch.setattr(data, "api_client", lambda: api)
    monkeypatch.setattr(data, "current_formatter", formatter)
    monkeypatch.setattr(data, "get_content", lambda *_, **_query: None)
    coin = {"coin_id": "bitcoin", "name": "Bitcoin", "symbol": "btc"}
    monkeypatch.setattr(data, "list_coins", lambda: [coin])
    app = AppTest.from_function(dialog).run()
    stored = NOW.replace(second=7)  # edited: the fields have no seconds
    app.session_state["tx_made_at"] = stored
    for kind in ("reward", "buy", "transfer"):
        app.button_group(key="tx_kind").set_value(kind).run()
        app.text_input(key="tx_quantity").set_value("0.5").run()
        app.text_input(key="tx_fee").set_value("0.1").run()
        assert not app.exception
        if kind != "buy":
            app.button[0].click().run()
    reward, transfer = (content for _, _, content in api.sent)
    assert transfer["made_at"] == stored.isoformat()
    assert (reward["kind"], reward["fee"], "price" in reward) == ("reward", "0.1", False)
    assert (transfer["kind"], transfer["to_wallet"], transfer["quantity"]) == (
        "transfer",
        "",
        "0.5",
    )
