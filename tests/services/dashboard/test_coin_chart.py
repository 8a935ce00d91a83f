"""The chart of a coin, from the API's response. Pure functions."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.dashboard.coin.chart import ComparedCoin, build_coin_chart
from services.dashboard.coin.controls import CoinView
from services.dashboard.coin.facts import format_facts, format_title
from services.dashboard.elements.chart import Chart, Span, describe_chart
from services.dashboard.formatting import HIDDEN, Formatter
from services.dashboard.pages.coin import describe_forecast
from tests.conftest import NOW

FORMATTER = Formatter("USD", ZoneInfo("Europe/Berlin"), False, 16_000.0, NOW)
VIEW = CoinView("24h", has_candles=False, is_log=False, has_volume=True, compared=None)
STEP = 300
START = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
FORECAST = {
    "made_at": (START + timedelta(minutes=60)).isoformat(),
    "due_at": (START + timedelta(minutes=70)).isoformat(),
    "price_usd": 100.0,
    "predicted_usd": 101.0,
    "low_usd": 99.0,
    "high_usd": 103.0,
    "direction": "neutral",
}


def _at(minute: int) -> str:
    return (START + timedelta(minutes=minute)).isoformat()


def _seconds(minute: int) -> int:
    return int((START + timedelta(minutes=minute)).timestamp())


def _point(minute: int, price: float, **changes: Any) -> dict[str, Any]:
    return {
        "observed_at": _at(minute),
        "open_usd": price - 1,
        "price_usd": price,
        "low_usd": price - 2,
        "high_usd": price + 2,
        "volume_24h_usd": 1e9,
        "observations": 1,
        "backfilled": 0,
    } | changes


def _page(**changes: Any) -> dict[str, Any]:
    points = [_point(minute, 100.0 + minute) for minute in range(0, 60, 5)]
    return {
        "coin": {
            "coin_id": "bitcoin",
            "name": "<b>Bit</b>coin",
            "symbol": "btc",
            "rank": 1,
            "price_usd": 96.0,
            "market_cap_usd": 2e12,
            "volume_24h_usd": None,
            "observed_at": (NOW - timedelta(minutes=3)).isoformat(),
            "source": "observed",
        },
        "change_1h": 0.012,
        "change_24h": -0.03,
        "change_7d": None,
        "low_24h_usd": 90.0,
        "high_24h_usd": 100.0,
        "history": {"start": _at(0), "end": _at(60), "step_seconds": STEP, "points": points},
        "forecast": None,
        "alerts": [],
        "gaps": [],
        "price_targets": [],
        "transactions": [],
    } | changes


def _history(*points: dict[str, Any], start: str | None = None) -> dict[str, Any]:
    end = _at(60)
    return {"start": start or _at(0), "end": end, "step_seconds": STEP, "points": points}


def _build(view: CoinView = VIEW, formatter: Formatter = FORMATTER, **changes: Any) -> Chart:
    return build_coin_chart(formatter, _page(**changes), view)


def test_a_missing_stretch_interrupts_the_line_and_is_hatched_and_backfilled_ones_are_tinted() -> (
    None
):
    points = [_point(minute, 1.0) for minute in (0, 5, 10, 15, 45, 50)]
    points[1]["backfilled"] = 1
    points[2] |= {"backfilled": 1, "observations": 2}
    points[4] |= {"backfilled": 1, "observations": 5}  # mostly observed
    chart = _build(history=_history(*points))
    price, volume = chart.series
    assert price.values == [1.0] * 4 + [None] + [1.0] * 2
    assert len(price.values) == len(price.times) == len(volume.values)
    middle = STEP // 2
    hole = Span(_seconds(15) + middle, _seconds(45) + middle, "gap")
    tinted = Span(_seconds(5), _seconds(15), "backfilled")
    assert chart.spans == [hole, tinted]
    # The API's gap stands in its place where it knows one.
    known = {"start": _at(20), "stop": _at(45)}
    assert _build(history=_history(*points), gaps=[known]).spans[0] == Span(
        _seconds(20), _seconds(45), "gap"
    )
    assert [entry.name for entry in chart.legend] == ["gap", "backfilled"]


def test_candles_have_all_four_prices_in_the_viewers_currency() -> None:
    rupiah = replace(FORMATTER, chosen_currency="IDR")
    chart = _build(VIEW._replace(has_candles=True), rupiah)
    candles = chart.series[0]
    assert (candles.kind, candles.step, chart.unit) == ("candles", STEP, "IDR")
    assert candles.times[:2] == [_seconds(0), _seconds(5)]
    first = [column[0] for column in (candles.open, candles.high, candles.low, candles.values)]
    assert first == [99 * 16_000, 102 * 16_000, 98 * 16_000, 100 * 16_000]


def test_the_forecast_is_in_the_short_periods_only() -> None:
    chart = _build(forecast=FORECAST)
    assert [series.name for series in chart.series] == ["Price", "Volume, 24 h", "Next 10 min"]
    [band] = chart.bands
    assert (band.times, band.low, band.high) == (
        [_seconds(60), _seconds(70)],
        [100, 99],
        [100, 103],
    )
    assert chart.stop == _seconds(70)
    week = _build(VIEW._replace(period="7d", has_volume=False), forecast=FORECAST)
    assert ([series.name for series in week.series], week.bands) == (["Price"], [])
    unknown = FORECAST | {"low_usd": None, "high_usd": None}
    assert _build(forecast=unknown).bands == []


def test_two_coins_are_changes_since_the_start_and_everything_else_follows() -> None:
    other = ComparedCoin("Ether", [_point(0, 10.0), _point(5, 11.0)], STEP)
    target = {"state": "open", "price": "150", "currency": "usd"}
    page = _page(price_targets=[target], forecast=FORECAST)
    chart = build_coin_chart(FORMATTER, page, VIEW._replace(is_log=True), other)
    own, second = chart.series
    assert own.values[0] == 0.0
    assert own.values[-1] == pytest.approx(0.55)
    assert second.values == [0.0, pytest.approx(0.1)]
    assert (chart.unit, chart.is_log, chart.bands) == ("percent", False, [])
    assert chart.levels[0].value == pytest.approx(0.5)


def test_alerts_targets_and_own_transactions_are_marked() -> None:
    alert = {"observed_at": _at(10), "kind": "panic", "price_usd": 110.0, "move": -0.05}
    buy = {"made_at": _at(20), "kind": "buy", "quantity": "0.5", "price_usd": "90", "note": ""}
    changes: dict[str, Any] = {
        "alerts": [alert | {"why": "It fell."}, alert | {"observed_at": _at(-60), "why": ""}],
        "price_targets": [
            {"state": "open", "price": "1600000", "currency": "idr"},
            {"state": "fired", "price": "90", "currency": "usd"},
        ],
        "transactions": [buy, buy | {"kind": "reward", "price_usd": "0", "made_at": _at(30)}],
    }
    chart = _build(**changes)
    fall, bought, reward = chart.marks
    assert (fall.shape, fall.color, fall.value) == ("down", "fall", 110.0)
    assert fall.text.endswith("5.0%: It fell.")
    assert (bought.text, bought.value) == ("Bought: 0.5 at $90.00", 90.0)
    assert (reward.text, reward.value) == ("Reward: 0.5", 125.0)  # the price of that time
    assert [(level.value, level.text) for level in chart.levels] == [(100.0, "target Rp1,600,000")]
    # Hidden amounts: neither in words nor as the height of the mark.
    hidden = _build(formatter=replace(FORMATTER, hide_amounts=True), **changes)
    assert [(mark.text, mark.value) for mark in hidden.marks[1:]] == [
        ("Bought", 115.0),
        ("Reward", 125.0),
    ]


@pytest.mark.parametrize(("day", "hours"), [("2026-10-25", 25), ("2026-03-29", 23)])
def test_the_times_of_a_day_with_a_clock_change_are_sent_in_equal_steps(
    day: str, hours: int
) -> None:
    local = datetime.fromisoformat(day).replace(tzinfo=FORMATTER.zone)
    start = local.astimezone(UTC)
    points = [
        _point(0, 1.0) | {"observed_at": (start + timedelta(minutes=5 * n)).isoformat()}
        for n in range(hours * 12)
    ]
    end = (start + timedelta(hours=hours)).isoformat()
    history = _history(*points, start=start.isoformat()) | {"end": end}
    sent = describe_chart(_build(history=history), FORMATTER)
    times = sent["series"][0]["times"]
    assert {after - before for before, after in itertools.pairwise(times)} == {STEP}
    assert None not in sent["series"][0]["values"]
    assert (sent["spans"], sent["to"] - sent["from"]) == ([], hours * 3600)
    assert sent["zone"] == "Europe/Berlin"


def test_no_point_and_one_point_make_a_chart() -> None:
    assert _build(history=_history()).series[0].values == []
    assert _build(history=_history(_point(5, 1.0))).series[0].values == [1.0]
    raw = _history(_point(0, 1.0), _point(15, 1.0), _point(30, 2.0)) | {"step_seconds": 0.0}
    # Raw points have no step: their usual distance counts.
    assert _build(history=raw).series[0].values == [1.0, 1.0, 2.0]


def test_the_title_and_the_facts_escape_the_name_and_say_what_is_unknown() -> None:
    page = _page()
    title = format_title(FORMATTER, page, is_old=False)
    assert "<h1>&lt;b&gt;Bit&lt;/b&gt;coin <small>BTC · #1</small></h1>" in title
    assert title.count('class="ms-rise"') == title.count('class="ms-fall"') == 1
    assert '<b class="ms-flat">—</b>' in title
    facts = format_facts(FORMATTER, page, is_old=True)
    assert "left: 60.0%" in facts  # 96 of 90 to 100
    assert (
        'href="https://www.coingecko.com/en/coins/bitcoin" target="_blank" rel="noopener"' in facts
    )
    assert "3 min ago" in facts
    assert "ms-old" in facts
    unknown = format_facts(FORMATTER, page | {"low_24h_usd": None}, is_old=False)
    assert "ms-range" not in unknown


def test_the_next_ten_minutes_are_one_sentence() -> None:
    text = describe_forecast(FORMATTER, FORECAST).replace("\\", "")
    assert text == "Next 10 min: $99.00 to $103.00 (4 of 5), no direction"
    early = describe_forecast(FORMATTER, FORECAST | {"low_usd": None, "direction": "bullish"})
    assert early == "Next 10 min: rising; the range is not known yet."
    assert "an hour of prices" in describe_forecast(FORMATTER, None)
    assert HIDDEN not in text
