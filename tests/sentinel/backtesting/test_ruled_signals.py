"""Protective exits and order sizes around strategies, beside an independent implementation."""

from __future__ import annotations

import dataclasses
import math
import random
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.backtesting import engine, strategies
from sentinel.backtesting.engine import BacktestResult, Signals
from sentinel.backtesting.order_rules import OrderRules
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import PriceSeries, from_prices
from sentinel.backtesting.ruled_signals import apply_rules
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import ConfigurationError

QUARTER = 900.0
DAY = 86_400.0
COSTS = Costs(Decimal(10), Decimal(5))
FREE = Costs(Decimal(0), Decimal(0))
CASH = Decimal(10_000)


def series_of(*prices: float, backfilled: tuple[int, ...] = ()) -> PriceSeries:
    observed = np.ones(len(prices), dtype=bool)
    observed[list(backfilled)] = False
    return from_prices(
        QUARTER * np.arange(len(prices), dtype=np.float64), np.array(prices, dtype=float), observed
    )


def trade(series: PriceSeries, strategy: Strategy, costs: Costs = FREE) -> BacktestResult:
    return engine.run_backtest(series, strategy.build_signals(series), costs, CASH)


def hold(**rules: float) -> Strategy:
    return strategies.with_rules(strategies.load("hold"), OrderRules(**rules))


def fills(result: BacktestResult) -> list[tuple[int, str]]:
    """Return (index of the fill, the rule that sold or the side) of each trade."""
    return [(int(one.filled_at / QUARTER), one.reason or one.side) for one in result.trades]


def simulate(
    series: PriceSeries, shares: list[float], rules: OrderRules, *, has_costs: bool
) -> list[tuple[int, str]]:
    """Trade share by share with plain Python: an independent implementation of the rules.

    A share of 1 buys with all cash, -1 sells all, 0 does nothing.
    """
    paid_more = Decimal("1.0005") if has_costs else Decimal(1)
    prices = [Decimal(repr(price)) for price in series.prices.tolist()]
    observed = series.is_observed.tolist()
    last = max(n for n, seen in enumerate(observed) if seen)
    found: list[tuple[int, str]] = []
    entry, entered, is_blocked = Decimal(0), 0, False
    for n in range(last):
        if not observed[n]:
            continue
        wanted = ""
        if entry:
            high = max(prices[k] for k in range(entered, n + 1) if observed[k])
            wanted = exit_reason(prices[n], entry, high, rules) or ("sell" if shares[n] < 0 else "")
        elif is_blocked:
            is_blocked = shares[n] > 0
        elif shares[n] > 0:
            wanted = "buy"
        if not wanted or not observed[n + 1]:
            continue
        found.append((n + 1, wanted))
        entry, entered = (prices[n + 1] * paid_more if wanted == "buy" else Decimal(0)), n + 1
        is_blocked = wanted not in ("buy", "sell")
    return found + ([(last, "close")] if entry else [])


def exit_reason(price: Decimal, entry: Decimal, high: Decimal, rules: OrderRules) -> str:
    stop, profit, trailing = (
        Decimal(str(value or 0))
        for value in (rules.stop_loss, rules.take_profit, rules.trailing_stop)
    )
    if stop and price <= entry * (1 - stop):
        return "stop-loss"
    if profit and price >= entry * (1 + profit):
        return "take-profit"
    return "trailing-stop" if trailing and price <= high * (1 - trailing) else ""


