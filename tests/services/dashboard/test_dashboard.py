"""How the pages show names, amounts, times, tables and charts. Pure functions."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown import markdown
from streamlit.testing.v1 import AppTest

from safe_zone import ROOT
from sentinel.amounts import MINUS, UNKNOWN, Currency
from services.dashboard import data, text
from services.dashboard.elements.equity_chart import build_equity_chart
from services.dashboard.elements.forecast_scores import (
    build_score_row,
    drop_repeated,
    format_score,
    list_metrics,
)
from services.dashboard.formatting import (
    HIDDEN,
    Formatter,
    list_time_zones,
)
from services.dashboard.pages import paper_trading
from tests.conftest import NOW

JAKARTA = ZoneInfo("Asia/Jakarta")


def formatter(
    currency: Currency = "USD", *, hide_amounts: bool = False, rate: float | None = 16_000.0
) -> Formatter:
    return Formatter(currency, JAKARTA, hide_amounts, rate, NOW)


@given(st.text(max_size=60))
def test_an_escaped_name_contains_no_markup(name: str) -> None:
    """A CommonMark parser turns an escaped name into plain text: no tag, link or image."""
    html = markdown(f"x {text.escape_markdown(name)}")
    inner = html.removeprefix("<p>").removesuffix("</p>")
    assert "<" not in inner


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "[x](https://evil)",
        "![x](https://evil/x.png)",
        ":red[x]",
        "$x$",
    ],
)
def test_markup_in_a_name_is_escaped_for_markdown(name: str) -> None:
    assert not set("<[!:$") & {
        after
        for before, after in zip(
            " " + text.escape_markdown(name), text.escape_markdown(name), strict=False
        )
        if before != "\\"
    }


def test_amounts_are_written_in_the_notation_of_the_language() -> None:
    assert formatter().price(92_140.123) == "$92,140.12"
    assert formatter().price(0.0000047123) == "$0.000004712"
    assert formatter("IDR").price(92_140.5) == "Rp1,474,248,000"
    assert replace(formatter("IDR"), language="id").price(92_140.5) == "Rp1.474.248.000"
    assert formatter().compact_amount(1.7e12) == "$1.70T"
    assert formatter().price(None) == UNKNOWN


def test_without_an_exchange_rate_amounts_are_shown_in_usd() -> None:
    assert formatter("IDR", rate=None).price(2.0) == "$2.00"
    assert formatter("IDR", rate=None).currency == "USD"


def test_a_change_that_is_rounded_to_zero_has_no_sign() -> None:
    changes = (-0.0004, -0.0, 0.0005, -0.0006)
    written = ["0.0%", "0.0%", "0.0%", f"{MINUS}0.1%"]
    assert [formatter().percent(change) for change in changes] == written


def test_hidden_amounts_leave_percentages() -> None:
    hidden = formatter(hide_amounts=True)
    assert (hidden.own_amount("123.4", "USD"), hidden.quantity("0.5")) == (HIDDEN, HIDDEN)
    assert hidden.percent(0.0312) == "+3.1%"


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(0, "0 s"), (59, "59 s"), (120, "2 min"), (7200, "2 h"), (3 * 86_400, "3 days"), (-5, "0 s")],
)
def test_an_age_is_shown_in_a_suitable_unit(seconds: int, age: str) -> None:
    assert text.format_age(timedelta(seconds=seconds)) == age


def test_times_are_shown_in_the_viewers_zone() -> None:
    assert formatter().time("2026-11-20T07:05:00Z") == "14:05"
    assert formatter().time("2026-11-18T20:05:00Z") == "19 Nov 03:05"


def test_the_configured_zone_and_the_browsers_zone_are_listed_first() -> None:
    assert list_time_zones("Asia/Jakarta", "Europe/Vienna")[:2] == ["Asia/Jakarta", "Europe/Vienna"]
    assert list_time_zones("UTC", "Europe/Vienna")[:2] == ["Europe/Vienna", "UTC"]
    assert list_time_zones("UTC", "Not/AZone")[0] == "UTC"


def _score(**figures: Any) -> dict[str, Any]:
    return {
        "hours": 168,
        "scored": 2000,
        "mase": 1.12,
        "hit_rate": 0.47,
        "directional": 140,
        "direction_result": "no edge",
        "coverage": 0.803,
        "with_interval": 1900,
        "calm": {"coverage": 0.79, "forecasts": 640},
        "middle": {"coverage": 0.8, "forecasts": 640},
        "wild": {"coverage": 0.82, "forecasts": 20},
        "interval_score": 0.0042,
        "no_change_interval_score": 0.0044,
        "result": "no edge",
    } | figures


FEW = {"coverage": 1.0, "forecasts": 1}


def test_a_track_record_names_what_band_and_directions_are_worth_with_their_numbers() -> None:
    text = format_score(formatter(), _score()).replace("\\", "")
    assert "held 80.3% of 1,900 prices (calm hours: 79.0% of 640, wild hours: too early);" in text
    assert "right in 47.0% of 140: no better than tossing a coin" in text
    few = format_score(formatter(), _score(direction_result="too early", directional=12))
    assert few.replace("\\", "").endswith("Its 12 directions are too few to judge.")
    empty = _score(result="too early", scored=12, mase=None)
    text = format_score(formatter(), empty).replace("\\", "")
    assert text.endswith("too early to tell (12 forecasts scored).")


def test_a_figure_of_too_few_forecasts_is_too_early() -> None:
    figures = {"result": "too early", "mase": 3.0, "interval_score": 0.1, "directional": 0}
    score = _score(scored=1, with_interval=1, calm=FEW, middle=FEW, wild=FEW, **figures)
    row = build_score_row(formatter(), "bitcoin", "Bitcoin", score)
    coin, scored, *others = row.cells
    assert (coin, scored, row.href) == ("Bitcoin", (1, "1"), "coin?coin=bitcoin")
    assert {text for _, text in others} == {"too early"}
    assert {figure for _, figure, _ in list_metrics(formatter(), score)} == {"too early"}


def test_the_forecasts_page_has_four_metrics_and_two_sentences_and_shows_equal_spans_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def page() -> None:
        from services.dashboard.pages import forecasts

        forecasts.show()

    day, week = _score(hours=24), _score()
    assert drop_repeated([day, week]) == [day]
    assert len(drop_repeated([day, week | {"scored": 2001}])) == 2
    monkeypatch.setattr(data, "current_formatter", formatter)
    monkeypatch.setattr(data, "has_prices", lambda: True)
    monkeypatch.setattr(data, "fetch", lambda *_, **_query: {"scores": [day, week], "coins": []})
    monkeypatch.setattr(data, "list_coins", list)
    app = AppTest.from_function(page).run()
    assert app.subheader[0].value == "All coins, last day"
    assert [(metric.label, metric.value, metric.delta) for metric in app.metric] == [
        ("Band held", "80.3%", "of 1,900 prices"),
        ("In calm hours", "79.0%", "of 640 prices"),
        ("In wild hours", "too early", "of 20 prices"),
        ("Score of the band", "0.42%", "no change: 0.44%"),
    ]
    assert app.caption[0].value.count("\\. ") == 1


def test_a_wallets_ratios_are_shown_only_if_the_api_returns_them() -> None:
    ratios = {"sharpe": 1.4, "sortino": None, "win_rate": 0.57}
    names = ("total_return", "buy_and_hold_return", "max_drawdown", "exposure")
    wallet = dict.fromkeys(names, 0.05) | {"final_usd": 100.0, "fees_usd": 1.0, "trades": 14}
    figures = dict(paper_trading.list_figures(formatter(), wallet | ratios | {"refused_fills": 0}))
    assert (figures["Maximum drawdown"], figures["Sharpe ratio"]) == ("5.0%", "1.40")
    assert figures["Sales with a profit"] == "57.0%"
    assert "Sortino ratio" not in figures


def test_an_equity_curve_has_buy_and_hold_beside_it_and_marks_its_trades() -> None:
    at = [(NOW + timedelta(hours=n)).isoformat() for n in range(3)]
    points = [
        {"valued_at": time, "value_usd": 100.0 + n, "buy_and_hold_usd": 100.0 - n}
        for n, time in enumerate(at)
    ]
    trade = {"traded_at": at[1], "coin_id": "bitcoin", "side": "buy", "price_usd": "90000"}
    trades = [trade, trade | {"side": "close", "traded_at": at[2]}]
    detail = {"curve": points, "trades": trades}
    chart = build_equity_chart(formatter("IDR"), "mine", detail, {"bitcoin": "Bitcoin (BTC)"})
    own, hold = chart.series
    assert (own.values[2], hold.values[2]) == (102 * 16_000, 98 * 16_000)
    [mark] = chart.marks
    assert (mark.text, mark.value) == ("Bitcoin (BTC) bought at Rp1,440,000,000", 101 * 16_000)


def _coin(coin_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "coin_id": coin_id,
        "rank": 1,
        "name": "Bitcoin",
        "symbol": "btc",
        "price_usd": 110.0,
        "market_cap_usd": 1.7e12,
        "volume_24h_usd": 5.0,
        "observed_at": (NOW - timedelta(minutes=7)).isoformat(),
    } | changes


def test_coins_with_equal_names_are_shown_with_their_ids() -> None:
    coins = [_coin("pepe", name="Pepe"), _coin("pepe-of-wisdom", name="Pepe"), _coin("solana")]
    assert text.unique_coin_names(coins) == {
        "pepe": "Pepe (BTC) · pepe",
        "pepe-of-wisdom": "Pepe (BTC) · pepe-of-wisdom",
        "solana": "Bitcoin (BTC)",
    }
    symbols = {"pepe": "BTC · pepe", "pepe-of-wisdom": "BTC · pepe-of-wisdom", "solana": "BTC"}
    assert text.format_symbols(coins) == symbols


def test_a_time_of_another_year_is_shown_with_its_year() -> None:
    assert formatter().time("2025-03-01T00:00:00Z") == "1 Mar 2025 07:00"


def test_the_folder_of_the_streamlit_script_hides_no_module_and_has_no_pages_beside_it() -> None:
    """Streamlit puts this folder first on the import path, and reads a folder `pages` in it."""
    folder = ROOT / "services" / "dashboard" / "app"
    own = {path.stem for path in folder.iterdir()} - {"__init__", "__pycache__"}
    assert own == {"main"}
    assert not own & {path.stem for path in ROOT.glob("*.py")}
    assert not own & set(sys.stdlib_module_names)


def test_the_dashboard_reads_the_api_over_http_only() -> None:
    for path in (ROOT / "services" / "dashboard").rglob("*.py"):
        source = path.read_text()
        for other in ("services.api", "services.ingestion", "psycopg", "sentinel.storage"):
            assert not re.search(rf"{re.escape(other)}\b(?!`)", source), path
