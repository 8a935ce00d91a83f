"""How things look: other people's texts, amounts, times, pictures. Pure."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown import markdown

from safe_zone import ROOT
from services.dashboard import charts
from services.dashboard import text as words
from services.dashboard.formatting import (
    HIDDEN,
    UNKNOWN,
    Currency,
    Formatter,
    Preferences,
    known_zones,
)
from services.dashboard.pages.overview import day_change, found, market_table
from services.dashboard.pages.portfolio import read_number
from tests.conftest import NOW

JAKARTA = ZoneInfo("Asia/Jakarta")


def viewer(
    currency: Currency = "USD", *, hide_amounts: bool = False, rate: float | None = 16_000.0
) -> Formatter:
    return Formatter(Preferences(currency, JAKARTA, hide_amounts), rate, NOW)


@given(st.text(max_size=60))
def test_no_name_is_markup(text: str) -> None:
    """CommonMark's own reading of an escaped name is the name as text: no tag, link or image."""
    html = markdown(f"x {words.plain(text)}")
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
def test_a_name_meant_as_markup_is_escaped_everywhere(name: str) -> None:
    assert not set("<[!:$") & {
        after
        for before, after in zip(" " + words.plain(name), words.plain(name), strict=False)
        if before != "\\"
    }
    assert "<" not in words.label(name)


def test_amounts_are_written_as_where_the_currency_is() -> None:
    assert viewer().price(92_140.123) == "$92,140.12"
    assert viewer().price(0.0000047123) == "$0.000004712"
    assert viewer("IDR").price(92_140.5) == "Rp1.474.248.000"
    assert viewer().size(1.7e12) == "$1.7T"
    assert viewer().price(None) == UNKNOWN


def test_without_a_rate_rupiah_are_shown_as_dollars_and_never_as_if_a_dollar_were_one() -> None:
    assert viewer("IDR", rate=None).price(2.0) == "$2.00"
    assert viewer("IDR", rate=None).shown_currency == "USD"


def test_the_discreet_see_shares_and_no_amount() -> None:
    quiet = viewer(hide_amounts=True)
    assert (quiet.own("123.4", "USD"), quiet.quantity("0.5")) == (HIDDEN, HIDDEN)
    assert quiet.percent(0.0312) == "+3.1%"
    history = [
        {
            "valued_at": f"2026-11-{day}T00:00:00Z",
            "net_worth_usd": str(1000 + day),
            "net_worth_idr": None,
        }
        for day in range(10, 15)
    ]
    figure = charts.net_worth(quiet, history)
    assert max(figure.data[0].y) < 1  # per cent since the first day
    assert max(charts.net_worth(viewer(), history).data[0].y) == 1014


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (120, "2 min"), (7200, "2 h"), (3 * 86_400, "3 days"), (-5, "0 s")],
)
def test_an_age_is_told_in_the_unit_that_fits(seconds: int, text: str) -> None:
    assert words.age(timedelta(seconds=seconds)) == text


def test_times_are_those_of_the_viewers_zone() -> None:
    assert viewer().at("2026-11-20T07:05:00Z") == "14:05"
    assert viewer().at("2026-11-18T20:05:00Z") == "19 Nov 03:05"
    assert viewer().local("2026-11-20T07:05:00Z") == datetime(2026, 11, 20, 14, 5)  # noqa: DTZ001


def test_the_configured_zone_and_the_browsers_come_first() -> None:
    assert known_zones("Asia/Jakarta", "Europe/Vienna")[:2] == ["Asia/Jakarta", "Europe/Vienna"]
    assert known_zones("UTC", "Europe/Vienna")[:2] == ["Europe/Vienna", "UTC"]
    assert known_zones("UTC", "Not/AZone")[0] == "UTC"


