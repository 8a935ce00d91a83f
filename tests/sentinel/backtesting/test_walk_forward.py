"""Sweeps: the same findings wherever they are computed, judged on days that nobody trained on."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from sentinel.backtesting import engine, executors, strategies, walk_forward
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import Series
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.walk_forward import CoinScores, Task
from sentinel.errors import ConfigurationError
from sentinel.paper_trading import output
from tests.conftest import Script

DAY, QUARTER = 86_400.0, 900.0
START = 1_790_000_000.0 - 1_790_000_000.0 % DAY
COSTS = Costs(Decimal(10), Decimal(5))
CASH = Decimal(10_000)
GRID = {"fast": [2.0, 5.0], "slow": [9.0, 20.0], "hours": [1.0, 3.0]}
NAMES = ("sma-cross", "dca", "hold", "dip")
OWN = """
def decide(past, purse, *, low=0.99):
    mean = past.prices[-24:].mean()
    return 0.5 if past.prices[-1] < low * mean else -0.7 if past.prices[-1] > mean else 0
"""
# Long enough for a test to kill the process that is at it; no sleep: work.
SLOW = """
import time

def decide(past, purse, *, low=0.99):
    if len(past.prices) % 400 == 1:
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            pass
    return 0.5 if past.prices[-1] < low * past.prices.mean() else -0.5