def _random_case(seed: int) -> tuple[PriceSeries, list[float], OrderRules]:
    dice = random.Random(seed)
    points = dice.choice([5, 60, 900])
    steps = np.random.default_rng(seed).normal(0, dice.choice([0.002, 0.02]), points)
    backfilled = tuple(n for n in range(1, points) if dice.random() < dice.choice([0, 0.05]))
    series = series_of(*(100 * np.exp(np.cumsum(steps))).tolist(), backfilled=backfilled)
    shares: list[float] = []
    while len(shares) < points:
        shares += [dice.choice([-1.0, 0.0, 1.0, 1.0])] * dice.randint(1, points // 4)
    chosen = {
        name: dice.choice([0.01, 0.03, 0.1])
        for name in ("stop_loss", "take_profit", "trailing_stop")
        if dice.random() < 0.6
    }
    return series, shares[:points], OrderRules(**chosen)


def _run(
    series: PriceSeries, shares: list[float], rules: OrderRules, costs: Costs, *, asks_always: bool
) -> BacktestResult:
    """Run shares as an array of signals, or as a function that is asked at every observation."""
    places = range(len(shares))
    buys = places if asks_always else [n for n in places if shares[n] > 0]
    sells = places if asks_always else [n for n in places if shares[n] < 0]
    signals = Signals(buys, sells, lambda index, _portfolio: shares[index])
    return engine.run_backtest(series, apply_rules(signals, rules, series), costs, CASH)


@given(seed=st.integers(0, 2**32), has_costs=st.booleans(), asks_always=st.booleans())
def test_exits_are_those_of_an_implementation_without_numpy(
    seed: int, has_costs: bool, asks_always: bool
) -> None:
    series, shares, rules = _random_case(seed)
    costs = COSTS if has_costs else FREE
    found = fills(_run(series, shares, rules, costs, asks_always=asks_always))
    assert found == simulate(series, shares, rules, has_costs=has_costs)


def test_a_threshold_is_filled_at_the_price_after_it_was_crossed() -> None:
    stopped = trade(series_of(100, 100, 96, 95, 80, 200), hold(stop_loss=0.05))
    assert fills(stopped) == [(1, "buy"), (4, "stop-loss")]
    assert stopped.trades[1].price_usd == 80  # and not 95
    taken = trade(series_of(100, 100, 109, 110, 105, 50), hold(take_profit=0.1))
    assert fills(taken) == [(1, "buy"), (4, "take-profit")]
    trailed = trade(series_of(100, 100, 200, 181, 180, 150, 300), hold(trailing_stop=0.1))
    assert fills(trailed) == [(1, "buy"), (5, "trailing-stop")]


def test_backfilled_prices_cross_no_threshold_and_set_no_high() -> None:
    found = trade(series_of(100, 100, 50, 100, 100, backfilled=(2,)), hold(stop_loss=0.05))
    assert fills(found) == [(1, "buy"), (4, "close")]
    found = trade(series_of(100, 100, 500, 100, 100, backfilled=(2,)), hold(trailing_stop=0.1))
    assert fills(found) == [(1, "buy"), (4, "close")]


def test_after_an_exit_a_signal_must_end_before_it_buys_again(tmp_path: Path) -> None:
    # Down 10 %, and up again without end: hold is never at or below 0 again.
    series = series_of(100, 100, 90, 90, 100, 110, 120, 130, 140)
    assert fills(trade(series, hold(stop_loss=0.05))) == [(1, "buy"), (3, "stop-loss")]
    path = tmp_path / "own.py"
    path.write_text(
        "def decide(history, portfolio):\n    return 0 if history.prices[-1] == 110 else 1\n"
    )
    own = strategies.with_rules(strategies.load(str(path)), OrderRules(stop_loss=0.05))
    assert fills(trade(series, own)) == [
        *((1, "buy"), (3, "stop-loss"), (7, "buy"), (8, "close")),
    ]


def test_a_purchase_spends_the_order_size_once(tmp_path: Path) -> None:
    series = series_of(*([100.0] * 30))
    found = trade(series, hold(order_usd=500.0))
    assert fills(found) == [(1, "buy"), (29, "close")]
    assert found.trades[0].cash_usd == -500
    assert trade(series, hold(order_usd=1e9)).trades[0].cash_usd == -CASH
    path = tmp_path / "half.py"
    path.write_text("def decide(history, portfolio):\n    return 0.5\n")
    own = strategies.with_rules(strategies.load(str(path)), OrderRules(order_usd=500.0))
    assert trade(series, own).trades[0].cash_usd == -250


def test_a_purchase_is_sized_by_the_realized_volatility_of_a_day() -> None:
    # Up and down by 1 % at each of 96 observations a day: about 9.8 % a day.
    moves = 0.01 * np.array([1, -1] * 100)
    series = series_of(*(100 * np.exp(np.cumsum(moves))).tolist())
    found = trade(series, hold(order_volatility=0.02)).trades[0]
    assert found.filled_at == 21 * QUARTER  # 20 returns are known at index 20
    expected = 0.02 / (0.01 * math.sqrt(DAY / QUARTER))
    assert float(-found.cash_usd / CASH) == pytest.approx(expected)
    both = trade(series, hold(order_volatility=0.02, order_usd=100.0)).trades[0]
    assert float(both.cash_usd) == pytest.approx(-100)
    calm = trade(series_of(*([100.0] * 30)), hold(order_volatility=0.02)).trades[0]
    assert calm.cash_usd == -CASH


def test_an_order_size_around_dca_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="dca sizes its own purchases"):
        strategies.with_rules(strategies.load("dca"), OrderRules(order_usd=5.0))
    strategies.with_rules(strategies.load("dca"), OrderRules(stop_loss=0.05))


def test_a_strategy_is_described_with_its_rules() -> None:
    rules = OrderRules(stop_loss=0.05, trailing_stop=0.025, order_usd=1500.0)
    strategy = strategies.with_rules(strategies.load("sma-cross"), rules)
    assert strategy.describe() == (
        "sma-cross (fast=12, slow=48), stop-loss 5%, trailing-stop 2.5%, order 1,500 USD"
    )
    assert OrderRules(**rules.to_json()) == rules
    assert dataclasses.replace(strategy, rules=None).describe() == "sma-cross (fast=12, slow=48)"
