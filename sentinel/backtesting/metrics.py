"""Performance figures of an equity curve and its round trips. Pure.

Ratios use daily returns at the ends of UTC days, 365 days a year and cash that earns nothing.
Sharpe 1994, https://doi.org/10.3905/jpm.1994.409501; Sortino & Price 1994,
https://doi.org/10.3905/joi.3.3.59 (downside deviation over all days, target 0). Calmar: Young 1991,
"Calmar Ratio: A Smoother Tool", Futures 20(1), here over the whole span instead of three years.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.price_series import Floats
from sentinel.backtesting.round_trips import RoundTrip, select_closed

DAYS_A_YEAR = 365
DAY_SECONDS = 86_400.0
EPSILON = 1e-12  # a deviation below this share of the mean is a rounding error
MIN_DAYS = 30  # of a span whose figures are given as a rate per year
MIN_ROUND_TRIPS = 10  # closed ones: with fewer, a rate says nothing about a strategy
MIN_RETURNS = 2  # of which a deviation can be computed


@dataclass(frozen=True, slots=True)
class Performance:
    """The figures of a backtest or a wallet. A figure is None where it would be chance.

    Rates per year need MIN_DAYS days, and of a strategy MIN_ROUND_TRIPS closed round trips too; so
    do the rates of its round trips. Facts, such as the worst one, need a single round trip.
    """

    initial_usd: Decimal
    final_usd: Decimal
    fees_usd: Decimal = Decimal(0)
    # Filled orders, without the pretended sale at the end.
    trades: int = 0
    # Positions that were opened and closed by orders.
    round_trips: int = 0
    # Orders that were not filled because the next price was backfilled or late.
    rejected_fills: int = 0
    # The largest fall from a high, as a fraction of it, 0 to 1.
    max_drawdown: float = 0.0
    # The longest time from a high to the next one, or to the end, in days.
    longest_drawdown_days: float = 0.0
    # The average share of the value that was in coins, weighted by time, 0 to 1.
    exposure: float = 0.0
    # Compound annual growth rate, as a fraction.
    cagr: float | None = None
    # The standard deviation of daily returns over a year, as a fraction.
    volatility: float | None = None
    sharpe: float | None = None
    sortino: float | None = None
    # CAGR over the maximum drawdown.
    calmar: float | None = None
    # The share of round trips that gained, 0 to 1.
    win_rate: float | None = None
    # The sum of the gains over the sum of the losses.
    profit_factor: float | None = None
    # Gains of round trips after fees, as fractions of their cost.
    average_trade: float | None = None
    best_trade: float | None = None
    worst_trade: float | None = None
    # The average time from the first purchase to the last sale, in days.
    average_days_held: float | None = None

    @property
    def net_profit_usd(self) -> Decimal:
        """The gain in USD after fees."""
        return self.final_usd - self.initial_usd

    @property
    def total_return(self) -> float:
        """The gain as a fraction of the initial value."""
        return float(self.final_usd / self.initial_usd) - 1


def compute_metrics(
    result: BacktestResult, round_trips: Sequence[RoundTrip], *, is_strategy: bool = True
) -> Performance:
    """Return the figures of a result and its round trips.

    `is_strategy` is False for holding: it decides once, so its rates per year rest on days alone.
    """
    closed = select_closed(round_trips)
    has_days = float(result.times[-1] - result.times[0]) >= MIN_DAYS * DAY_SECONDS
    has_rates = has_days and (not is_strategy or len(closed) >= MIN_ROUND_TRIPS)
    returns = daily_returns(result) if has_rates else np.empty(0)
    cagr, fall = _cagr(result) if has_rates else None, max_drawdown(result)
    gains = [trip.growth - 1 for trip in closed]
    has_trades = len(closed) >= MIN_ROUND_TRIPS
    return Performance(
        result.initial_usd,
        result.final_usd,
        result.fees_usd,
        trades=sum(trade.side != "close" for trade in result.trades),
        round_trips=len(closed),
        rejected_fills=result.rejected_fills,
        max_drawdown=fall,
        longest_drawdown_days=longest_drawdown(result) / DAY_SECONDS,
        exposure=_average_exposure(result),
        cagr=cagr,
        volatility=volatility(returns),
        sharpe=sharpe(returns),
        sortino=sortino(returns),
        calmar=None if cagr is None or not fall else cagr / fall,
        win_rate=sum(gain > 0 for gain in gains) / len(gains) if has_trades else None,
        profit_factor=profit_factor(closed) if has_trades else None,
        average_trade=sum(gains) / len(gains) if has_trades else None,
        best_trade=max(gains, default=None),
        worst_trade=min(gains, default=None),
        average_days_held=_average_days_held(closed),
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
    return _returns_between(result, (np.arange(first, last + 1) + 1) * DAY_SECONDS)


def monthly_returns(result: BacktestResult) -> dict[tuple[int, int], float]:
    """Return the return of each UTC month by (year, month). The first and last may be partial."""
    first, last = (datetime.fromtimestamp(float(at), UTC) for at in result.times[[0, -1]])
    numbers = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    ends = [_start_of_month(number + 1).timestamp() for number in numbers]
    months = [(number // 12, number % 12 + 1) for number in numbers]
    return dict(zip(months, _returns_between(result, np.array(ends)).tolist(), strict=False))


def _start_of_month(number: int) -> datetime:
    """Return when a month begins that is the n-th since year 0."""
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def _returns_between(result: BacktestResult, ends: Floats) -> Floats:
    """Return the returns of the periods that end before these times; none if all was lost."""
    indices = np.searchsorted(result.times, ends, side="left") - 1
    values = np.concatenate(([float(result.initial_usd)], result.equity[indices]))
    return values[1:] / values[:-1] - 1 if (values > 0).all() else np.empty(0)


def max_drawdown(result: BacktestResult) -> float:
    """Return the maximum drawdown: the largest fall from a high, as a fraction of it, 0 to 1."""
    return float(drawdowns(result).max(initial=0.0))


def drawdowns(result: BacktestResult) -> Floats:
    """Return how far each point lies below the highest value so far, as a fraction of it, 0 to 1.

    The initial value is the first high.
    """
    highs = np.maximum.accumulate(np.maximum(result.equity, float(result.initial_usd)))
    return (highs - result.equity) / highs


def longest_drawdown(result: BacktestResult) -> float:
    """Return the longest time from a high to the next one, or to the end, in seconds."""
    is_high = drawdowns(result) == 0
    starts = np.maximum.accumulate(np.where(is_high, result.times, result.times[0]))
    # A drawdown ends at the high that follows its last point, if there is one.
    ends = np.append(result.times[1:], result.times[-1])
    return float(np.max((ends - starts)[~is_high], initial=0.0))


def volatility(returns: Floats) -> float | None:
    """Return the annual standard deviation of daily returns; None if it is undefined."""
    if len(returns) < MIN_RETURNS:
        return None
    return float(returns.std(ddof=1)) * math.sqrt(DAYS_A_YEAR)


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


def profit_factor(round_trips: Sequence[RoundTrip]) -> float | None:
    """Return the sum of the gains over the sum of the losses, in USD; None without a loss."""
    gains = [trip.gain_usd for trip in round_trips]
    losses = -sum((gain for gain in gains if gain < 0), Decimal(0))
    return float(sum((gain for gain in gains if gain > 0), Decimal(0)) / losses) if losses else None


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
        return float(ratio ** (1 / years)) - 1
    except OverflowError:  # an enormous gain of a month, compounded over a year
        return None


def _average_exposure(result: BacktestResult) -> float:
    if len(result.times) < 2:
        return 0.0
    return float(np.average(result.exposure[:-1], weights=np.diff(result.times)))


def _average_days_held(round_trips: Sequence[RoundTrip]) -> float | None:
    if not round_trips:
        return None
    return sum(trip.seconds_held for trip in round_trips) / len(round_trips) / DAY_SECONDS
