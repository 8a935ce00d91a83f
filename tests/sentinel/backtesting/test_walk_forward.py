"""Sweeps: the same result on every executor, tested on days that no candidate trained on."""

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
from sentinel.backtesting.price_series import LoadedPrices, PriceSeries, from_prices
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.strategy_source import StrategySource
from sentinel.backtesting.walk_forward import CoinScores, SweepTask
from sentinel.errors import ConfigurationError
from sentinel.paper_trading import output
from tests.support.commands import Script

DAY, QUARTER = 86_400.0, 900.0
START = 1_790_000_000.0 - 1_790_000_000.0 % DAY
COSTS = Costs(Decimal(10), Decimal(5))
CASH = Decimal(10_000)
GRID = {"fast": [2.0, 5.0], "slow": [9.0, 20.0], "hours": [1.0, 3.0]}
NAMES = ("sma-cross", "dca", "hold", "dip")
OWN = """
def decide(history, portfolio, *, low=0.99):
    mean = history.prices[-24:].mean()
    return 0.5 if history.prices[-1] < low * mean else -0.7 if history.prices[-1] > mean else 0
"""
# Works long enough for a test to kill its process; a sleep would not keep the process busy.
SLOW = """
import time

def decide(history, portfolio, *, low=0.99):
    if len(history.prices) % 400 == 1:
        until = time.monotonic() + BUSY_SECONDS
        while time.monotonic() < until:
            pass
    return 0.5 if history.prices[-1] < low * history.prices.mean() else -0.5
"""


def busy(seconds: float) -> list[Strategy]:
    """Return a strategy that is busy now and then; its decisions do not depend on `seconds`."""
    return [strategies.load_source(StrategySource("mine.py", f"BUSY_SECONDS = {seconds}\n{SLOW}"))]


def market(coins: int = 3, points: int = 400, seed: int = 1) -> dict[str, PriceSeries]:
    dice = np.random.default_rng(seed)
    times = START + QUARTER * np.arange(points, dtype=np.float64)
    return {
        f"coin-{n}": from_prices(
            times + n,
            100 * np.exp(dice.normal(0, 0.01, points).cumsum()),
            dice.random(points) > 0.02,
        )
        for n in range(coins)
    }


def planned(
    prices: Mapping[str, PriceSeries], wanted: Sequence[Strategy] | None = None, folds: int = 2
) -> list[SweepTask]:
    wanted = walk_forward.build_candidates(NAMES, GRID) if wanted is None else wanted
    start = min(float(series.times[0]) for series in prices.values())
    loaded = LoadedPrices(prices, start)
    return walk_forward.plan_tasks(loaded, wanted, folds, COSTS, CASH)


def silent(_done: int) -> None:
    """Show no progress."""


def dumped(tasks: Sequence[SweepTask], scored: Sequence[CoinScores]) -> str:
    return json.dumps(output.sweep_json(walk_forward.select_winners(tasks, scored)))


def here(tasks: Sequence[SweepTask], jobs: int = 1, count: Callable[[int], None] = silent) -> str:
    return dumped(tasks, executors.run_locally(tasks, jobs, count))


# --- candidates --------------------------------------------------------------------------------


def test_each_strategy_gets_every_combination_of_its_own_parameters() -> None:
    found = [
        (s.name, dict(s.parameters))
        for s in walk_forward.build_candidates(["sma-cross", "hold"], GRID_2)
    ]
    assert found == [
        ("sma-cross", {"fast": 2, "slow": 4}),
        ("sma-cross", {"fast": 2, "slow": 8}),
        ("sma-cross", {"fast": 6, "slow": 8}),
        ("hold", {}),
    ]  # fast 6 is not below slow 4


GRID_2 = {"fast": [2.0, 6.0], "slow": [4.0, 8.0]}


def test_an_error_says_why_no_combination_is_valid() -> None:
    with pytest.raises(ConfigurationError, match="fast 9 must be smaller than slow 4"):
        walk_forward.build_candidates(["sma-cross"], {"fast": [9.0], "slow": [4.0]})


def test_an_unknown_parameter_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no such parameter as colour"):
        walk_forward.build_candidates(["sma-cross", "hold"], {"fast": [2.0], "colour": [1.0]})