"""


def market(coins: int = 3, points: int = 400, seed: int = 1) -> dict[str, Series]:
    dice = np.random.default_rng(seed)
    times = START + QUARTER * np.arange(points, dtype=np.float64)
    return {
        f"coin-{n}": Series(
            times + n,
            100 * np.exp(dice.normal(0, 0.01, points).cumsum()),
            dice.random(points) > 0.02,
        )
        for n in range(coins)
    }


def planned(
    prices: Mapping[str, Series], wanted: Sequence[Strategy] | None = None, folds: int = 2
) -> list[Task]:
    wanted = walk_forward.candidates(NAMES, GRID) if wanted is None else wanted
    return walk_forward.plan(prices, wanted, folds, COSTS, CASH)


def silent(_done: int) -> None:
    """Nobody counts."""


def dumped(tasks: Sequence[Task], scored: Sequence[CoinScores]) -> str:
    return json.dumps(output.sweep_json(walk_forward.select_winners(tasks, scored)))


def here(tasks: Sequence[Task], jobs: int = 1, count: Callable[[int], None] = silent) -> str:
    return dumped(tasks, executors.do_here(tasks, jobs, count))


# --- what is tried ---------------------------------------------------------------------------


def test_every_combination_is_tried_of_those_parameters_that_a_strategy_knows() -> None:
    found = [
        (s.name, dict(s.parameters)) for s in walk_forward.candidates(["sma-cross", "hold"], GRID_2)
    ]
    assert found == [
        ("sma-cross", {"fast": 2, "slow": 4}),
        ("sma-cross", {"fast": 2, "slow": 8}),
        ("sma-cross", {"fast": 6, "slow": 8}),
        ("hold", {}),
    ]  # fast 6 is not below slow 4


GRID_2 = {"fast": [2.0, 6.0], "slow": [4.0, 8.0]}


def test_where_nothing_makes_sense_that_is_said() -> None:
    with pytest.raises(ConfigurationError, match="fast 9 must be smaller than slow 4"):
        walk_forward.candidates(["sma-cross"], {"fast": [9.0], "slow": [4.0]})


def test_a_parameter_that_no_strategy_knows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no such parameter as colour"):
        walk_forward.candidates(["sma-cross", "hold"], {"fast": [2.0], "colour": [1.0]})


def test_too_many_combinations_are_refused_and_never_cut_off_in_silence() -> None:
    values = [float(n) for n in range(200, 0, -1)]
    with pytest.raises(ConfigurationError, match="more than 10,000 combinations"):
        walk_forward.candidates(
            ["sma-cross"], {"fast": values, "slow": values}
        )  # 19,900 make sense


# --- the walk --------------------------------------------------------------------------------


def test_the_walk_trains_on_all_blocks_before_the_one_it_is_judged_on() -> None:
    tasks = planned(market(), folds=3)
    edges = tasks[0].edges
    assert len(edges) == 5
    assert np.diff(edges) == pytest.approx([float(np.diff(edges)[0])] * 4)
    assert edges[0] == START
    assert edges[-1] > START + 2 + QUARTER * 399
    found = walk_forward.select_winners(tasks, [walk_forward.work(task) for task in tasks])
    assert [(f.begins, f.trained_until, f.judged_until) for f in found.folds] == [
        (edges[0], edges[1], edges[2]),
        (edges[0], edges[2], edges[3]),
        (edges[0], edges[3], edges[4]),
    ]
    for place, fold in enumerate(found.folds):
        assert fold.trained == max(line.trained[place] for line in found.table)
    assert [line.trained[-1] for line in found.table] == sorted(
        (line.trained[-1] for line in found.table), reverse=True
    )


def test_the_scores_are_those_of_backtests_on_the_blocks() -> None:
    prices = market(2)
    tasks = planned(prices)
    found = walk_forward.select_winners(tasks, [walk_forward.work(task) for task in tasks])
    edges = tasks[0].edges
    for line in found.table:
        for place in range(2):
            middle, end = edges[place + 1], edges[place + 2]
            trained: list[float] = []
            unseen: list[float] = []
            for own in prices.values():
                past, whole = own.part(edges[0], middle), own.part(edges[0], end)
                for into, series, since in ((trained, past, edges[0]), (unseen, whole, middle)):
                    signals = line.candidate.signals(series, since)
                    outcome = engine.run(series, signals, COSTS, CASH)
                    into.append(float(outcome.final / CASH) - 1)
                    assert all(trade.at >= since for trade in outcome.trades)
            assert line.trained[place] == statistics.fmean(trained)
            assert line.unseen[place] == statistics.fmean(unseen)


def test_holding_beside_a_fold_is_what_holding_comes_to_there() -> None:
    own = market(1)["coin-0"]
    [task] = tasks = planned({"coin-0": own}, [strategies.choose("dca")])
    found = walk_forward.select_winners(tasks, [walk_forward.work(task)])
    for fold in found.folds:
        block = own.part(fold.trained_until, fold.judged_until)
        block = Series(block.times, block.prices, np.ones(len(block), dtype=bool))
        if own.observed.all():
            ratio = block.prices[-1] / block.prices[1]
            assert fold.hold == pytest.approx(0.999**2 * 0.9995 / 1.0005 * ratio - 1)
    assert len(found.folds) == 2


@pytest.mark.parametrize("own", [False, True], ids=["built in", "own"])
def test_other_prices_on_the_last_days_change_nothing_in_training(own: bool) -> None:
    wanted = [strategies.own("mine.py", OWN)] if own else None
    prices = market()
    tasks = planned(prices, wanted)
    last = tasks[0].edges[-2]
    dice = np.random.default_rng(9)
    planted = {
        coin: Series(
            series.times,
            np.where(
                series.times >= last,
                series.prices * dice.uniform(0.2, 5, len(series)),
                series.prices,
            ),
            series.observed,
        )
        for coin, series in prices.items()
    }
    there, elsewhere = (
        walk_forward.select_winners(one, [walk_forward.work(task) for task in one])
        for one in (tasks, planned(planted, wanted))
    )
    for one, other in zip(there.folds, elsewhere.folds, strict=True):
        assert one.winner.candidate == other.winner.candidate
        assert one.trained == other.trained
    assert there.folds[0].unseen == elsewhere.folds[0].unseen
    assert there.folds[-1].unseen != elsewhere.folds[-1].unseen
    for line, beside in zip(there.table, elsewhere.table, strict=True):
        assert line.candidate == beside.candidate
        assert line.trained == beside.trained
        assert line.unseen[:-1] == beside.unseen[:-1]


def test_a_strategy_that_keeps_what_it_saw_knows_nothing_of_unseen_days() -> None:
    """One that keeps prices in its module would know all of them by its second run."""
    source = (
        "seen = {}\n"
        "def decide(past, purse):\n"
        "    seen[past.times[-1]] = past.prices[-1]\n"
        "    if past.times[-1] + 900 in seen:\n"
        "        raise RuntimeError('the future is there')\n"
        "    return 0.1\n"
    )
    [task] = planned(market(1), [strategies.own("mine.py", source)])
    walk_forward.work(task)


def test_too_few_prices_for_the_folds_are_told() -> None:
    with pytest.raises(ConfigurationError, match="too few for 3 folds"):
        planned(market(2, points=6), folds=3)


def test_a_coin_without_prices_in_a_block_costs_the_others_nothing() -> None:
    prices = market(2)
    half = {"coin-0": prices["coin-0"], "coin-1": prices["coin-1"].part(0, START + 60 * QUARTER)}
    tasks = planned(half, [strategies.choose("hold")])
    found = walk_forward.select_winners(tasks, [walk_forward.work(task) for task in tasks])
    alone = planned({"coin-0": prices["coin-0"]}, [strategies.choose("hold")])
    expected = walk_forward.select_winners(alone, [walk_forward.work(task) for task in alone])
    # What has no price there has no return there: it is no coin that stood still.
    assert found.folds[-1].unseen == pytest.approx(expected.folds[-1].unseen, abs=1e-3)


# --- who does the work -----------------------------------------------------------------------


def test_two_processes_find_what_one_finds() -> None:
    wanted = [*walk_forward.candidates(NAMES, GRID), strategies.own("mine.py", OWN)]
    tasks = planned(market(4), wanted)
    counted: list[int] = []
    assert here(tasks) == here(tasks, 2, counted.append)
    assert counted == [1, 2, 3, 4]


def test_what_a_strategy_fails_with_comes_back_from_another_process() -> None:
    failing = strategies.own("mine.py", "def decide(past, purse):\n    raise OSError('no')\n")
    with pytest.raises(ConfigurationError, match=r"mine\.py failed at .*OSError: no, line 2"):
        executors.do_here(planned(market(2), [failing]), 2, silent)


def test_the_order_in_which_tasks_are_done_changes_nothing() -> None:
    tasks = planned(market(4))
    scored = [walk_forward.work(task) for task in tasks]
    expected = dumped(tasks, scored)
    for order in itertools.permutations(scored):
        assert dumped(tasks, order) == expected


def test_the_modules_that_are_sent_along_are_all_that_a_worker_needs(tmp_path: Path) -> None:
    executors.write_bundle(tmp_path / "code.zip")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from sentinel.backtesting import walk_forward; print(walk_forward.__file__)",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": "code.zip"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "code.zip" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_process_that_is_killed_changes_nothing() -> None:
    tasks = planned(market(6, points=800), [strategies.own("mine.py", SLOW)])
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    killed: list[int] = []

    def kill_one(done: int) -> None:
        if done in (1, 3):
            spawned = [
                child
                for child in psutil.Process().children(recursive=True)
                if child.pid not in before and "spawn_main" in " ".join(child.cmdline())
            ]
            os.kill(spawned[0].pid, signal.SIGKILL)
            killed.append(spawned[0].pid)

    found = here(tasks, 2, kill_one)
    assert len(killed) >= 1
    assert found == here(tasks)


@pytest.mark.slow
def test_processes_that_die_again_and_again_are_told() -> None:
    source = (
        "import os, signal\ndef decide(past, purse):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with pytest.raises(executors.WorkersFailed, match="5 worker processes died"):
        executors.do_here(planned(market(2), [strategies.own("mine.py", source)]), 2, silent)


# In a process of its own: what is sent to a scheduler is loaded there, and loaded anew.
CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(
        n_workers=3, processes=True, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        print(cluster.scheduler_address, *(w.pid for w in cluster.workers.values()), flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[int]]]:
    """The address of a local Dask cluster and its workers' process ids, in a folder and with a path
    that know nothing of the project."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "cluster.py").write_text(CLUSTER)
    with subprocess.Popen(
        [sys.executable, "cluster.py"],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        address, *pids = process.stdout.readline().split()
        yield address, [int(pid) for pid in pids]
        process.communicate()  # the end of its input ends it


@pytest.mark.slow
def test_a_dask_cluster_finds_the_same_though_one_of_its_workers_is_killed(
    cluster: tuple[str, list[int]],
) -> None:
    tasks = planned(market(8, points=800), [strategies.own("mine.py", SLOW)])
    address, pids = cluster
    counted: list[int] = []

    def kill_one(done: int) -> None:
        counted.append(done)
        if done == 1:
            os.kill(pids[0], signal.SIGKILL)

    found = dumped(tasks, executors.do_on_cluster(tasks, address, kill_one))
    assert counted == list(range(1, 9))
    assert not psutil.pid_exists(pids[0]) or psutil.Process(pids[0]).status() == "zombie"
    assert found == here(tasks, 2)


@pytest.mark.slow
def test_workers_elsewhere_get_the_code_and_fail_in_the_same_words(
    cluster: tuple[str, list[int]],
) -> None:
    wanted = [*walk_forward.candidates(NAMES, GRID), strategies.own("mine.py", OWN)]
    tasks = planned(market(5), wanted)
    failing = strategies.own("mine.py", "def decide(past, purse):\n    raise OSError('no')\n")
    address, _ = cluster
    counted: list[int] = []
    found = dumped(tasks, executors.do_on_cluster(tasks, address, counted.append))
    with pytest.raises(ConfigurationError, match=r"mine\.py failed at .*OSError: no, line 2"):
        executors.do_on_cluster(planned(market(2), [failing]), address, silent)
    assert counted == [1, 2, 3, 4, 5]
    assert found == here(tasks)


@pytest.mark.slow
def test_a_strategy_that_kills_every_worker_is_told(cluster: tuple[str, list[int]]) -> None:
    source = "import os\ndef decide(past, purse):\n    os.kill(os.getpid(), 9)\n"
    address, _ = cluster
    with pytest.raises(executors.WorkersFailed, match="died again and again"):
        executors.do_on_cluster(
            planned(market(2), [strategies.own("mine.py", source)]), address, silent
        )


# --- the command line ------------------------------------------------------------------------


@pytest.fixture
def csv(tmp_path: Path) -> str:
    lines = [
        f"2026-11-{1 + n // 96:02}T{n // 4 % 24:02}:{n % 4 * 15:02}:00Z,{coin},"
        f"{100 * math.exp(0.05 * math.sin(n / speed) + 0.0001 * n)!r}"
        for coin, speed in (("bitcoin", 7), ("ether", 11))
        for n in range(400)
    ]
    (tmp_path / "prices.csv").write_text("\n".join(["timestamp,coin_id,price", *lines, ""]))
    return "prices.csv"


def _sweep(script: Script, *arguments: str) -> subprocess.CompletedProcess[str]:
    return script("sandbox.py", "sweep", *arguments)


def _parsed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.slow
def test_a_sweep_says_who_won_and_how_he_did_on_unseen_days(script: Script, csv: str) -> None:
    arguments = (
        *("--strategy", "sma-cross,hold", "--param", "fast=3,6,50", "--param", "slow=12,24"),
        *("--csv", csv, "--folds", "2"),
    )
    one = _sweep(script, *arguments, "--jobs", "1", "--json")
    found = _parsed(one)
    assert _sweep(script, *arguments, "--jobs", "2", "--json").stdout == one.stdout
    assert found["coins"] == 2
    assert len(found["table"]) == 5  # four of sma-cross, and holding
    assert found["winner"] == found["table"][0]
    assert [fold["trained_until"] for fold in found["folds"][1:]] == [
        fold["judged_until"] for fold in found["folds"][:-1]
    ]
    assert found["folds"][-1]["unseen_return"] == found["winner"]["unseen_returns"][-1]
    held = next(line for line in found["table"] if line["strategy"] == "hold")
    assert held["unseen_returns"] == [f["unseen_buy_and_hold_return"] for f in found["folds"]]
    said = _sweep(script, *arguments)
    assert (said.returncode, said.stderr) == (0, "")
    assert "5 candidates on 2 coins" in said.stdout
    assert f"{found['folds'][-1]['unseen_return']:+.2%}" in said.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--strategy", "moon"], "There is no strategy 'moon'"),
        (["--strategy", ","], "names nothing"),
        (["--param", "colour=1,2"], "no such parameter as colour"),
        (["--param", "fast=90,95"], "fast 90 must be smaller than slow 48"),
        (["--param", "fast=1,,2"], "--param"),
        (["--folds", "0"], "--folds"),
        (["--folds", "21"], "--folds"),
        (["--jobs", "0"], "--jobs"),
        (["--jobs", "two"], "--jobs"),
        (["--jobs", "2", "--scheduler", "tcp://127.0.0.1:9"], "not allowed with"),
        (["--scheduler", ""], "--scheduler"),
    ],
    ids=str,
)
def test_what_was_typed_wrong_is_named(
    script: Script, csv: str, arguments: list[str], words: str
) -> None:
    usual = [] if "--strategy" in arguments else ["--strategy", "sma-cross"]
    _refused(_sweep(script, *usual, "--csv", csv, *arguments), words)


