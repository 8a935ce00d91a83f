"""Performance figures of an equity curve and its trades. Pure.

Ratios use daily returns at the ends of UTC days, 365 days a year and cash that earns nothing.
Sharpe 1994, https://doi.org/10.3905/jpm.1994.409501; Sortino & Price 1994,
https://doi.org/10.3905/joi.3.3.59 (downside deviation over all days, target 0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.price_series import Floats

DAYS_A_YEAR = 365
DAY_SECONDS = 86_400.0
EPSILON = 1e-12  # a deviation below this share of the mean is a rounding error
MIN_TRADES = 10  # with fewer trades, ratios say nothing about a strategy
MIN_RETURNS = 2  # of which a deviation can be computed


@dataclass(frozen=True, slots=True)
class Performance:
    """The figures of a backtest or a wallet. Ratios are None with fewer than MIN_TRADES trades."""

    initial_usd: Decimal
    final_usd: Decimal
    fees_usd: Decimal
    trades: int
    # Orders that were not filled because the next price was backfilled or late.
    rejected_fills: int
    # The largest fall from a high, as a fraction of it, 0 to 1.
    max_drawdown: float
    # The average share of the value that was in coins, weighted by time, 0 to 1.
    exposure: float
    # Compound annual growth rate, as a fraction.
    cagr: float | None
    sharpe: float | None
    sortino: float | None
    # The share of sales that gained, 0 to 1.
    win_rate: float | None

    @property
    def net_profit_usd(self) -> Decimal:
        """The gain in USD after fees."""
        return self.final_usd - self.initial_usd

    @property
    def total_return(self) -> float:
        """The gain as a fraction of the initial value."""
        return float(self.final_usd / self.initial_usd) - 1


def compute_metrics(result: BacktestResult) -> Performance:
    """Return the figures of a result."""
    gains, has_enough = result.realized_gains, len(result.trades) >= MIN_TRADES
    returns = daily_returns(result) if has_enough else np.empty(0)
    return Performance(
        result.initial_usd,
        result.final_usd,
        result.fees_usd,
        len(result.trades),
        result.rejected_fills,
        max_drawdown(np.concatenate(([float(result.initial_usd)], result.equity))),
        _average_exposure(result),
        _cagr(result) if has_enough else None,
        sharpe(returns),
        sortino(returns),
        sum(gain > 0 for gain in gains) / len(gains) if has_enough and gains else None,
    )


def combine_results(results: Sequence[BacktestResult]) -> BacktestResult:
    """Return the sum of the results on several coins, at all their times.

    Before its first price, a coin counts with its initial cash.
    """
    if len(results) == 1:
        return results[0]
    times = np.unique(np.concatenate([result.times for result in results]))
    equity, in_coins = np.zeros(len(times)), np.zeros(len(times))
    for result in results:
        indices = np.searchsorted(result.times, times, side="right")
        own = np.concatenate(([float(result.initial_usd)], result.equity))[indices]
        equity += own
        in_coins += own * np.concatenate(([0.0], result.exposure))[indices]
    exposure = np.divide(in_coins, equity, out=np.zeros_like(in_coins), where=equity > 0)
    return BacktestResult(
        times,
        sum((result.initial_usd for result in results), Decimal(0)),
        sum((result.final_usd for result in results), Decimal(0)),
        [trade for result in results for trade in result.trades],
        [gain for result in results for gain in result.realized_gains],
        sum(result.rejected_fills for result in results),
        equity,
        exposure,
    )


def daily_returns(result: BacktestResult) -> Floats:
    """Return the returns from the end of each UTC day to the end of the next.

    A day without a price keeps the value of the day before. The first and the last day may be
    partial.
    """
    first, last = np.floor(result.times[[0, -1]] / DAY_SECONDS)
    ends = (np.arange(first, last + 1) + 1) * DAY_SECONDS
    indices = np.searchsorted(result.times, ends, side="left") - 1
    values = np.concatenate(([float(result.initial_usd)], result.equity[indices]))
    return values[1:] / values[:-1] - 1 if (values > 0).all() else np.empty(0)


def max_drawdown(equity: Floats) -> float:
    """Return the maximum drawdown: the largest fall from a high, as a fraction of it, 0 to 1."""
    return float(drawdowns(equity).max(initial=0.0))


def drawdowns(equity: Floats) -> Floats:
    """Return how far each point lies below the highest point so far, as a fraction of it."""
    highs = np.maximum.accumulate(equity)
    return np.divide(highs - equity, highs, out=np.zeros_like(equity), where=highs > 0)


def sharpe(returns: Floats) -> float | None:
    """Return the annual Sharpe ratio of daily returns; None if it is undefined."""
    if len(returns) < MIN_RETURNS:
        return None
    return _annual_ratio(float(returns.mean()), float(returns.std(ddof=1)))


def sortino(returns: Floats) -> float | None:
    """Return the annual Sortino ratio of daily returns; None if it is undefined."""
    if len(returns) < MIN_RETURNS:
        return None
    downside = math.sqrt(float((np.minimum(returns, 0.0) ** 2).mean()))
    return _annual_ratio(float(returns.mean()), downside)


def _annual_ratio(mean: float, deviation: float) -> float | None:
    if deviation <= EPSILON * abs(mean):
        return None
    return mean / deviation * math.sqrt(DAYS_A_YEAR)


def _cagr(result: BacktestResult) -> float | None:
    """Return the compound annual growth rate."""
    ratio = float(result.final_usd / result.initial_usd)
    if ratio <= 0:
        return None
    years = float(result.times[-1] - result.times[0]) / DAY_SECONDS / DAYS_A_YEAR
    try:
        return ratio ** (1 / years) - 1 if years else None
    except OverflowError:  # a large gain of a single day, compounded over a year
        return None


def _average_exposure(result: BacktestResult) -> float:
    if len(result.times) < 2:
        return 0.0
    return float(np.average(result.exposure[:-1], weights=np.diff(result.times)))