def test_too_many_combinations_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_forward, "MAX_CANDIDATES", 1_000)
    values = [float(n) for n in range(50, 0, -1)]
    with pytest.raises(ConfigurationError, match="more than 1,000 combinations"):
        walk_forward.build_candidates(
            ["sma-cross"], {"fast": values, "slow": values}
        )  # 1,225 make sense


# --- the walk --------------------------------------------------------------------------------


def test_each_fold_trains_on_all_blocks_before_its_test_block() -> None:
    tasks = planned(market(), folds=3)
    edges = tasks[0].edges
    assert len(edges) == 5
    assert np.diff(edges) == pytest.approx([float(np.diff(edges)[0])] * 4)
    assert edges[0] == START
    assert edges[-1] > START + 2 + QUARTER * 399
    found = walk_forward.select_winners(tasks, [walk_forward.run_task(task) for task in tasks])
    assert [(f.training_starts_at, f.training_ends_at, f.test_ends_at) for f in found.folds] == [
        (edges[0], edges[1], edges[2]),
        (edges[0], edges[2], edges[3]),
        (edges[0], edges[3], edges[4]),
    ]
    for place, fold in enumerate(found.folds):
        assert fold.training_return == max(line.training_returns[place] for line in found.table)
    assert [line.training_returns[-1] for line in found.table] == sorted(
        (line.training_returns[-1] for line in found.table), reverse=True
    )


def test_the_scores_match_backtests_of_the_blocks() -> None:
    prices = market(2)
    tasks = planned(prices)
    found = walk_forward.select_winners(tasks, [walk_forward.run_task(task) for task in tasks])
    edges = tasks[0].edges
    for line in found.table:
        for place in range(2):
            middle, end = edges[place + 1], edges[place + 2]
            trained: list[float] = []
            unseen: list[float] = []
            for own in prices.values():
                training, whole = own.between(edges[0], middle), own.between(edges[0], end)
                for into, series, since in ((trained, training, edges[0]), (unseen, whole, middle)):
                    signals = line.candidate.build_signals(series, since)
                    outcome = engine.run_backtest(series, signals, COSTS, CASH)
                    into.append(float(outcome.final_usd / CASH) - 1)
                    assert all(trade.filled_at >= since for trade in outcome.trades)
            assert line.training_returns[place] == statistics.fmean(trained)
            assert line.test_returns[place] == statistics.fmean(unseen)


def test_the_buy_and_hold_return_of_a_fold_matches_its_prices() -> None:
    own = market(1)["coin-0"]
    [task] = tasks = planned({"coin-0": own}, [strategies.load("dca")])
    found = walk_forward.select_winners(tasks, [walk_forward.run_task(task)])
    for fold in found.folds:
        block = own.between(fold.training_ends_at, fold.test_ends_at)
        block = from_prices(block.times, block.prices, np.ones(len(block), dtype=bool))
        if own.is_observed.all():
            ratio = block.prices[-1] / block.prices[1]
            assert fold.buy_and_hold_return == pytest.approx(0.999**2 * 0.9995 / 1.0005 * ratio - 1)
    assert len(found.folds) == 2


@pytest.mark.parametrize("own", [False, True], ids=["built in", "own"])
def test_prices_of_the_last_block_do_not_change_the_training(own: bool) -> None:
    wanted = [strategies.load_source(StrategySource("mine.py", OWN))] if own else None
    prices = market()
    tasks = planned(prices, wanted)
    last = tasks[0].edges[-2]
    dice = np.random.default_rng(9)
    changed = {
        coin: from_prices(
            series.times,
            np.where(
                series.times >= last,
                series.prices * dice.uniform(0.2, 5, len(series)),
                series.prices,
            ),
            series.is_observed,
        )
        for coin, series in prices.items()
    }
    first, second = (
        walk_forward.select_winners(one, [walk_forward.run_task(task) for task in one])
        for one in (tasks, planned(changed, wanted))
    )
    for one, other in zip(first.folds, second.folds, strict=True):
        assert one.winner.candidate == other.winner.candidate
        assert one.training_return == other.training_return
    assert first.folds[0].test_return == second.folds[0].test_return
    assert first.folds[-1].test_return != second.folds[-1].test_return
    for line, beside in zip(first.table, second.table, strict=True):
        assert line.candidate == beside.candidate
        assert line.training_returns == beside.training_returns
        assert line.test_returns[:-1] == beside.test_returns[:-1]


