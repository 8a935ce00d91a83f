"""The chart of a coin's page: its grid, days, gaps and marks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from sentinel.site.market import HOURS, HourSource
from sentinel.site.market_pages import format_chart_data
from sentinel.site.price_chart import PriceChart, make_chart
from tests.support.market import make_coin
from tests.support.site import NOW

CHARTS_FROM = NOW - timedelta(hours=HOURS - 1)  # 11:00


def _chart(prices: list[float | None]) -> PriceChart:
    chart = make_chart(make_coin(prices_usd=prices), CHARTS_FROM)
    assert chart is not None
    return chart


@pytest.mark.parametrize(
    ("low", "high", "grid", "decimals"),
    [
        (63_324.09, 76_413.02, [77_500, 75_000, 72_500, 70_000, 67_500, 65_000, 62_500], 0),
        (0.9989, 0.9999, [1.0, 0.9998, 0.9996, 0.9994, 0.9992, 0.999, 0.9988], 4),
        (4.61e-6, 4.72e-6, [4.72e-6, 4.7e-6, 4.68e-6, 4.66e-6, 4.64e-6, 4.62e-6, 4.6e-6], 8),
        (2.0, 2.0, [2.02, 2.01, 2.0, 1.99, 1.98], 2),
        (0.0, 0.0, [1.0, 0.0], 0),
    ],
)
def test_lines_lie_at_round_prices_around_all_prices(
    low: float, high: float, grid: list[float], decimals: int
) -> None:
    chart = _chart([high, *[low] * (HOURS - 1)])
    assert chart.grid == pytest.approx(grid)
    assert chart.decimals == decimals


def test_gaps_are_counted_since_the_first_price_and_up_to_the_last_full_hour() -> None:
    prices: list[float | None] = [5.0] * HOURS
    for first, hours in ((0, 20), (30, 1), (50, 3), (HOURS - 3, 3)):
        prices[first : first + hours] = [None] * hours
    chart = _chart(prices)
    assert [(gap.first_hour, gap.hours) for gap in chart.gaps] == [(30, 1), (50, 3), (HOURS - 3, 2)]
    assert chart.gap_hours == 6
    assert chart.begins_at == CHARTS_FROM + timedelta(hours=20)
    assert _chart([5.0] * (HOURS - 1) + [None]).gaps == []


def test_each_utc_day_has_its_own_part_of_the_chart() -> None:
    chart = _chart([float(hour) for hour in range(HOURS)])
    days = chart.days
    assert [day.first_hour for day in days] == [0, 13, 37, 61, 85, 109, 133, 157]
    assert days[0].day == datetime(2026, 11, 13, tzinfo=UTC)
    assert [len(day.prices_usd) for day in (days[0], days[1], days[-1])] == [13, 24, 13]
    assert [day.middle is None for day in days] == [True, *[False] * 6, True]


def test_the_highest_and_the_lowest_price_are_marked_inside_the_drawing() -> None:
    prices: list[float | None] = [5.0] * HOURS
    prices[2], prices[-1] = 10.0, 0.0
    chart = _chart(prices)
    assert (chart.high.at, chart.high.anchor, chart.high.y) == (
        CHARTS_FROM + timedelta(hours=2),
        "start",
        0.0,
    )
    assert (chart.low.at, chart.low.anchor, chart.low.y) == (NOW, "end", 100.0)


def test_the_crosshair_reads_each_hour_and_whether_it_was_backfilled() -> None:
    sources: list[HourSource] = ["observed"] * HOURS
    sources[7] = "backfilled"
    coin = make_coin(prices_usd=[4.7e-06, None, *[4.6e-06] * (HOURS - 2)], sources=sources)
    chart = make_chart(coin, CHARTS_FROM)
    assert chart is not None
    data = json.loads(format_chart_data(chart, coin, CHARTS_FROM))
    assert data["from"] == CHARTS_FROM.timestamp()
    assert data["prices"][:3] == [4.7e-06, None, 4.6e-06]
    assert len(data["prices"]) == HOURS
    assert data["backfilled"] == [7]
    assert (data["low"], data["high"]) == pytest.approx((4.6e-06, 4.7e-06))


def test_a_coin_without_prices_has_no_chart() -> None:
    assert make_chart(make_coin(prices_usd=[None] * HOURS), CHARTS_FROM) is None