@pytest.mark.parametrize(
    ("text", "currency", "number"),
    [
        ("0.25", "USD", "0.25"),
        ("0,25", "USD", "0.25"),
        ("91,000.50", "USD", "91000.50"),
        ("91,000", "USD", "91000"),
        ("91.123", "USD", "91.123"),
        ("15.000", "IDR", "15000"),
        ("1.474.248.000,5", "IDR", "1474248000.5"),
        ("1.474.248.000", "IDR", "1474248000"),
        ("1500000", "IDR", "1500000"),
        ("0.25", "IDR", "0.25"),
        ("-2", "USD", "-2"),
        ("nonsense", "USD", "nonsense"),
    ],
)
def test_numbers_are_read_as_they_are_written_there(
    text: str, currency: Currency, number: str
) -> None:
    assert read_number(text, currency) == number


def test_a_number_of_coins_that_could_be_a_thousand_times_larger_is_asked_about() -> None:
    for text, currency in (("1.125", "IDR"), ("1,125", "USD")):
        with pytest.raises(ValueError, match="could be 1125 or"):
            read_number(text, currency, is_money=False)  # type: ignore[arg-type]
    assert read_number("1.125", "USD", is_money=False) == "1.125"
    assert read_number("0.125", "IDR", is_money=False) == "0.125"


def _point(minute: int, price: float, *, backfilled: int = 0) -> dict[str, Any]:
    at = NOW.replace(second=0) + timedelta(minutes=minute)
    return {"observed_at": at.isoformat(), "price_usd": price, "backfilled": backfilled}


FORECAST = {
    "made_at": NOW.replace(second=0).isoformat(),
    "due_at": (NOW.replace(second=0) + timedelta(minutes=10)).isoformat(),
    "price_usd": 100.0,
    "slope_per_minute": 0.001,
    "predicted_usd": 101.0,
    "low_usd": 99.0,
    "high_usd": 103.0,
    "coverage": 0.8,
}


def test_the_fit_is_the_line_of_least_squares_through_the_hour() -> None:
    points = [_point(-minute, 100 * math.exp(-0.001 * minute)) for minute in range(0, 60, 5)]
    line = charts.fit_line(FORECAST, points)
    assert line[-1][1] == pytest.approx(100.0)
    assert line[0][1] == pytest.approx(100 * math.exp(-0.06))
    assert line[-1][0] - line[0][0] == timedelta(hours=1)
    assert charts.fit_line(FORECAST, []) == []
    assert charts.fit_line(FORECAST, [_point(-5, 1.0, backfilled=1)]) == []  # as the forecast does


def _figure(points: list[dict[str, Any]], **given_: Any) -> Any:
    return charts.price_history(
        viewer(),
        points,
        timedelta(minutes=5),
        given_.get("forecast"),
        points,
        given_.get("alerts", []),
        given_.get("gaps", []),
        given_.get("watch"),
    )


def test_the_band_is_drawn_ahead_of_the_last_price() -> None:
    figure = _figure([_point(-5, 99.0), _point(0, 100.0)], forecast=FORECAST)
    [band] = [trace for trace in figure.data if "band" in trace.name]
    assert band.fill == "toself"
    assert set(band.y) == {100.0, 103.0, 99.0}
    assert max(band.x) - min(band.x) == timedelta(minutes=10)
    without = _figure([_point(0, 100.0)], forecast=FORECAST | {"low_usd": None, "high_usd": None})
    assert not [trace for trace in without.data if "band" in trace.name]


def test_a_hole_stays_a_hole_and_backfilled_points_are_told_apart() -> None:
    points = [_point(-60, 1.0), _point(-55, 1.1, backfilled=1), _point(0, 1.2)]
    gap = {"start": points[1]["observed_at"], "stop": points[2]["observed_at"]}
    figure = _figure(points, gaps=[gap])
    prices, backfilled = figure.data[0], figure.data[1]
    assert list(prices.y) == [1.0, 1.1, None, 1.2]
    assert (backfilled.name, list(backfilled.y)) == ("backfilled", [1.1])
    assert any(shape.type == "rect" for shape in figure.layout.shapes)


def test_marks_and_alerts_are_in_the_picture() -> None:
    alert = {
        "kind": "panic",
        "observed_at": _point(0, 1.0)["observed_at"],
        "price_usd": 1.0,
        "move": -0.05,
    }
    watch = {"high_usd": 1.2, "low_usd": 0.9}
    figure = _figure([_point(-5, 1.1), _point(0, 1.0)], alerts=[alert], watch=watch)
    assert "panic" in [trace.name for trace in figure.data]
    assert {note.text for note in figure.layout.annotations} == {
        "high-water mark",
        "low-water mark",
    }


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