def _refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    [line] = [line for line in done.stderr.splitlines() if not line.startswith(("usage:", "  "))]
    assert "error: " in line
    assert words in line


@pytest.mark.slow
def test_too_few_prices_are_one_line(script: Script, tmp_path: Path) -> None:
    lines = ["timestamp,coin_id,price", *(f"2026-11-0{n},a,{n}" for n in range(1, 6)), ""]
    (tmp_path / "few.csv").write_text("\n".join(lines))
    done = _sweep(script, "--strategy", "hold", "--csv", "few.csv", "--folds", "3")
    _refused(done, "too few for 3 folds")


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_one_line(script: Script, csv: str) -> None:
    done = _sweep(script, "--strategy", "hold", "--csv", csv, "--scheduler", "tcp://127.0.0.1:9")
    _refused(done, "--scheduler tcp://127.0.0.1:9: no Dask scheduler answers there")


@pytest.mark.slow
@pytest.mark.parametrize("address", ["nonsense://127.0.0.1:9", "127.0.0.1:x", "tcp://a b:1"])
def test_an_address_that_is_none_is_one_line(script: Script, csv: str, address: str) -> None:
    done = _sweep(script, "--strategy", "hold", "--csv", csv, "--scheduler", address)
    _refused(done, f"--scheduler '{address}' is no address of a Dask scheduler")


@pytest.mark.slow
def test_a_sweep_on_a_cluster_prints_what_it_prints_here(
    script: Script, csv: str, tmp_path: Path, cluster: tuple[str, list[int]]
) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    arguments = ("--strategy", "sma-cross,mine.py", "--param", "fast=3,6", "--csv", csv, "--json")
    there = _sweep(script, *arguments, "--scheduler", cluster[0])
    assert (there.returncode, there.stderr) == (0, "")
    assert there.stdout == _sweep(script, *arguments, "--jobs", "1").stdout


SLEEPING = """
import time
def decide(past, purse):
    time.sleep(0.2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_who_stops_a_sweep_leaves_no_worker_behind(
    script: Script, csv: str, tmp_path: Path, number: int
) -> None:
    (tmp_path / "slow.py").write_text(SLEEPING)
    sweeping = script.start(
        "sandbox.py", "sweep", "--strategy", "slow.py", "--csv", csv, "--jobs", "2"
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
