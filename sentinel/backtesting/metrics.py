"""What a curve of worth comes to, pure.

Ratios are of daily returns at the ends of UTC days, a year having 365 of them, cash earning
nothing: Sharpe 1994, https://doi.org/10.3905/jpm.1994.409501; Sortino & Price 1994,
https://doi.org/10.3905/joi.3.3.59 (downside deviation over all days, target 0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from sentinel.backtesting.engine import Outcome
from sentinel.backtesting.price_series import Floats

DAYS_A_YEAR = 365
DAY = 86_400.0
ROUNDING = 1e-12
ENOUGH_TRADES = 10  # fewer say nothing about a strategy
FEWEST_DAYS = 2  # returns, of which a deviation can be told


@dataclass(frozen=True, slots=True)
class Performance:
    """What a backtest or a wallet came to. Money in USD, the others as fractions; `exposure` is the
    share of the time's wealth that was in coins. What would be luck with fewer than ENOUGH_TRADES
    trades is None then."""

    initial: Decimal
    final: Decimal
    fees: Decimal
    trades: int
    refused: int
    max_drawdown: float
    exposure: float
    cagr: float | None
    sharpe: float | None
    sortino: float | None
    win_rate: float | None

    @property
    def profit(self) -> Decimal:
        """What was gained after fees."""
        return self.final - self.initial

    @property
    def total_return(self) -> float:
        """The same as a share of what there was."""
        return float(self.final / self.initial) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Worth in USD over time (UNIX seconds), and the share of it in coins."""

    times: Floats
    equity: Floats
    held: Floats


def measure_outcomes(outcomes: Sequence[Outcome]) -> Performance:
    """What outcomes that were traded beside each other came to together."""
    return compute_metrics(
        curve(outcomes),
        initial=sum((o.initial for o in outcomes), Decimal(0)),
        final=sum((o.final for o in outcomes), Decimal(0)),
        fees=sum((o.fees for o in outcomes), Decimal(0)),
        trades=sum(len(o.trades) for o in outcomes),
        refused=sum(o.refused for o in outcomes),
        gains=[gain for o in outcomes for gain in o.gains],
    )


def compute_metrics(
    curve: Curve,
    *,
    initial: Decimal,
    final: Decimal,
    fees: Decimal,
    trades: int,
    refused: int,
    gains: Sequence[Decimal],
) -> Performance:
    """What a curve and its trades come to."""
    is_enough = trades >= ENOUGH_TRADES
    returns = daily_returns(curve, float(initial)) if is_enough else np.empty(0)
    return Performance(
        initial,
        final,
        fees,
        trades,
        refused,
        max_drawdown(np.concatenate(([float(initial)], curve.equity))),
        _exposure(curve),
        _cagr(curve, float(final / initial)) if is_enough else None,
        sharpe(returns),
        sortino(returns),
        sum(gain > 0 for gain in gains) / len(gains) if is_enough and gains else None,
    )


def curve(outcomes: Sequence[Outcome]) -> Curve:
    """The sum of curves over all their times; one that has not begun counts with its cash."""
    if len(outcomes) == 1:
        [only] = outcomes
        return Curve(only.series.times, only.equity, only.held)
    times = np.unique(np.concatenate([o.series.times for o in outcomes]))
    equity, coins = np.zeros(len(times)), np.zeros(len(times))
    for o in outcomes:
        places = np.searchsorted(o.series.times, times, side="right")
        own = np.concatenate(([float(o.initial)], o.equity))[places]
        equity += own
        coins += own * np.concatenate(([0.0], o.held))[places]
    held = np.divide(coins, equity, out=np.zeros_like(coins), where=equity > 0)
    return Curve(times, equity, held)


def daily_returns(curve: Curve, initial: float) -> Floats:
    """Returns from the end of one UTC day to that of the next; a day without a price has that of
    the day before. The first and last days may be parts of one."""
    if not len(curve.times):
        return np.empty(0)
    first, last = np.floor(curve.times[[0, -1]] / DAY)
    ends = (np.arange(first, last + 1) + 1) * DAY
    places = np.searchsorted(curve.times, ends, side="left") - 1
    worth = np.concatenate(([initial], curve.equity[places]))
    return worth[1:] / worth[:-1] - 1 if (worth > 0).all() else np.empty(0)


def max_drawdown(equity: Floats) -> float:
    """The deepest fall from a high, as a fraction of it, 0 to 1."""
    return float(drawdowns(equity).max(initial=0.0))


def drawdowns(equity: Floats) -> Floats:
    """How far below its high a curve is at each point, as a fraction of that, 0 to 1."""
    highs = np.maximum.accumulate(equity)
    return np.divide(highs - equity, highs, out=np.zeros_like(equity), where=highs > 0)


def sharpe(returns: Floats) -> float | None:
    """The mean of daily returns over their deviation, a year's; None where there is none."""
    if len(returns) < FEWEST_DAYS:
        return None
    return _ratio(float(returns.mean()), float(returns.std(ddof=1)))


def sortino(returns: Floats) -> float | None:
    """The mean of daily returns over the deviation of those below 0; None where there is none."""
    if len(returns) < FEWEST_DAYS:
        return None
    downside = math.sqrt(float((np.minimum(returns, 0.0) ** 2).mean()))
    return _ratio(float(returns.mean()), downside)


def _ratio(mean: float, deviation: float) -> float | None:
    """A year's; None where the deviation is nothing but rounding."""
    if deviation <= ROUNDING * abs(mean):
        return None
    return mean / deviation * math.sqrt(DAYS_A_YEAR)


def _cagr(curve: Curve, ratio: float) -> float | None:
    """The growth of a year at the pace of the whole time."""
    if len(curve.times) < 2 or ratio <= 0:
        return None
    years = float(curve.times[-1] - curve.times[0]) / DAY / DAYS_A_YEAR
    try:
        return ratio ** (1 / years) - 1 if years else None
    except OverflowError:  # a day's luck, for a year
        return None


def _exposure(curve: Curve) -> float:
    if len(curve.times) < 2:
        return 0.0
    return float(np.average(curve.held[:-1], weights=np.diff(curve.times)))
