"""Sweeps on the cores of this machine find the same, whatever happens to a process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from sentinel.backtesting import local_pool, sweep_tasks, walk_forward
from sentinel.backtesting.sweep_tasks import WorkersFailed
from sentinel.errors import ConfigurationError
from tests.support.commands import Script
from tests.support.sweeps import (
    GRID,
    NAMES,
    OWN,
    busy,
    here,
    market,
    own_strategy,
    planned,
    silent,
    write_prices,
)


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_tasks, "MIN_SWEEP_WORK", 1)
    monkeypatch.setattr(sweep_tasks, "MIN_TASK_WORK", 1)


@pytest.mark.slow
def test_two_processes_find_the_same_as_one() -> None:
    wanted = [*walk_forward.build_candidates(NAMES, GRID), own_strategy(OWN)]
    sweep = planned(market(4), wanted)
    counted: list[int] = []
    assert here(sweep) == here(sweep, 2, counted.append)
    assert counted == sorted(counted)
    assert counted[-1] == sweep.backtests


def test_the_error_of_a_strategy_comes_back_from_another_process() -> None:
    failing = own_strategy("def decide(history, portfolio):\n    raise OSError('no')\n")
    with pytest.raises(ConfigurationError, match=r"mine\.py failed at .*OSError: no, line 2"):
        local_pool.run_locally(planned(market(2), [failing]), 2, silent)


@pytest.mark.soak
@pytest.mark.slow
def test_a_killed_process_does_not_change_the_result() -> None:
    prices = market(6, points=800)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    killed: list[int] = []

    def kill_one(_done: int) -> None:
        if len(killed) < 2:
            spawned = [
                child
                for child in psutil.Process().children(recursive=True)
                if child.pid not in before and "spawn_main" in " ".join(child.cmdline())
            ]
            os.kill(spawned[0].pid, signal.SIGKILL)
            killed.append(spawned[0].pid)

    found = here(planned(prices, busy(0.1)), 2, kill_one)
    assert len(killed) >= 1
    assert found == here(planned(prices, busy(0)))


@pytest.mark.slow
def test_processes_that_die_again_and_again_are_an_error() -> None:
    source = (
        "import os, signal\n"
        "def decide(history, portfolio):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with pytest.raises(WorkersFailed, match="5 worker processes died"):
        local_pool.run_locally(planned(market(2), [own_strategy(source)]), 2, silent)


# Sleeps in workers only: the command itself first checks the strategy for look-ahead.
SLEEPING = """
import multiprocessing, time
def decide(history, portfolio, *, wait=0.2):
    if multiprocessing.parent_process():
        time.sleep(wait)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_sweep_leaves_no_worker_behind(
    script: Script, tmp_path: Path, number: int
) -> None:
    (tmp_path / "slow.py").write_text(SLEEPING)
    csv = write_prices(tmp_path)
    sweeping = script.start(
        "sandbox.py",
        "sweep",
        *("--strategy", "slow.py", "--param", "wait=0.2,0.3,0.4,0.5,0.6,0.7"),
        *("--csv", csv, "--jobs", "2"),
    )
    own = psutil.Process(sweeping.pid)
    while sum("spawn_main" in " ".join(child.cmdline()) for child in own.children()) < 2:
        assert sweeping.poll() is None
        time.sleep(0.05)  # another process is starting
    children = own.children(recursive=True)
    sweeping.send_signal(number)
    sweeping.communicate(timeout=20)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