def test_a_strategy_that_keeps_prices_in_a_global_does_not_know_unseen_days() -> None:
    """A module that kept prices in a global would know the future in its second run."""
    source = (
        "seen = {}\n"
        "def decide(history, portfolio):\n"
        "    seen[history.times[-1]] = history.prices[-1]\n"
        "    if history.times[-1] + 900 in seen:\n"
        "        raise RuntimeError('the future is there')\n"
        "    return 0.1\n"
    )
    [task] = planned(market(1), [strategies.load_source(StrategySource("mine.py", source))])
    walk_forward.run_task(task)


def test_too_few_prices_for_the_folds_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="too few for 3 folds"):
        planned(market(2, points=6), folds=3)


def test_a_coin_without_prices_in_a_block_does_not_change_the_mean() -> None:
    prices = market(2)
    half = {"coin-0": prices["coin-0"], "coin-1": prices["coin-1"].between(0, START + 60 * QUARTER)}
    tasks = planned(half, [strategies.load("hold")])
    found = walk_forward.select_winners(tasks, [walk_forward.run_task(task) for task in tasks])
    alone = planned({"coin-0": prices["coin-0"]}, [strategies.load("hold")])
    expected = walk_forward.select_winners(alone, [walk_forward.run_task(task) for task in alone])
    # A coin without prices in a block has no return there, not a return of 0.
    assert found.folds[-1].test_return == pytest.approx(expected.folds[-1].test_return, abs=1e-3)


# --- executors ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_find_the_same_as_one() -> None:
    wanted = [
        *walk_forward.build_candidates(NAMES, GRID),
        strategies.load_source(StrategySource("mine.py", OWN)),
    ]
    tasks = planned(market(4), wanted)
    counted: list[int] = []
    assert here(tasks) == here(tasks, 2, counted.append)
    assert counted == [1, 2, 3, 4]


def test_the_error_of_a_strategy_comes_back_from_another_process() -> None:
    failing = strategies.load_source(
        StrategySource("mine.py", "def decide(history, portfolio):\n    raise OSError('no')\n")
    )
    with pytest.raises(ConfigurationError, match=r"mine\.py failed at .*OSError: no, line 2"):
        executors.run_locally(planned(market(2), [failing]), 2, silent)


def test_the_order_of_finished_tasks_does_not_change_the_result() -> None:
    tasks = planned(market(4))
    scored = [walk_forward.run_task(task) for task in tasks]
    expected = dumped(tasks, scored)
    for order in itertools.permutations(scored):
        assert dumped(tasks, order) == expected


def test_the_bundle_holds_all_modules_that_a_worker_needs(tmp_path: Path) -> None:
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


@pytest.mark.soak
@pytest.mark.slow
def test_a_killed_process_does_not_change_the_result() -> None:
    prices = market(6, points=800)
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

    found = here(planned(prices, busy(0.1)), 2, kill_one)
    assert len(killed) >= 1
    assert found == here(planned(prices, busy(0)))


