"""A parameter sweep with walk-forward validation: each winner is tested on unseen days. Pure.

The time span is cut into equal blocks. Fold 1 trains on the first block and tests on the second,
fold 2 trains on the first two blocks and tests on the third, and so on. The candidate with the best
training return wins the fold; its return in the test block is what counts.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from sentinel.backtesting import strategies
from sentinel.backtesting.builtin_strategies import TRACKER_PARAMETERS
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import LoadedPrices
from sentinel.backtesting.scoring import FoldScore, is_thin
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.sweep_tasks import Sweep, TaskScores
from sentinel.errors import ConfigurationError

MAX_CANDIDATES = 10_000
MAX_COMBINATIONS = 100_000  # including invalid ones, which are not candidates
DEFAULT_FOLDS = 3
MAX_FOLDS = 20


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """One candidate over all coins."""

    candidate: Strategy
    # Mean return of the coins, one number for each fold.
    training_returns: Sequence[float]
    test_returns: Sequence[float]
    # Sums over all coins and test blocks.
    trades: int
    rejected_fills: int


@dataclass(frozen=True, slots=True)
class SweepFold:
    """One fold with its winner. Times are UNIX seconds."""

    training_starts_at: float
    # The test block follows at once.
    training_ends_at: float
    test_ends_at: float
    # The candidate with the best training return.
    winner: CandidateResult
    # The winner's returns.
    training_return: float
    test_return: float
    # The mean return of buy-and-hold in the test block.
    buy_and_hold_return: float


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The result of a sweep. The winner of the last fold wins the sweep."""

    coins: int
    # All candidates, the best one in the last training first.
    table: Sequence[CandidateResult]
    folds: Sequence[SweepFold]


def build_candidates(
    names: Sequence[str], grid: Mapping[str, Sequence[float | str]]
) -> list[Strategy]:
    """Return every strategy with every combination of those parameters that it knows.

    Invalid combinations (a fast mean slower than the slow one) are left out. Raises
    ConfigurationError if no strategy knows a parameter, or if no combination is valid.
    """
    known = {name: strategies.load(name) for name in names}
    unknown = [key for key in grid if not any(key in s.parameters for s in known.values())]
    if unknown:
        raise ConfigurationError(f"{', '.join(names)}: no such parameter as {', '.join(unknown)}")
    found: list[Strategy] = []
    errors: list[ConfigurationError] = []
    for strategy in known.values():
        own = {
            # 6 and 6.0 are one value.
            key: list(
                dict.fromkeys(
                    strategies.parse_value(strategy.name, key, value, strategy.parameters[key])
                    for value in values
                )
            )
            for key, values in grid.items()
            if key in strategy.parameters
        }
        if math.prod(map(len, own.values())) > MAX_COMBINATIONS:
            raise _too_many()
        # Candidates with the same alerts follow each other, because they share them.
        own = dict(sorted(own.items(), key=lambda item: item[0] not in TRACKER_PARAMETERS))
        for values in itertools.product(*own.values()):
            parameters = dict(zip(own, values, strict=True))
            try:
                found.append(strategies.with_parameters(strategy, parameters))
            except ConfigurationError as error:
                errors.append(error)
    if not found and errors:
        raise errors[0]
    if len(found) > MAX_CANDIDATES:
        raise _too_many()
    return found


def list_firsts(candidates: Sequence[Strategy]) -> list[Strategy]:
    """Return the first candidate of each strategy."""
    return list({one.name: one for one in reversed(candidates)}.values())[::-1]


def list_winners(result: SweepResult) -> list[Strategy]:
    """Return the winners of the folds, each of them once."""
    winners: list[Strategy] = []
    for fold in result.folds:
        if fold.winner.candidate not in winners:
            winners.append(fold.winner.candidate)
    return winners


def _too_many() -> ConfigurationError:
    return ConfigurationError(
        f"That is more than {MAX_CANDIDATES:,} combinations: name fewer values"
    )


def plan_sweep(
    prices: LoadedPrices,
    candidates: Sequence[Strategy],
    folds: int,
    costs: Costs,
    initial_usd: Decimal,
) -> Sweep:
    """Return the sweep of these candidates, its time span cut into blocks.

    Raises ConfigurationError if there are too few prices for the number of folds.
    """
    last = max(float(series.times[-1]) for series in prices.series.values())
    stop = float(np.nextafter(last, np.inf))  # blocks exclude their end, the last price belongs in
    edges = np.linspace(prices.start, stop, folds + 2).tolist()
    for block_start, block_end in itertools.pairwise(edges):
        if all(is_thin(series, block_start, block_end) for series in prices.series.values()):
            raise ConfigurationError(
                f"The prices are too few for {folds} folds: take fewer with --folds, or more days"
            )
    return Sweep(prices.series, candidates, edges, costs, initial_usd)


def select_winners(sweep: Sweep, scored: Iterable[TaskScores]) -> SweepResult:
    """Return the result of a sweep. It depends neither on the order of tasks nor on their cut."""
    rows: dict[tuple[str, int], Sequence[FoldScore]] = {
        (coin_id, task.first_candidate + n): row
        for task in scored
        for coin_id, scores in task.by_coin.items()
        for n, row in enumerate(scores)
    }
    *results, holding = (
        _combine_coins(strategy, [rows[coin_id, n] for coin_id in sorted(sweep.coins)])
        for n, strategy in enumerate(sweep.strategies)
    )
    start, *edges = sweep.edges
    folds = []
    for n, (training_end, test_end) in enumerate(itertools.pairwise(edges)):
        best = max(results, key=lambda result: result.training_returns[n])
        returns = (best.training_returns[n], best.test_returns[n], holding.test_returns[n])
        folds.append(SweepFold(start, training_end, test_end, best, *returns))
    table = sorted(results, key=lambda result: -result.training_returns[-1])
    return SweepResult(len(sweep.coins), table, folds)


def _combine_coins(candidate: Strategy, rows: Sequence[Sequence[FoldScore]]) -> CandidateResult:
    """Return a candidate's result from its scores, a row for each coin."""
    columns = list(zip(*rows, strict=True))
    return CandidateResult(
        candidate,
        [_mean(score.training_return for score in column) for column in columns],
        [_mean(score.test_return for score in column) for column in columns],
        sum(score.trades for row in rows for score in row),
        sum(score.rejected_fills for row in rows for score in row),
    )


def _mean(returns: Iterable[float | None]) -> float:
    """Return the mean of the coins that have a return."""
    known = [value for value in returns if value is not None]
    return statistics.fmean(known) if known else 0.0
