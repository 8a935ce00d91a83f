"""Score candidates of a sweep: the return of each one on each coin in each fold. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from sentinel.backtesting import engine
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import PriceSeries
from sentinel.backtesting.strategies import Strategy


class FoldScore(NamedTuple):
    """The returns of one candidate on one coin in one fold, as fractions."""

    # None where the coin has too few prices.
    training_return: float | None
    test_return: float | None
    # Trades and rejected fills in the test block.
    trades: int
    rejected_fills: int


# A row for each candidate, a column for each fold.
CoinScores = Sequence[Sequence[FoldScore]]


def score_candidates(
    coins: Mapping[str, PriceSeries],
    candidates: Sequence[Strategy],
    edges: Sequence[float],
    costs: Costs,
    initial_usd: Decimal,
) -> dict[str, CoinScores]:
    """Return the scores of each coin; `edges` are those of the blocks, in UNIX seconds.

    A score depends on nothing but its coin and its candidate. Raises ConfigurationError if a user's
    strategy fails.
    """
    return {
        coin_id: [_score_folds(series, one, edges, costs, initial_usd) for one in candidates]
        for coin_id, series in coins.items()
    }


def _score_folds(
    series: PriceSeries,
    candidate: Strategy,
    edges: Sequence[float],
    costs: Costs,
    initial_usd: Decimal,
) -> list[FoldScore]:
    """Return the candidate's score in each fold."""
    start, signal = edges[0], candidate.compute_signal(series)

    def run_until(end: float, trading_start: float) -> BacktestResult | None:
        """Trade from `trading_start` to `end`; the strategy also sees the prices before."""
        if is_thin(series, trading_start, end):
            return None
        known = series.between(-math.inf, end)
        signals = candidate.build_signals(known, trading_start, signal)
        return engine.run_backtest(known, signals, costs, initial_usd)

    scores = []
    for training_end, test_end in itertools.pairwise(edges[1:]):
        training, test = run_until(training_end, start), run_until(test_end, training_end)
        trades, rejected = (len(test.trades), test.rejected_fills) if test else (0, 0)
        scores.append(FoldScore(_total_return(training), _total_return(test), trades, rejected))
    return scores


def is_thin(series: PriceSeries, start: float, stop: float) -> bool:
    """Return whether a span (UNIX seconds) holds too few prices to trade on."""
    return len(series.between(start, stop)) < engine.MIN_POINTS


def _total_return(result: BacktestResult | None) -> float | None:
    return float(result.final_usd / result.initial_usd) - 1 if result else None
