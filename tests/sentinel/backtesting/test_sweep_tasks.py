"""The tasks of a sweep: however it is cut, its result is the same, bit for bit."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from sentinel.backtesting import strategies, sweep_tasks, walk_forward
from sentinel.backtesting.sweep_tasks import Sweep, SweepTask
from tests.support.sweeps import OWN, dumped, market, own_strategy, planned

MINE = own_strategy(OWN)


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_tasks, "MIN_SWEEP_WORK", 1)
    monkeypatch.setattr(sweep_tasks, "MIN_TASK_WORK", 1)


def sets(number: int) -> list[strategies.Strategy]:
    return [strategies.load("sma-cross", {"fast": 2.0, "slow": 3.0 + n}) for n in range(number)]


def pairs(task: SweepTask) -> list[tuple[str, int]]:
    last = task.first_candidate + len(task.candidates)
    return [(coin_id, n) for coin_id in task.coins for n in range(task.first_candidate, last)]


def candidates_of(sweep: Sweep, task: SweepTask) -> bool:
    first = task.first_candidate
    return list(task.candidates) == list(sweep.strategies[first : first + len(task.candidates)])


@pytest.mark.parametrize("workers", [1, 2, 3, 50, 1_000])
@pytest.mark.parametrize("coins", [1, 2, 7, 40])
def test_each_coin_meets_each_candidate_and_holding_once(coins: int, workers: int) -> None:
    sweep = planned(market(coins, points=60), [*sets(9), MINE])
    tasks = sweep_tasks.plan_tasks(sweep, workers)
    met = Counter(pair for task in tasks for pair in pairs(task))
    assert met == Counter(itertools.product(sweep.coins, range(11)))
    assert all(candidates_of(sweep, task) for task in tasks)
    assert [task.task_id for task in tasks] == list(range(len(tasks)))


def test_many_candidates_of_one_coin_are_equal_tasks_for_all_cores() -> None:
    tasks = sweep_tasks.plan_tasks(planned(market(1), sets(399)), 2)
    assert [len(task.candidates) for task in tasks] == [25] * 16


def test_candidates_that_share_their_alerts_stay_in_one_task() -> None:
    grid = {"hours": [1.0, 2.0, 3.0, 4.0], "multiplier": [1.0, 1.5, 2.0, 2.5, 3.0]}
    dips = walk_forward.build_candidates(["dip"], grid)
    tasks = sweep_tasks.plan_tasks(planned(market(1), dips), 8)
    homes = {(task.task_id, one.tracker_parameters) for task in tasks for one in task.candidates}
    assert len(homes) == len({one.tracker_parameters for one in [*dips, strategies.load("hold")]})
    assert len(tasks) > 1


def test_the_prices_of_many_coins_travel_once() -> None:
    tasks = sweep_tasks.plan_tasks(planned(market(100, points=60), sets(20)), 2)
    assert Counter(coin_id for task in tasks for coin_id in task.coins).most_common(1)[0][1] == 1
    assert [len(task.coins) for task in tasks] == pytest.approx([6] * 16, abs=1)


def test_a_small_sweep_is_one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_tasks, "MIN_SWEEP_WORK", 1_000_000)
    assert len(sweep_tasks.plan_tasks(planned(market(3, points=60), sets(20)), 8)) == 1


def test_decisions_of_the_user_are_divided_even_in_a_small_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep_tasks, "MIN_SWEEP_WORK", 10_000_000)
    signals = own_strategy("def signals(history):\n    return 0 * history.prices")
    cuts = [sweep_tasks.plan_tasks(planned(market(1), [one] * 20), 2) for one in (signals, MINE)]
    assert [len(tasks) for tasks in cuts] == [1, 16]


def test_neither_the_cut_nor_the_order_of_tasks_changes_the_result() -> None:
    sweep = planned(market(3, points=200), [*sets(6), MINE, *sets(2)])
    found = set()
    for workers in (1, 2, 3, 1_000):
        scored = [sweep_tasks.run_task(task) for task in sweep_tasks.plan_tasks(sweep, workers)]
        found |= {dumped(sweep, scored), dumped(sweep, scored[::-1])}
    assert len(found) == 1


def test_progress_counts_all_backtests() -> None:
    sweep = planned(market(2, points=60), sets(4), folds=3)
    scored = [sweep_tasks.run_task(task) for task in sweep_tasks.plan_tasks(sweep, 2)]
    assert sum(one.backtests for one in scored) == sweep.backtests == 2 * 5 * 2 * 3
