"""A sweep: strategies with many parameters on many coins, judged on days they have not seen. Pure.

The time is cut into equal blocks and walked forward: fold 1 trains on the first block and is
judged on the second, fold 2 trains on the first two and is judged on the third, and so on. Whoever
did best in training is the fold's winner, and what counts of him is the block behind.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np

import backtest
import strategies
from backtest import Outcome
from errors import ConfigurationError
from paper import Costs
from series import Series
from strategies import Strategy

MOST_CANDIDATES = 10_000
DEFAULT_FOLDS = 3
MOST_FOLDS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One coin's part of a sweep. `edges` are the blocks' (UNIX seconds), one more than blocks."""

    coin_id: str
    series: Series
    candidates: Sequence[Strategy]
    edges: Sequence[float]
    costs: Costs
    initial: Decimal


class Score(NamedTuple):
    """What a candidate came to on one coin in one fold: returns in training and on the block behind
    it, trades and refused fills there."""

    trained: float
    unseen: float
    trades: int
    refused: int


@dataclass(frozen=True, slots=True)
class CoinScores:
    """Scores of one coin, a row a candidate and a column a fold, and holding's unseen returns."""

    coin_id: str
    scores: Sequence[Sequence[Score]]
    hold: Sequence[float]


@dataclass(frozen=True, slots=True)
class Line:
    """A candidate over all coins: mean returns by fold, in training and unseen, and sums of what
    happened on unseen days."""

    candidate: Strategy
    trained: Sequence[float]
    unseen: Sequence[float]
    trades: int
    refused: int


@dataclass(frozen=True, slots=True)
class Fold:
    """One step of the walk (UNIX seconds): who won the training, and holding's return beside it."""

    begins: float
    trained_until: float
    judged_until: float
    winner: Line
    place: int
    hold: float

    @property
    def trained(self) -> float:
        """The winner's return in training."""
        return self.winner.trained[self.place]

    @property
    def unseen(self) -> float:
        """His return on the days behind it."""
        return self.winner.unseen[self.place]


@dataclass(frozen=True, slots=True)
class Findings:
    """The table, the best trained first, and the folds; the last fold's winner is the sweep's."""

    coins: int
    table: Sequence[Line]
    folds: Sequence[Fold]


def candidates(names: Sequence[str], grid: Mapping[str, Sequence[float]]) -> list[Strategy]:
    """Every strategy with every combination of those of the parameters that it knows; combinations
    that make no sense (a fast mean slower than the slow one) are left out.

    Raises ConfigurationError for a parameter that none of them knows, or where nothing is left.
    """
    known = {name: strategies.choose(name) for name in names}
    strangers = [key for key in grid if not any(key in s.parameters for s in known.values())]
    if strangers:
        raise ConfigurationError(f"{', '.join(names)}: no such parameter as {', '.join(strangers)}")
    found: list[Strategy] = []
    troubles: list[ConfigurationError] = []
    for strategy in known.values():
        own = {key: values for key, values in grid.items() if key in strategy.parameters}
        for values in itertools.islice(itertools.product(*own.values()), MOST_CANDIDATES + 1):
            try:
                found.append(strategies.again(strategy, dict(zip(own, values, strict=True))))
            except ConfigurationError as trouble:
                troubles.append(trouble)
    if not found and troubles:
        raise troubles[0]
    if len(found) > MOST_CANDIDATES:
        raise ConfigurationError(
            f"That is more than {MOST_CANDIDATES:,} combinations: name fewer values"
        )
    return found


def plan(
    prices: Mapping[str, Series],
    wanted: Sequence[Strategy],
    folds: int,
    costs: Costs,
    initial: Decimal,
) -> list[Task]:
    """A task for each coin. Raises ConfigurationError where the time is too short for the folds."""
    begins = min(float(own.times[0]) for own in prices.values())
    ends = float(np.nextafter(max(float(own.times[-1]) for own in prices.values()), np.inf))
    edges = np.linspace(begins, ends, folds + 2).tolist()
    thin = [
        coin
        for coin, own in prices.items()
        if min(len(own.part(a, b)) for a, b in itertools.pairwise(edges)) < 2
    ]
    if len(thin) == len(prices):
        raise ConfigurationError(
            f"The prices are too few for {folds} folds: take fewer with --folds, or more days"
        )
    return [Task(coin, own, wanted, edges, costs, initial) for coin, own in prices.items()]


def work(task: Task) -> CoinScores:
    """Do one task. Raises ConfigurationError where a person's own strategy fails."""
    hold = strategies.choose("hold")
    return CoinScores(
        task.coin_id,
        [_walk(task, candidate) for candidate in task.candidates],
        [score.unseen for score in _walk(task, hold)],
    )


def work_at(place: int, task: Task) -> tuple[int, CoinScores]:
    """The same, with the task's place among the others."""
    return place, work(task)


def _walk(task: Task, candidate: Strategy) -> list[Score]:
    begins, signal = task.edges[0], candidate.signal(task.series)

    def run(end: float, since: float) -> Outcome:
        """Until `end`, trading from `since` on and having seen what was before."""
        series = task.series.part(begins, end)
        wishes = candidate.wishes(series, since, signal)
        return backtest.run(series, wishes, task.costs, task.initial)

    found = []
    for middle, end in itertools.pairwise(task.edges[1:]):
        trained, unseen = run(middle, begins), run(end, middle)
        found.append(Score(_gain(trained), _gain(unseen), len(unseen.trades), unseen.refused))
    return found


def _gain(outcome: Outcome) -> float:
    return float(outcome.final / outcome.initial) - 1


def judge(tasks: Sequence[Task], scored: Sequence[CoinScores]) -> Findings:
    """What the coins' scores come to; the same whatever order and machines they come from."""
    coins = sorted(scored, key=lambda one: one.coin_id)
    edges, wanted = tasks[0].edges, tasks[0].candidates
    folds = len(edges) - 2
    lines = [
        Line(
            candidate,
            [statistics.fmean(c.scores[n][fold].trained for c in coins) for fold in range(folds)],
            [statistics.fmean(c.scores[n][fold].unseen for c in coins) for fold in range(folds)],
            sum(score.trades for c in coins for score in c.scores[n]),
            sum(score.refused for c in coins for score in c.scores[n]),
        )
        for n, candidate in enumerate(wanted)
    ]
    walked = [
        Fold(
            edges[0],
            edges[fold + 1],
            edges[fold + 2],
            max(lines, key=lambda line: line.trained[fold]),
            fold,
            statistics.fmean(c.hold[fold] for c in coins),
        )
        for fold in range(folds)
    ]
    table = sorted(lines, key=lambda line: -line.trained[-1])
    return Findings(len(coins), table, walked)
