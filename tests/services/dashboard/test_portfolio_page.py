"""The Portfolio page: what a viewer types, and the rows and figures that they see."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sentinel.amounts import Currency, Language
from services.dashboard.elements.chart import Chart
from services.dashboard.elements.number_input import format_for_api, parse_number
from services.dashboard.formatting import HIDDEN, Formatter
from services.dashboard.portfolio import figures
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
