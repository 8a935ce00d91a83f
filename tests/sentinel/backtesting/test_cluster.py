"""Sweeps on a Dask cluster find the same as on this machine, or end in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sentinel.backtesting import cluster, sweep_tasks, walk_forward
from sentinel.backtesting.sweep_tasks import WorkersFailed
from sentinel.errors import ConfigurationError
from tests.support.commands import Script
from tests.support.sweeps import (
    GRID,
    NAMES,
    OWN,
    busy,
    dumped,
    here,
    market,
    own_strategy,
    planned,
    refused,
    run_sweep,
    silent,
    write_prices,
)


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_tasks, "MIN_TASK_WORK", 1)


@pytest.fixture
def csv(tmp_path: Path) -> str:
    return write_prices(tmp_path)


def test_the_bundle_holds_all_modules_that_a_worker_needs(tmp_path: Path) -> None:
    cluster.write_bundle(tmp_path / "code.zip")
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
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, psutil.Process]]:
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
    dask: tuple[str, psutil.Process],
) -> None:
    prices = market(8, points=800)
    address, process = dask
    counted: list[int] = []
    killed: list[psutil.Process] = []

    def kill_one(done: int) -> None:
        counted.append(done)
        if not killed:
            workers = [w for w in process.children() if "spawn_main" in " ".join(w.cmdline())]
            workers[0].kill()
            killed.append(workers[0])

    sweep = planned(prices, busy(0.1))
    found = dumped(sweep, cluster.run_on_cluster(sweep, address, kill_one))
    assert counted[-1] == sweep.backtests
    [worker] = killed
    assert not worker.is_running() or worker.status() == "zombie"
    assert found == here(planned(prices, busy(0)))


@pytest.mark.slow
def test_remote_workers_get_the_code_and_report_the_same_errors(
    dask: tuple[str, psutil.Process],
) -> None:
    wanted = [*walk_forward.build_candidates(NAMES, GRID), own_strategy(OWN)]
    sweep = planned(market(5), wanted)
    failing = own_strategy("def decide(history, portfolio):\n    raise OSError('no')\n")
    address, _ = dask
    counted: list[int] = []
    found = dumped(sweep, cluster.run_on_cluster(sweep, address, counted.append))
    with pytest.raises(ConfigurationError, match=r"mine\.py failed at .*OSError: no, line 2"):
        cluster.run_on_cluster(planned(market(2), [failing]), address, silent)
    assert counted[-1] == sweep.backtests
    assert found == here(sweep)


@pytest.mark.slow
def test_the_error_for_a_missing_scheduler_is_one_line(
    script: Script, csv: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SCHEDULER_TIMEOUT_SECONDS", 0.5)
    done = run_sweep(script, "--strategy", "hold", "--csv", csv, "--scheduler", "tcp://127.0.0.1:9")
    refused(done, "--scheduler tcp://127.0.0.1:9: no Dask scheduler responds there")


@pytest.mark.slow
@pytest.mark.parametrize("address", ["nonsense://127.0.0.1:9", "127.0.0.1:x", "tcp://a b:1"])
def test_the_error_for_an_invalid_address_is_one_line(
    script: Script, csv: str, address: str
) -> None:
    done = run_sweep(script, "--strategy", "hold", "--csv", csv, "--scheduler", address)
    refused(done, f"--scheduler '{address}' is not the address of a Dask scheduler")


@pytest.mark.slow
def test_a_sweep_prints_the_same_on_a_cluster_and_locally(
    script: Script, csv: str, tmp_path: Path, dask: tuple[str, psutil.Process]
) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    arguments = ("--strategy", "sma-cross,mine.py", "--param", "fast=3,6", "--csv", csv, "--json")
    there = run_sweep(script, *arguments, "--scheduler", dask[0])
    assert (there.returncode, there.stderr) == (0, "")
    assert there.stdout == run_sweep(script, *arguments, "--jobs", "1").stdout


# Last, because the cluster needs a while to start its workers again.
@pytest.mark.slow
def test_a_strategy_that_kills_every_worker_is_an_error(
    dask: tuple[str, psutil.Process],
) -> None:
    source = "import os\ndef decide(history, portfolio):\n    os.kill(os.getpid(), 9)\n"
    address, _ = dask
    with pytest.raises(WorkersFailed, match="died again and again"):
        cluster.run_on_cluster(planned(market(2), [own_strategy(source)]), address, silent)
