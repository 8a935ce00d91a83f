"""Performance figures: ratios, drawdowns, and when they are left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from sentinel.backtesting import metrics
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.metrics import Performance
from sentinel.backtesting.portfolio import Trade, TradeSide
from sentinel.backtesting.price_series import Floats
from sentinel.backtesting.round_trips import RoundTrip, build_round_trips
from tests.sentinel.backtesting.test_engine import DAY, FREE, HOUR, START, prices, run

HUNDRED = Decimal(100)


def result_of(
    times: Floats, equity: Sequence[float] | Floats, exposure: Floats | None = None
) -> BacktestResult:
    """Return a result that begins with 100 USD and has no trades."""
    exposure = np.zeros(len(times)) if exposure is None else exposure
    values = np.array(equity, dtype=np.float64)
    return BacktestResult(times, HUNDRED, HUNDRED, [], [], 0, values, exposure)


def daily(*equity: float) -> BacktestResult:
    return result_of(START + np.arange(float(len(equity))) * DAY, equity)


def trips_of(*gains: float, days: float = 2.0) -> list[RoundTrip]:
    """Return closed round trips of 100 USD each, one after another."""
    trades = [
        trade
        for number, gain in enumerate(gains)
        for trade in (
            _trade(number * 5 * DAY, "buy", 1, -100),
            _trade((number * 5 + days) * DAY, "sell", -1, 100 + gain),
        )
    ]
    return build_round_trips("bitcoin", trades)


def _trade(seconds: float, side: TradeSide, quantity: int, cash: float) -> Trade:
    price = Decimal(abs(cash)) / abs(quantity)
    return Trade(START + seconds, side, price, Decimal(quantity), Decimal(cash), Decimal(0))


# --- ratios ----------------------------------------------------------------------------------


def test_ratios_of_daily_returns_match_a_calculation_by_hand() -> None:
    returns = np.array([0.02, -0.01, 0.03, 0.0])
    # Mean 0.01; squares of the differences 1, 4, 4, 1 e-4: their sum over 3 is 10/3 e-4.
    assert metrics.sharpe(returns) == pytest.approx(0.01 / math.sqrt(10e-4 / 3) * math.sqrt(365))
    assert metrics.volatility(returns) == pytest.approx(math.sqrt(10e-4 / 3 * 365))
    # Downside: 1e-4 over four days, so 0.005.
    assert metrics.sortino(returns) == pytest.approx(0.01 / 0.005 * math.sqrt(365))
    assert metrics.sharpe(returns[:1]) is None
    assert metrics.sharpe(np.zeros(5)) is None
    assert metrics.sortino(np.array([0.01, 0.02])) is None


@pytest.mark.parametrize("value", [0.01, 0.003, -0.1])
def test_constant_returns_have_no_sharpe_ratio(value: float) -> None:
    assert metrics.sharpe(np.full(20, value)) is None


def test_daily_returns_run_from_the_end_of_one_utc_day_to_the_next() -> None:
    hours = np.array([6, 23, 24, 47.9, 50, 71])
    curve = result_of(START + hours * HOUR, [100.0, 110, 999, 99, 0.5, 198])
    # Days end at 110 (23:00), 99 (23:54) and 198; the first began with 100.
    assert metrics.daily_returns(curve) == pytest.approx([0.1, -0.1, 1.0])


def test_a_day_without_a_price_has_a_return_of_zero() -> None:
    """Weekly prices are not daily returns: sqrt(365) would make their ratio sqrt(7) too large."""
    values = np.array([100.0, 102, 101, 104, 103, 107])
    weekly = result_of(START + np.arange(6.0) * 7 * DAY, values)
    expected = metrics.sharpe(metrics.daily_returns(daily(*np.repeat(values, 7)[:36])))
    assert metrics.sharpe(metrics.daily_returns(weekly)) == pytest.approx(expected)


def test_monthly_returns_multiply_to_the_return_of_the_whole() -> None:
    first = datetime(2025, 11, 20, tzinfo=UTC).timestamp()
    equity = 100 * 1.01 ** np.arange(1.0, 61.0)
    found = metrics.monthly_returns(result_of(first + np.arange(60.0) * DAY, equity))
    assert list(found) == [(2025, 11), (2025, 12), (2026, 1)]
    assert found[2025, 12] == pytest.approx(1.01**31 - 1)
    assert math.prod(1 + each for each in found.values()) == pytest.approx(equity[-1] / 100)


# --- drawdowns -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equity", "expected", "days"),
    [
        ([100, 200, 300], 0, 0),
        ([100, 120, 60, 90, 130, 117], 0.5, 3),  # from day 1 to day 4
        ([90, 95, 99], 0.1, 2),  # the initial 100 is a high, and never comes again
        ([100, 110, 105, 110, 90, 91, 92], 1 - 90 / 110, 3),
        ([50, 0], 1, 1),
    ],
)
def test_drawdowns_run_from_a_high_to_the_next_one(
    equity: list[float], expected: float, days: float
) -> None:
    curve = daily(*equity)
    assert metrics.max_drawdown(curve) == pytest.approx(expected)
    assert metrics.longest_drawdown(curve) == days * DAY


# --- when figures are left out ---------------------------------------------------------------


def _compute(
    trips: Sequence[RoundTrip], days: int = 731, *, is_strategy: bool = True
) -> Performance:
    places = np.arange(float(days))
    result = result_of(
        START + places * DAY,
        100 * 1.21 ** (places / (days - 1)),
        np.where(places < days // 2, 1.0, 0.5),
    )
    result = replace(result, final_usd=Decimal(121))
    return metrics.compute_metrics(result, trips, is_strategy=is_strategy)


TEN = trips_of(*[20.0, -10.0] * 5)


def test_the_figures_of_ten_round_trips_match_a_calculation_by_hand() -> None:
    found = _compute(TEN)
    assert found.cagr == pytest.approx(0.1)  # 1.21 in two years
    assert found.exposure == pytest.approx(0.75)  # half the time all of it, half the time half
    assert found.total_return == pytest.approx(0.21)
    assert found.net_profit_usd == 21
    assert found.round_trips == 10
    assert found.win_rate == 0.5
    assert found.profit_factor == 2  # five gains of 20 over five losses of 10
    assert found.average_trade == pytest.approx(0.05)
    assert found.best_trade == pytest.approx(0.2)
    assert found.worst_trade == pytest.approx(-0.1)
    assert found.average_days_held == pytest.approx(2)
    assert None not in (found.sharpe, found.volatility)


def test_a_curve_that_falls_has_a_calmar_ratio() -> None:
    curve = replace(daily(*[100.0] * 200, 80.0, *[110.0] * 165), final_usd=Decimal(110))
    found = metrics.compute_metrics(curve, TEN)
    assert found.calmar == pytest.approx(0.1 / 0.2)
    assert _compute(TEN).calmar is None  # this one never falls


RATES = ("cagr", "volatility", "sharpe", "sortino", "calmar")
TRADE_RATES = ("win_rate", "profit_factor", "average_trade")


def _known(found: Performance, names: Sequence[str]) -> list[str]:
    return [name for name in names if getattr(found, name) is not None]


def test_a_strategy_with_nine_round_trips_has_facts_but_no_rates() -> None:
    found = _compute(TEN[:9])
    assert _known(found, RATES + TRADE_RATES) == []
    assert found.best_trade == pytest.approx(0.2)
    assert found.average_days_held == pytest.approx(2)
    assert found.total_return == pytest.approx(0.21)


def test_a_span_below_thirty_days_has_no_rates_per_year() -> None:
    found = _compute(TEN, days=30)  # 29 days from the first to the last
    assert _known(found, RATES) == []
    assert found.win_rate == 0.5
    assert _known(_compute(TEN, days=31), RATES)


def test_holding_has_rates_per_year_without_round_trips() -> None:
    found = _compute([], is_strategy=False)
    assert found.cagr == pytest.approx(0.1)
    assert found.sharpe is not None
    assert found.best_trade is None


def test_the_pretended_sale_at_the_end_is_no_trade_and_no_evidence() -> None:
    held = run(prices(*range(100, 140), every=DAY), "hold", FREE)
    found = metrics.compute_metrics(held, build_round_trips("bitcoin", held.trades))
    assert [trade.side for trade in held.trades] == ["buy", "close"]
    assert (found.trades, found.round_trips, found.best_trade) == (1, 0, None)


# --- several coins ---------------------------------------------------------------------------


def test_the_curves_of_coins_are_added_at_all_their_times() -> None:
    one = run(prices(1, 2, 4, every=HOUR), "hold", FREE, HUNDRED)
    other = run(prices(1, 1, 1, every=HOUR, start=START + 1.5 * HOUR), "hold", FREE, Decimal(50))
    found = metrics.combine_results([one, other])
    assert ((found.times - START) / HOUR).tolist() == [0, 1, 1.5, 2, 2.5, 3.5]
    assert found.equity.tolist() == [150, 150, 150, 250, 250, 250]
    assert found.exposure.tolist() == pytest.approx([0, 100 / 150, 100 / 150, 0, 50 / 250, 0])
    together = metrics.compute_metrics(found, [])
    assert (float(together.initial_usd), float(together.final_usd), together.trades) == (
        150,
        250,
        2,
    )
