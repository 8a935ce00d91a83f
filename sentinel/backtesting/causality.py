"""Check that a strategy uses no price before its time. Pure.

The check runs with every backtest. It cuts the prices at 20 places and compares what the strategy
wants without the later prices with what it wanted in the run. It also measures how many earlier
prices the strategy needs, and what a delay of its orders by one price would have cost.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Literal

import numpy as np

from sentinel.backtesting import engine, joint_trading, order_cuts, signal_cuts, weight_cuts
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.lookahead import Findings, run_apart
from sentinel.backtesting.portfolio import Costs, Portfolio
from sentinel.backtesting.price_series import Floats, LoadedPrices, PriceSeries
from sentinel.backtesting.strategies import Strategy

SEED = 20  # the same run has the same cuts
Outcome = Literal["causal", "look-ahead", "not deterministic"]


@dataclass(frozen=True, slots=True)
class CausalityCheck:
    """Whether later prices changed what a strategy wanted, and how sensitive its result is."""

    findings: Findings
    # How many prices it knew when trading started, of the coin that had the fewest.
    warm_up_available: int
    # The return of the run, and of the same orders placed one price later, as fractions.
    total_return: float
    delayed_return: float

    @property
    def outcome(self) -> Outcome:
        """What the cuts say."""
        if not self.findings.is_deterministic:
            return "not deterministic"
        return "look-ahead" if self.findings.difference else "causal"

    @property
    def is_causal(self) -> bool:
        """Return whether no cut found a difference."""
        return self.outcome == "causal"

    @property
    def missing_warm_up(self) -> int:
        """How many prices at the start of trading the strategy decided with too short a history."""
        needed = self.findings.warm_up
        return max(0, needed - self.warm_up_available) if needed and self.is_causal else 0

    def describe(self) -> str:
        """Return the result of the cuts, such as `20 cuts: no look-ahead; needs no warm-up`."""
        if self.findings.difference:
            return self.describe_difference()
        return f"{self.findings.cuts} cuts: no look-ahead; {self._describe_warm_up()}"

    def describe_difference(self) -> str:
        """Return what the cuts have found; empty if it is nothing."""
        found = self.findings.difference
        if not found:
            return ""
        if self.outcome == "look-ahead":
            return f"LOOK-AHEAD: {found.describe()}"
        return (
            "the strategy is not deterministic, so that nothing excludes look-ahead: asked again "
            f"about the same prices, it differs on {found.coin_id} at {found.format_time()}"
        )

    def describe_delay(self) -> str:
        """Return what a delay of all orders by one price changes."""
        return (
            f"With all orders one price later, the return is {self.delayed_return:+.1%} instead "
            f"of {self.total_return:+.1%}."
        )

    def _describe_warm_up(self) -> str:
        needed, available = self.findings.warm_up, self.warm_up_available
        if self.findings.keeps_state:
            return (
                "it remembers earlier calls in its module: a wallet, which loads it anew at each "
                "step, trades differently"
            )
        if needed is None:
            return "its answers depend on the whole history"
        if not needed:
            return "needs no warm-up"
        text = f"needs {needed:,} prices of warm-up"
        if self.missing_warm_up:
            text += (
                f", had {available:,} at its start: its decisions at the first "
                f"{self.missing_warm_up:,} prices are not comparable"
            )
        return text

    def to_json(self) -> dict[str, object]:
        """Return the object for JSON output; returns are fractions."""
        found = self.findings.difference
        return {
            "outcome": self.outcome,
            "cuts": self.findings.cuts,
            "difference": asdict(found) if found else None,
            "warm_up_needed": self.findings.warm_up if self.is_causal else None,
            "warm_up_available": self.warm_up_available,
            "keeps_state": self.findings.keeps_state,
            "delayed_return": self.delayed_return,
            "description": self.describe(),
        }


def compute_signals(strategy: Strategy, prices: LoadedPrices) -> Mapping[str, Floats]:
    """Return the signal of each coin; empty if the strategy decides price by price.

    Raises StrategyFailed.
    """
    signals = {}
    for coin_id, series in prices.series.items():
        if (signal := strategy.compute_signal(series)) is None:
            return {}
        signals[coin_id] = signal
    return signals


def check_causality(
    strategy: Strategy,
    prices: LoadedPrices,
    results: Sequence[BacktestResult],
    costs: Costs,
    signals: Mapping[str, Floats],
) -> CausalityCheck:
    """Check a strategy on the prices of its run.

    `results` are those of the run, one for each coin of `prices`; `signals` are those of
    `compute_signals`.
    """
    dice = np.random.default_rng(SEED)
    by_coin = dict(zip(prices.series, results, strict=True))
    initial = sum((result.initial_usd for result in results), Decimal(0))
    if strategy.is_joint:
        findings = weight_cuts.check_weights(strategy, prices, costs, initial, dice)
    elif signals:
        findings = signal_cuts.check_signals(
            functools.partial(_compute_apart, strategy), prices.series, signals, dice
        )
    else:
        findings = order_cuts.check_orders(
            strategy, prices.series, prices.start, by_coin, costs, dice
        )
    known = (int(np.searchsorted(own.times, prices.start)) + 1 for own in prices.series.values())
    final = sum((result.final_usd for result in results), Decimal(0))
    if strategy.is_joint:
        late = joint_trading.trade_delayed(strategy, prices, costs, initial)
        delayed = sum((result.final_usd for result in late), Decimal(0))
    else:
        delayed = sum(
            (_delay_orders(prices.series[coin], own, costs) for coin, own in by_coin.items()),
            Decimal(0),
        )
    return CausalityCheck(
        findings, min(known), float(final / initial) - 1, float(delayed / initial) - 1
    )


def _compute_apart(strategy: Strategy, series: PriceSeries) -> Floats:
    if strategy.source is None:
        signal = strategy.compute_signal(series)
    else:
        signal = run_apart(strategy.compute_signal, series)
    return np.zeros(len(series)) if signal is None else signal


def _delay_orders(series: PriceSeries, result: BacktestResult, costs: Costs) -> Decimal:
    """Return the final USD if each order had been placed one price later.

    An order that cannot be filled there waits for the next price that can fill it.
    """
    portfolio, delayed = Portfolio(result.initial_usd), Portfolio(result.initial_usd)
    observed = np.flatnonzero(series.is_observed)
    last = int(observed[-1]) if len(observed) else -1
    index = 0
    for trade in result.trades:
        if trade.side == "close":
            break
        share = order_cuts.order_share(trade, portfolio)
        portfolio.apply(trade)
        index = max(index, int(np.searchsorted(series.times, trade.filled_at)) + 1)
        while index <= last and not engine.is_fillable(series, index - 1):
            index += 1
        if index > last:
            break
        at, price = float(series.times[index]), float(series.prices[index])
        if fill := delayed.simulate_fill(share, at, price, costs):
            delayed.apply(fill)
    if last >= 0:
        at, price = float(series.times[last]), float(series.prices[last])
        if fill := delayed.simulate_fill(-1, at, price, costs):
            delayed.apply(fill)
    return delayed.cash
