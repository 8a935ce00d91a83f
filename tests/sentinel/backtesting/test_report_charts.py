"""The charts of a report: what thinning keeps, and how trades are marked."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from sentinel.backtesting import engine, report_charts, strategies
from sentinel.backtesting.backtest_report import BacktestReport, build_report, report_coin
from tests.sentinel.backtesting.test_engine import COSTS, prices, signals_of


def report_of(orders: int) -> BacktestReport:
    """Return the report of a strategy that buys and sells in turn."""
    series, cash = prices(*np.linspace(100, 120, orders + 5)), Decimal(1000)
    shares = [(1.0, -1.0)[number % 2] for number in range(orders)] + [0.0] * 5
    result = engine.run_backtest(series, signals_of(shares), COSTS, cash)
    signals = strategies.load("hold").build_signals(series)
    holding = engine.run_backtest(series, signals, COSTS, cash)
    return build_report("mine", [report_coin("bitcoin", series, result, holding)], COSTS)


def fills_of(report: BacktestReport) -> Any:
    described: Any = report_charts.describe_charts(report)
    return described["charts"]["coin-0"]["fills"]


def test_a_thinned_curve_keeps_its_ends_highs_and_lows() -> None:
    curve = np.zeros(10_000)
    curve[[1234, 7777]] = 9, -9
    kept = report_charts.thin_extremes([curve, -curve], 400)
    assert {0, 1234, 7777, 9_999} <= set(kept.tolist())
    assert len(kept) <= 402
    assert report_charts.thin_extremes([curve[:400]], 400).tolist() == list(range(400))


def test_each_order_has_a_mark_but_the_pretended_sale_has_none() -> None:
    fills = fills_of(report_of(3))
    assert (fills["bought"], fills["is_tick"]) == ([1, 0, 1], False)


def test_more_than_a_hundred_trades_are_marked_by_ticks() -> None:
    assert not fills_of(report_of(100))["is_tick"]
    assert fills_of(report_of(102))["is_tick"]
