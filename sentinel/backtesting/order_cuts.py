"""Check the orders of a strategy that decides price by price for look-ahead. Pure.

Its arguments end at the newest price, but files, globals and the frames of its callers may hold
later ones. Therefore the strategy is loaded again, gets the prices until a cut and the portfolio
that the run had there, and must place the order that the run placed. A wallet does the same.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from sentinel.backtesting import engine
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.lookahead import (
    CUTS,
    TOLERANCE,
    Difference,
    Findings,
    find_warm_up,
    run_apart,
)
from sentinel.backtesting.portfolio import Costs, Portfolio, Trade, build_portfolio
from sentinel.backtesting.price_series import PriceSeries
from sentinel.backtesting.signal_cuts import slice_series
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import ConfigurationError

SAMPLES = 6  # cuts at which the warm-up is measured


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """A price at which the run could place an order, and what came of it."""

    coin_id: str
    series: PriceSeries
    index: int
    trade: Trade | None  # filled at the next price
    portfolio: Portfolio


def check_orders(
    strategy: Strategy,
    series: Mapping[str, PriceSeries],
    start: float,
    results: Mapping[str, BacktestResult],
    costs: Costs,
    dice: np.random.Generator,
) -> Findings:
    """Return the findings on a strategy whose orders depend on the portfolio.

    `results` are those of the run, by coin; trading began at `start` (UNIX seconds).
    """
    cuts = _choose_cuts(series, start, results, dice)
    shares: list[float] = []
    for cut in cuts:
        try:
            share, again = _ask(strategy, cut, start), _ask(strategy, cut, start)
        except ConfigurationError:  # it did not fail in the run
            return Findings(len(cuts), _difference(cut, None))
        if abs(again - share) > TOLERANCE:
            return Findings(len(cuts), _difference(cut, share), is_deterministic=False)
        shares.append(share)
    for cut, share in zip(cuts, shares, strict=True):
        if _is_same(cut, share, costs):
            continue
        # The run asked it at every price before. If that explains the difference, it remembers.
        initial_usd = results[cut.coin_id].initial_usd
        if _is_same(cut, _ask_after_replay(strategy, cut, start, costs, initial_usd), costs):
            return Findings(len(cuts), keeps_state=True)
        return Findings(len(cuts), _difference(cut, share))
    return Findings(len(cuts), warm_up=_measure_warm_up(strategy, cuts, shares, start))


def _choose_cuts(
    series: Mapping[str, PriceSeries],
    start: float,
    results: Mapping[str, BacktestResult],
    dice: np.random.Generator,
) -> list[_Cut]:
    """Return random cuts, half of them at orders that were filled."""
    trades = {
        coin_id: {trade.filled_at: trade for trade in result.trades if trade.side != "close"}
        for coin_id, result in results.items()
    }
    filled = [(coin_id, at) for coin_id, own in trades.items() for at in own]
    chosen = {filled[n] for n in dice.permutation(len(filled))[: CUTS // 2]}
    coin_ids = list(series)
    # More draws than needed: some fall on prices at which no order can be filled.
    for n in range(10 * CUTS):
        if len(chosen) == CUTS:
            break
        coin_id = coin_ids[n % len(coin_ids)]
        own = series[coin_id]
        first = int(np.searchsorted(own.times, start))
        observed = np.flatnonzero(own.is_observed)
        last = int(observed[-1]) if len(observed) else 0
        if last > first:
            index = int(dice.integers(first, last))
            if own.is_observed[index] and engine.is_fillable(own, index):
                chosen.add((coin_id, float(own.times[index + 1])))
    return [
        _build_cut(coin_id, series[coin_id], at, trades[coin_id], results[coin_id].initial_usd)
        for coin_id, at in sorted(chosen)
    ]


def _build_cut(
    coin_id: str,
    series: PriceSeries,
    filled_at: float,
    trades: Mapping[float, Trade],
    initial_usd: Decimal,
) -> _Cut:
    earlier = [trade for at, trade in trades.items() if at < filled_at]
    index = int(np.searchsorted(series.times, filled_at)) - 1
    portfolio = build_portfolio(initial_usd, earlier)
    return _Cut(coin_id, series, index, trades.get(filled_at), portfolio)


def _ask(strategy: Strategy, cut: _Cut, start: float, length: int | None = None) -> float:
    """Return what the strategy wants at the cut when it knows the last `length` prices."""
    stop = cut.index + 1
    first = 0 if length is None else stop - length
    series = slice_series(cut.series, first, stop)
    return run_apart(functools.partial(_decide_last, strategy), series, start, cut.portfolio)


def _decide_last(
    strategy: Strategy, series: PriceSeries, start: float, portfolio: Portfolio
) -> float:
    return strategy.build_signals(series, start).decide(len(series) - 1, portfolio)


def _ask_after_replay(
    strategy: Strategy, cut: _Cut, start: float, costs: Costs, initial_usd: Decimal
) -> float:
    """Return what the strategy wants at the cut after it was asked at all prices before."""

    def replay(series: PriceSeries, portfolio: Portfolio) -> float:
        signals = strategy.build_signals(series, start)
        engine.run_backtest(series, signals, costs, initial_usd)
        return signals.decide(len(series) - 1, portfolio)

    return run_apart(replay, slice_series(cut.series, 0, cut.index + 1), cut.portfolio)


def _is_same(cut: _Cut, share: float, costs: Costs) -> bool:
    """Return whether a share makes the trade of the run."""
    at, price = float(cut.series.times[cut.index + 1]), float(cut.series.prices[cut.index + 1])
    trade = cut.portfolio.simulate_fill(share, at, price, costs) if share else None
    if trade is None or cut.trade is None:
        return trade is cut.trade
    expected = float(cut.trade.quantity)
    return abs(float(trade.quantity) - expected) <= TOLERANCE * abs(expected)


def order_share(trade: Trade, portfolio: Portfolio) -> Decimal:
    """Return the share of the cash or of the coins that a trade used of a portfolio before it."""
    if trade.side == "buy":
        return min(Decimal(1), -trade.cash_usd / portfolio.cash)
    return max(Decimal(-1), trade.quantity / portfolio.quantity)


def _difference(cut: _Cut, share: float | None) -> Difference:
    wanted = float(order_share(cut.trade, cut.portfolio)) if cut.trade else 0.0
    return Difference(cut.coin_id, float(cut.series.times[cut.index]), wanted, share)


def _measure_warm_up(
    strategy: Strategy, cuts: Sequence[_Cut], shares: Sequence[float], start: float
) -> int | None:
    """Return how many prices give the same answers as all; None if it takes nearly all."""
    if strategy.source is None:
        return 0  # built-in strategies of this kind follow the clock
    samples = [cut for cut, share in zip(cuts, shares, strict=True) if share] or list(cuts)
    samples = sorted(samples, key=lambda cut: -cut.index)[:SAMPLES]
    if not samples:
        return 0
    expected = {id(cut): share for cut, share in zip(cuts, shares, strict=True)}

    def suffices(length: int) -> bool:
        try:
            return all(
                abs(_ask(strategy, cut, start, length) - expected[id(cut)]) <= TOLERANCE
                for cut in samples
                if length <= cut.index
            )
        except ConfigurationError:
            return False

    return find_warm_up(samples[0].index + 1, suffices)
