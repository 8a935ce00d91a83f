"""Cut a sweep into tasks for cores or machines: groups of coins times groups of candidates. Pure.

The cut decides how long a sweep takes, not its result: a score depends on its coin and candidate.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from sentinel.backtesting import scoring, strategies
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import PriceSeries
from sentinel.backtesting.scoring import CoinScores
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import ConfigurationError

# Called with the number of finished backtests.
OnProgress = Callable[[int], None]

# So that workers of unequal speed end at about the same time.
TASKS_PER_WORKER = 8
# Work is prices times candidates; a unit of it takes about 0.04 microseconds of a core. A sweep of
# less work than this is one task, because processes take longer to start than they save. A sweep of
# the user's decisions is not: each of them may take any time.
MIN_SWEEP_WORK = 25_000_000
# So that sending a task takes little of its time.
MIN_TASK_WORK = 3_000_000
# A few seconds: progress is visible, and a worker that dies loses little.
MAX_TASK_WORK = 125_000_000
# A candidate counts this many times if the engine trades it, as one without a whole signal or with
# rules, and this many times if it is the user's own code that is called at every price.
ENGINE_WORK = 250
DECIDE_WORK = 1_250
# The forecast of each price, and the alerts that candidates with equal tracker parameters share.
FORECAST_WORK = 1_600
TRACKER_WORK = 350


class WorkersFailed(ConfigurationError):
    """Workers died again and again, or do not respond."""


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """What a sweep tries on which prices."""

    # The series of each coin, by id.
    coins: Mapping[str, PriceSeries]
    candidates: Sequence[Strategy]
    # The edges of the blocks in UNIX seconds: one more than there are blocks.
    edges: Sequence[float]
    costs: Costs
    initial_usd: Decimal

    @property
    def strategies(self) -> Sequence[Strategy]:
        """The candidates, and last buy-and-hold, which they are compared with."""
        return [*self.candidates, strategies.load("hold")]

    @property
    def backtests(self) -> int:
        """The number of backtests: of each coin and strategy two in each fold."""
        return len(self.coins) * len(self.strategies) * 2 * (len(self.edges) - 2)


@dataclass(frozen=True, slots=True, eq=False)
class SweepTask:
    """Some coins and some consecutive candidates of a sweep. Workers get tasks one by one."""

    # The position among the tasks of the sweep.
    task_id: int
    coins: Mapping[str, PriceSeries]
    # The index of the first one among `Sweep.strategies`.
    first_candidate: int
    candidates: Sequence[Strategy]
    edges: Sequence[float]
    costs: Costs
    initial_usd: Decimal


@dataclass(frozen=True, slots=True)
class TaskScores:
    """The scores of one task."""

    task_id: int
    first_candidate: int
    # By coin id; the rows are the candidates of the task.
    by_coin: Mapping[str, CoinScores]

    @property
    def backtests(self) -> int:
        """The number of backtests that were run."""
        return sum(2 * len(row) for scores in self.by_coin.values() for row in scores)


def plan_tasks(sweep: Sweep, workers: int) -> list[SweepTask]:
    """Return the tasks of a sweep for a number of cores.

    Several coins share a task if each of them is little work, so that prices travel once. The
    candidates of a coin are divided only if the coin alone is too much work for one task. A joint
    candidate needs all coins in its task.
    """
    runs = _find_runs(sweep.strategies)
    weight = sum(map(_weigh_run, runs))
    work = [len(series) * weight for series in sweep.coins.values()]
    limit = sum(work) / (TASKS_PER_WORKER * workers)
    limit = max(MIN_TASK_WORK, min(MAX_TASK_WORK, limit))
    is_decided = any(one.source and not one.has_whole_signal for one in sweep.candidates)
    if sum(work) < MIN_SWEEP_WORK and not is_decided:
        limit = sum(work)
    parts: list[tuple[Mapping[str, PriceSeries], slice]] = []
    is_joint = any(one.is_joint for one in sweep.strategies)
    for some in [slice(0, len(work))] if is_joint else _divide(work, limit):
        coins = dict(list(sweep.coins.items())[some])
        groups = [slice(0, len(sweep.strategies))]
        if is_joint or len(coins) == 1:
            points = sum(map(len, coins.values()))
            groups = _divide_candidates(runs, points, limit)
        parts += [(coins, group) for group in groups]
    rest = (sweep.edges, sweep.costs, sweep.initial_usd)
    return [
        SweepTask(task_id, coins, group.start, sweep.strategies[group], *rest)
        for task_id, (coins, group) in enumerate(parts)
    ]


def _find_runs(found: Sequence[Strategy]) -> list[list[Strategy]]:
    """Return the strategies in runs of consecutive ones that share their alerts."""
    runs: list[list[Strategy]] = []
    for one in found:
        own = one.tracker_parameters
        if runs and own and own == runs[-1][0].tracker_parameters:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _divide_candidates(
    runs: Sequence[Sequence[Strategy]], points: int, limit: float
) -> list[slice]:
    """Return slices of the candidates that cut no run."""
    ends = [0, *itertools.accumulate(map(len, runs))]
    parts = _divide([points * _weigh_run(run) for run in runs], limit)
    return [slice(ends[part.start], ends[part.stop]) for part in parts]


def _weigh_run(run: Sequence[Strategy]) -> int:
    """Return the work of strategies that share their alerts at a price."""
    return sum(map(_weigh, run)) + (TRACKER_WORK if run[0].tracker_parameters else 0)


def _weigh(strategy: Strategy) -> int:
    """Return the work of a strategy at a price, without that of shared alerts."""
    if not strategy.has_whole_signal:
        return ENGINE_WORK if strategy.source is None else DECIDE_WORK
    signal = FORECAST_WORK if strategy.name == "forecast" else 1
    return signal + (ENGINE_WORK if strategy.rules else 0)


def _divide(work: Sequence[float], limit: float) -> list[slice]:
    """Return slices of consecutive items, each about equally much work and about the limit.

    An item that is more work than the limit gets a slice of its own.
    """
    ends = np.cumsum(work, dtype=np.float64)
    parts = max(1, round(ends[-1] / limit))
    # An item belongs to the part in which the middle of its work lies.
    owner = np.floor((ends - np.asarray(work) / 2) * parts / ends[-1])
    edges = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(work)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def run_task(task: SweepTask) -> TaskScores:
    """Run one task. Raises ConfigurationError if a user's strategy fails."""
    scores = scoring.score_candidates(
        task.coins, task.candidates, task.edges, task.costs, task.initial_usd
    )
    return TaskScores(task.task_id, task.first_candidate, scores)
