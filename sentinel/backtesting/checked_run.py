"""Run a strategy on the prices of all coins, and check it for look-ahead. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

import numpy as np

from sentinel.backtesting import causality, engine, joint_trading
from sentinel.backtesting.causality import CausalityCheck
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import Floats, LoadedPrices, PriceSeries
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import ConfigurationError

NO_SIGNALS: Mapping[str, Floats] = MappingProxyType({})
# A check that comes without a backtest trades this many coins: the cuts need no more.
MAX_COINS = 5


class LookAhead(ConfigurationError):
    """The strategy uses prices before their time."""


def trade_all(
    prices: LoadedPrices,
    strategy: Strategy,
    costs: Costs,
    initial_usd: Decimal,
    signals: Mapping[str, Floats] = NO_SIGNALS,
) -> list[BacktestResult]:
    """Return the result on each coin, each with an equal part of the cash.

    `signals` are those of `causality.compute_signals`, if they are known.
    """
    if strategy.is_joint:
        return joint_trading.trade_jointly(strategy, prices, costs, initial_usd)
    start, part = prices.start, initial_usd / len(prices.series)
    results = (
        engine.run_backtest(
            series, strategy.build_signals(series, start, signals.get(coin_id)), costs, part
        )
        for coin_id, series in prices.series.items()
    )
    return [engine.trim_start(result, start) for result in results]


def trade_and_check(
    prices: LoadedPrices, strategy: Strategy, costs: Costs, initial_usd: Decimal
) -> tuple[list[BacktestResult], CausalityCheck]:
    """Return the result on each coin, and whether it used a price before its time."""
    signals = causality.compute_signals(strategy, prices)
    results = trade_all(prices, strategy, costs, initial_usd, signals)
    checked, own = strategy, results
    if strategy.rules and not signals:
        # What the rules remember of a run is not in its trades: the strategy's orders without them.
        checked = replace(strategy, rules=None)
        own = trade_all(prices, checked, costs, initial_usd)
    return results, causality.check_causality(checked, prices, own, costs, signals)


def require_causal(
    prices: LoadedPrices, strategy: Strategy, costs: Costs, initial_usd: Decimal
) -> CausalityCheck:
    """Check a strategy on the first coins. Raises LookAhead."""
    some = dict(list(prices.series.items())[: None if strategy.is_joint else MAX_COINS])
    _, check = trade_and_check(LoadedPrices(some, prices.start), strategy, costs, initial_usd)
    if check.outcome == "look-ahead":
        raise LookAhead(f"{strategy.describe()}: {check.describe_difference()}")
    return check


def check_each(
    prices: LoadedPrices, candidates: Sequence[Strategy], costs: Costs, initial_usd: Decimal
) -> list[tuple[Strategy, CausalityCheck]]:
    """Check each of these candidates once. Raises LookAhead."""
    return [(one, require_causal(prices, one, costs, initial_usd)) for one in candidates]


def take_second_half(series: Mapping[str, PriceSeries]) -> LoadedPrices | None:
    """Return prices whose first half is warm-up; None if the rest is too short to trade."""
    if not series:
        return None
    first = min(float(own.times[0]) for own in series.values())
    last = max(float(own.times[-1]) for own in series.values())
    start = (first + last) / 2
    long = {
        coin_id: own
        for coin_id, own in series.items()
        if len(own.between(start, np.inf)) >= engine.MIN_POINTS
    }
    return LoadedPrices(long, start) if long else None