def test_the_market_sorts_as_numbers_and_says_every_prices_age() -> None:
    coins = [_coin("bitcoin"), _coin("odd", name="Odd", rank=None, market_cap_usd=None)]
    lines = {"bitcoin": [100.0, None, 110.0]}
    table = market_table(viewer(), coins, words.join_names(coins), lines)
    first, second = (table.iloc[n] for n in (0, 1))
    assert first["24 h"] == pytest.approx(0.1)
    assert first["last 24 h"] == [100.0, 110.0]
    assert (first["age"], first["rank"]) == ("7 min", 1)
    assert table["rank"].dtype == "Int64"  # one coin without a rank does not make the others 1.0
    assert second[["rank", "24 h", "market cap"]].isna().all()
    html = table.style.format({"market cap": viewer().size}, na_rep=UNKNOWN).to_html()
    assert UNKNOWN in html
    assert "nan" not in html.lower()


def test_namesakes_are_told_apart_wherever_a_coin_is_chosen() -> None:
    coins = [_coin("pepe", name="Pepe"), _coin("pepe-of-wisdom", name="Pepe"), _coin("solana")]
    assert words.join_names(coins) == {
        "pepe": "Pepe (BTC) · pepe",
        "pepe-of-wisdom": "Pepe (BTC) · pepe-of-wisdom",
        "solana": "Bitcoin (BTC)",
    }
    held = [coin | {"share": 0.5} for coin in coins[:2]]
    labels = charts.allocation(held, words.join_names(held)).data[0].labels
    assert len(set(labels)) == 2  # equal labels would be added together


def test_a_coin_that_was_not_seen_for_hours_has_no_change_of_the_day() -> None:
    old = _coin("bitcoin", observed_at=(NOW - timedelta(hours=23)).isoformat())
    assert day_change(viewer(), old, [100.0]) is None
    assert day_change(viewer(), _coin("bitcoin"), [None, 100.0]) is None
    assert day_change(viewer(), _coin("bitcoin"), [100.0]) == pytest.approx(0.1)


@pytest.mark.parametrize("term", ["BITCO", "btc", "bit", "  bitcoin "])
def test_the_search_looks_into_name_symbol_and_id(term: str) -> None:
    coins = [_coin("bitcoin"), _coin("x", name="Other", symbol="o")]
    assert found(coins, term) == coins[:1]
    assert found(coins, ".*") == []
    assert found(coins, "") == coins


def test_an_axis_in_rupiah_abbreviates_nothing() -> None:
    """Plotly's M is a million; in Indonesian it is a miliar, which is a thousand of them."""
    for figure in (
        charts.net_worth(
            viewer("IDR"),
            [{"valued_at": NOW.isoformat(), "net_worth_usd": "1", "net_worth_idr": "1"}],
        ),
        charts.price_history(viewer("IDR"), [], timedelta(), None, [], [], [], None),
    ):
        assert figure.layout.yaxis.exponentformat == "none"
        assert figure.layout.separators == ",."
        assert figure.layout.yaxis.tickprefix == "Rp"


def test_another_years_moment_says_its_year() -> None:
    assert viewer().at("2025-03-01T00:00:00Z") == "01 Mar 2025 07:00"


def test_no_file_of_the_dashboard_bears_a_name_of_the_roots() -> None:
    """Streamlit puts the folder first on the path of imports: it would be taken for the root's."""
    own = {path.stem for path in (ROOT / "services" / "dashboard").glob("*.py")} - {
        "__init__",
        "__main__",
    }
    assert not own & {path.stem for path in ROOT.glob("*.py")}
    import sys

    assert not own & set(sys.stdlib_module_names)


def test_the_dashboard_knows_the_api_over_http_only() -> None:
    for path in (ROOT / "services" / "dashboard").glob("*.py"):
        source = path.read_text()
        for other in ("services.api", "services.ingestion", "psycopg", "import postgres"):
            assert other not in source.replace("services.api`", ""), path
