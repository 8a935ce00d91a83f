"""A sweep: strategies with many parameters on many coins, judged on days they have not seen. Pure.

The time is cut into equal blocks and walked forward: fold 1 trains on the first block and is
judged on the second, fold 2 trains on the first two and is judged on the third, and so on. Whoever
did best in training is the fold's winner, and what counts of him is the block behind.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from sentinel.backtesting import engine, strategies
from sentinel.backtesting.engine import Outcome
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import Series
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import ConfigurationError

MOST_CANDIDATES = 10_000
MOST_TRIED = 100_000  # combinations, those that make no sense among them
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
    it, None where the coin has no prices to trade on; trades and refused fills there."""

    trained: float | None
    unseen: float | None
    trades: int
    refused: int


@dataclass(frozen=True, slots=True)
class CoinScores:
    """Scores of one coin, a row a candidate and a column a fold, and holding's unseen returns."""

    coin_id: str
    scores: Sequence[Sequence[Score]]
    hold: Sequence[float | None]


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
        if math.prod(map(len, own.values())) > MOST_TRIED:
            raise _too_many()
        for values in itertools.product(*own.values()):
            try:
                found.append(strategies.again(strategy, dict(zip(own, values, strict=True))))
            except ConfigurationError as trouble:
                troubles.append(trouble)
    if not found and troubles:
        raise troubles[0]
    if len(found) > MOST_CANDIDATES:
        raise _too_many()
    return found


def _too_many() -> ConfigurationError:
    return ConfigurationError(
        f"That is more than {MOST_CANDIDATES:,} combinations: name fewer values"
    )


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
    for a, b in itertools.pairwise(edges):
        if all(_is_thin(own, a, b) for own in prices.values()):
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

    def run(end: float, since: float) -> Outcome | None:
        """Until `end`, trading from `since` on and having seen what was before."""
        if _is_thin(task.series, since, end):
            return None
        series = task.series.part(begins, end)
        signals = candidate.signals(series, since, signal)
        return engine.run(series, signals, task.costs, task.initial)

    found = []
    for middle, end in itertools.pairwise(task.edges[1:]):
        trained, unseen = run(middle, begins), run(end, middle)
        trades, refused = (len(unseen.trades), unseen.refused) if unseen else (0, 0)
        found.append(Score(_gain(trained), _gain(unseen), trades, refused))
    return found


def _is_thin(series: Series, start: float, stop: float) -> bool:
    """Whether nothing can be traded in a span: a price to decide at and one to fill at it takes."""
    return len(series.part(start, stop)) < 2


def _gain(outcome: Outcome | None) -> float | None:
    return float(outcome.final / outcome.initial) - 1 if outcome else None


def _mean(gains: Iterable[float | None]) -> float:
    """The mean of the coins that have one."""
    known = [gain for gain in gains if gain is not None]
    return statistics.fmean(known) if known else 0.0


def select_winners(tasks: Sequence[Task], scored: Sequence[CoinScores]) -> Findings:
    """What the coins' scores come to; the same whatever order and machines they come from."""
    coins = sorted(scored, key=lambda one: one.coin_id)
    edges, wanted = tasks[0].edges, tasks[0].candidates
    folds = len(edges) - 2
    lines = [
        Line(
            candidate,
            [_mean(c.scores[n][fold].trained for c in coins) for fold in range(folds)],
            [_mean(c.scores[n][fold].unseen for c in coins) for fold in range(folds)],
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
            _mean(c.hold[fold] for c in coins),
        )
        for fold in range(folds)
    ]
    table = sorted(lines, key=lambda line: -line.trained[-1])
    return Findings(len(coins), table, walked)
