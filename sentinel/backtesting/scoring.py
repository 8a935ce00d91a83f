"""Score candidates of a sweep: the return of each one on each coin in each fold. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from sentinel.backtesting import engine, grid, joint_trading
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.grid import CoinGrid, Outcome
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import LoadedPrices, PriceSeries
from sentinel.backtesting.strategies import Strategy


class FoldScore(NamedTuple):
    """The returns of one candidate on one coin in one fold, as fractions."""

    # None where the coin has too few prices.
    training_return: float | None
    test_return: float | None
    # Trades and rejected fills in the test block.
    trades: int
    rejected_fills: int


# From the start of trading to its end, in UNIX seconds.
Span = tuple[float, float]
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

    A score depends on nothing but its coin and its candidate; that of a joint candidate depends on
    all coins. Raises ConfigurationError if a user's strategy fails.
    """
    alone = [one for one in candidates if not one.is_joint]
    joint = [
        _score_jointly(coins, one, edges, costs, initial_usd) if one.is_joint else None
        for one in candidates
    ]
    found: dict[str, CoinScores] = {}
    for coin_id, series in coins.items():
        rows = iter(_score_coin(series, alone, edges, costs, initial_usd))
        found[coin_id] = [scores[coin_id] if scores else next(rows) for scores in joint]
    return found


def _pair_spans(edges: Sequence[float]) -> list[tuple[Span, Span]]:
    """Return the spans of each fold: it trains until a block, and tests in the block."""
    return [
        ((edges[0], training_end), (training_end, test_end))
        for training_end, test_end in itertools.pairwise(edges[1:])
    ]


def _score_jointly(
    coins: Mapping[str, PriceSeries],
    candidate: Strategy,
    edges: Sequence[float],
    costs: Costs,
    initial_usd: Decimal,
) -> dict[str, list[FoldScore]]:
    """Return the folds of each coin; each coin adds `initial_usd` to the cash."""

    def run(span: Span) -> dict[str, Outcome]:
        start, end = span
        known = {
            coin_id: series.between(-math.inf, end)
            for coin_id, series in coins.items()
            if not is_thin(series, *span)
        }
        if not known:
            return {}
        prices, cash = LoadedPrices(known, start), initial_usd * len(known)
        results = joint_trading.trade_jointly(candidate, prices, costs, cash)
        return dict(zip(known, map(_to_outcome, results), strict=True))

    folds = [(run(training), run(test)) for training, test in _pair_spans(edges)]
    return {
        coin_id: [_score_fold(training.get(coin_id), test.get(coin_id)) for training, test in folds]
        for coin_id in coins
    }


def _score_coin(
    series: PriceSeries,
    candidates: Sequence[Strategy],
    edges: Sequence[float],
    costs: Costs,
    initial_usd: Decimal,
) -> CoinScores:
    """Return the folds of each candidate."""
    pairs = _pair_spans(edges)
    spans = [span for pair in pairs for span in pair if not is_thin(series, *span)]
    coin = grid.build_coin_grid(series, spans)
    rows = []
    for candidate in candidates:
        scored = _score_spans(coin, series, candidate, spans, costs, initial_usd)
        outcomes = dict(zip(spans, scored, strict=True))
        rows.append([_score_fold(*map(outcomes.get, pair)) for pair in pairs])
    return rows


def _score_fold(training: Outcome | None, test: Outcome | None) -> FoldScore:
    return FoldScore(
        training.total_return if training else None,
        test.total_return if test else None,
        test.trades if test else 0,
        test.rejected_fills if test else 0,
    )


def _score_spans(
    coin: CoinGrid,
    series: PriceSeries,
    candidate: Strategy,
    spans: Sequence[Span],
    costs: Costs,
    initial_usd: Decimal,
) -> list[Outcome]:
    """Return the candidate's outcome in each span; it also sees the prices before."""
    signal = candidate.compute_signal(series)
    found: list[Outcome | None] = [None] * len(spans)
    if signal is not None and not candidate.rules and grid.is_all_or_nothing(signal):
        found = grid.score_signal(coin, signal, costs, initial_usd)

    def run_engine(trading_start: float, end: float) -> Outcome:
        known = series.between(-math.inf, end)
        signals = candidate.build_signals(known, trading_start, signal)
        return _to_outcome(engine.run_backtest(known, signals, costs, initial_usd))

    return [one or run_engine(*span) for one, span in zip(found, spans, strict=True)]


def _to_outcome(result: BacktestResult) -> Outcome:
    total_return = float(result.final_usd / result.initial_usd) - 1
    return Outcome(total_return, len(result.trades), result.rejected_fills)


def is_thin(series: PriceSeries, start: float, stop: float) -> bool:
    """Return whether a span (UNIX seconds) holds too few prices to trade on."""
    return len(series.between(start, stop)) < engine.MIN_POINTS