@pytest.mark.slow
def test_processes_that_die_again_and_again_are_an_error() -> None:
    source = (
        "import os, signal\n"
        "def decide(history, portfolio):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with pytest.raises(executors.WorkersFailed, match="5 worker processes died"):
        executors.run_locally(
            planned(market(2), [strategies.load_source(StrategySource("mine.py", source))]),
            2,
            silent,
        )


# In its own process, because the scheduler loads the uploaded modules, and reloads them.
CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, psutil.Process]]:
    """Yield the address of a local Dask cluster and its process, whose children are the workers.

    Its folder and its path do not contain the project. A worker that dies is started again.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
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
        yield process.stdout.readline().strip(), psutil.Process(process.pid)
        process.communicate()  # it ends when its input ends


@pytest.mark.slow
def test_a_dask_cluster_finds_the_same_even_if_a_worker_is_killed(
    cluster: tuple[str, psutil.Process],
) -> None:
    prices = market(8, points=800)
    address, process = cluster
    counted: list[int] = []
    killed: list[psutil.Process] = []

    def kill_one(done: int) -> None:
        counted.append(done)
        if done == 1:
            workers = [w for w in process.children() if "spawn_main" in " ".join(w.cmdline())]
            workers[0].kill()
            killed.append(workers[0])

    tasks = planned(prices, busy(0.1))
    found = dumped(tasks, executors.run_on_cluster(tasks, address, kill_one))
    assert counted == list(range(1, 9))
    [worker] = killed
    assert not worker.is_running() or worker.status() == "zombie"
    assert found == here(planned(prices, busy(0)))


@pytest.mark.slow
def test_remote_workers_get_the_code_and_report_the_same_errors(
    cluster: tuple[str, psutil.Process],
) -> None:
    wanted = [
        *walk_forward.build_candidates(NAMES, GRID),
        strategies.load_source(StrategySource("mine.py", OWN)),
    ]
    tasks = planned(market(5), wanted)
    failing = strategies.load_source(
        StrategySource("mine.py", "def decide(history, portfolio):\n    raise OSError('no')\n")
    )
    address, _ = cluster
    counted: list[int] = []
    found = dumped(tasks, executors.run_on_cluster(tasks, address, counted.append))
    with pytest.raises(ConfigurationError, match=r"mine\.py failed at .*OSError: no, line 2"):
        executors.run_on_cluster(planned(market(2), [failing]), address, silent)
    assert counted == [1, 2, 3, 4, 5]
    assert found == here(tasks)


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
def test_a_sweep_shows_the_winner_and_its_return_on_unseen_days(script: Script, csv: str) -> None:
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
    assert [fold["training_ends_at"] for fold in found["folds"][1:]] == [
        fold["test_ends_at"] for fold in found["folds"][:-1]
    ]
    assert found["folds"][-1]["test_return"] == found["winner"]["test_returns"][-1]
    held = next(line for line in found["table"] if line["strategy"] == "hold")
    assert held["test_returns"] == [f["test_buy_and_hold_return"] for f in found["folds"]]
    shown = _sweep(script, *arguments)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "5 candidates on 2 coins" in shown.stdout
    assert f"{found['folds'][-1]['test_return']:+.2%}" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--strategy", "moon"], "There is no strategy 'moon'"),
        (["--strategy", ","], "holds no name"),
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
def test_an_error_names_the_invalid_option(
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
def test_the_error_for_too_few_prices_is_one_line(script: Script, tmp_path: Path) -> None:
    lines = ["timestamp,coin_id,price", *(f"2026-11-0{n},a,{n}" for n in range(1, 6)), ""]
    (tmp_path / "few.csv").write_text("\n".join(lines))
    done = _sweep(script, "--strategy", "hold", "--csv", "few.csv", "--folds", "3")
    _refused(done, "too few for 3 folds")


@pytest.mark.slow
def test_the_error_for_a_missing_scheduler_is_one_line(
    script: Script, csv: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "SCHEDULER_TIMEOUT_SECONDS", 0.5)
    done = _sweep(script, "--strategy", "hold", "--csv", csv, "--scheduler", "tcp://127.0.0.1:9")
    _refused(done, "--scheduler tcp://127.0.0.1:9: no Dask scheduler responds there")


@pytest.mark.slow
@pytest.mark.parametrize("address", ["nonsense://127.0.0.1:9", "127.0.0.1:x", "tcp://a b:1"])
def test_the_error_for_an_invalid_address_is_one_line(
    script: Script, csv: str, address: str
) -> None:
    done = _sweep(script, "--strategy", "hold", "--csv", csv, "--scheduler", address)
    _refused(done, f"--scheduler '{address}' is not the address of a Dask scheduler")


@pytest.mark.slow
def test_a_sweep_prints_the_same_on_a_cluster_and_locally(
    script: Script, csv: str, tmp_path: Path, cluster: tuple[str, psutil.Process]
) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    arguments = ("--strategy", "sma-cross,mine.py", "--param", "fast=3,6", "--csv", csv, "--json")
    there = _sweep(script, *arguments, "--scheduler", cluster[0])
    assert (there.returncode, there.stderr) == (0, "")
    assert there.stdout == _sweep(script, *arguments, "--jobs", "1").stdout


SLEEPING = """
import time
def decide(history, portfolio):
    time.sleep(0.2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_sweep_leaves_no_worker_behind(
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


# Last, because the cluster needs a while to start its workers again.
@pytest.mark.slow
def test_a_strategy_that_kills_every_worker_is_an_error(
    cluster: tuple[str, psutil.Process],
) -> None:
    source = "import os\ndef decide(history, portfolio):\n    os.kill(os.getpid(), 9)\n"
    address, _ = cluster
    with pytest.raises(executors.WorkersFailed, match="died again and again"):
        executors.run_on_cluster(
            planned(market(2), [strategies.load_source(StrategySource("mine.py", source))]),
            address,
            silent,
        )
