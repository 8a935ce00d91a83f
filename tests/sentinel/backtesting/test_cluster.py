"""Sweeps on a Dask cluster find the same as on this machine, or end in one line."""

from __future__ import annotations

import http.server
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import fsspec
import psutil
import pytest

from safe_zone import Settings
from sentinel.archive import parquet, store
from sentinel.archive.parquet import CsvExport
from sentinel.backtesting import (
    archived_prices,
    cluster,
    cluster_connection,
    price_loader,
    sweep_tasks,
    walk_forward,
)
from sentinel.backtesting.archived_prices import ArchivedDays
from sentinel.backtesting.cluster import Timeouts
from sentinel.backtesting.price_series import LoadedPrices, PriceSeries
from sentinel.backtesting.sweep_tasks import WorkersFailed
from sentinel.errors import ConfigurationError
from tests.support import object_store
from tests.support.commands import Script
from tests.support.object_store import ObjectStore
from tests.support.sweeps import (
    GRID,
    NAMES,
    OWN,
    START,
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

QUICK = Timeouts(connect=3, poll=0.1, silent=1.5, slow=2, notice=1, give_up=4, result=2)


def ignore(_notice: str) -> None:
    """Show no notice."""


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_tasks, "MIN_SWEEP_WORK", 1)
    monkeypatch.setattr(sweep_tasks, "MIN_TASK_WORK", 1)


@pytest.fixture
def csv(tmp_path: Path) -> str:
    return write_prices(tmp_path)


WORKER = """
import sys

def list_packages():
    return {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)

before = list_packages()
from sentinel.archive import parquet, store
from sentinel.backtesting import archived_prices, builtin_strategies, strategies, sweep_tasks

assert "code.zip" in sweep_tasks.__file__
for name in builtin_strategies.BUILT_IN:
    strategies.load(name)
print(*sorted(list_packages() - before))
"""


def test_a_worker_needs_the_bundle_and_numpy_only(tmp_path: Path) -> None:
    cluster_connection.write_bundle(tmp_path / "code.zip")
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=tmp_path,
        env={"PYTHONPATH": "code.zip"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["numpy", "sentinel"], done.stderr


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
def dask(
    tmp_path_factory: pytest.TempPathFactory, bucket: ObjectStore
) -> Iterator[tuple[str, psutil.Process]]:
    """Yield the address of a local Dask cluster and its process, whose children are the workers.

    Its folder and its path do not contain the project. A worker that dies is started again.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "cluster.py").write_text(CLUSTER)
    with subprocess.Popen(
        [sys.executable, "cluster.py"],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | bucket.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), psutil.Process(process.pid)
        process.communicate()  # it ends when its input ends


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    return [one for one in process.children() if "spawn_main" in " ".join(one.cmdline())]


@pytest.fixture(scope="module")
def bucket() -> Iterator[ObjectStore]:
    with object_store.run_object_store("s3") as served:
        yield served
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def archive_all(
    prices: Mapping[str, PriceSeries], bucket: ObjectStore, folder: Path
) -> ArchivedDays | None:
    """Archive all days; return those that workers read, long after the database dropped them."""
    url = "s3://bucket/days"
    archive = store.open_archive(url, folder / "cache")
    days: dict[date, list[str]] = {}
    for key, series in enumerate(prices.values()):
        for at, price, is_observed in zip(
            series.times, series.prices, series.is_observed, strict=True
        ):
            source = "observed" if is_observed else "backfilled"
            line = f"{key},{int(at)}000000,{float(price)!r},,,{source}\n"
            days.setdefault(datetime.fromtimestamp(at, UTC).date(), []).append(line)
    for day, lines in days.items():
        (folder / "rows.csv").write_text("".join(lines))
        rows = CsvExport(folder / "rows.csv", dict(enumerate(prices)))
        path, count = parquet.build_day(rows, [], folder)
        archive.put(path, day, count)
    bucket.requests.clear()
    settings = Settings(archive_url=url, state_dir=folder)
    loaded = LoadedPrices(prices, START)
    return price_loader.find_archived_days(settings, loaded, datetime(2030, 1, 1, tzinfo=UTC))


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
            killed.extend(workers_of(process)[:1])
            killed[0].kill()

    sweep = planned(prices, busy(0.1))
    found = dumped(sweep, cluster.run_on_cluster(sweep, address, kill_one, ignore))
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
    found = dumped(sweep, cluster.run_on_cluster(sweep, address, counted.append, ignore))
    with pytest.raises(
        ConfigurationError,
        match=r"On a worker of the cluster: .*mine\.py failed at .*OSError: no, line 2",
    ):
        cluster.run_on_cluster(planned(market(2), [failing]), address, silent, ignore)
    assert counted[-1] == sweep.backtests
    assert found == here(sweep)


@pytest.mark.slow
def test_a_stopped_worker_does_not_change_the_result(dask: tuple[str, psutil.Process]) -> None:
    address, process = dask
    stopped: list[psutil.Process] = []

    def stop_one(_done: int) -> None:
        if not stopped:
            stopped.extend(workers_of(process)[:1])
            stopped[0].suspend()

    sweep = planned(market(8, points=800), busy(0.1))
    try:
        found = dumped(
            sweep, cluster.run_on_cluster(sweep, address, stop_one, ignore, timeouts=QUICK)
        )
    finally:
        for worker in stopped:
            worker.resume()
    assert found == here(planned(market(8, points=800), busy(0)))


@pytest.mark.slow
def test_a_sweep_ends_in_one_line_when_no_worker_responds(
    dask: tuple[str, psutil.Process],
) -> None:
    address, process = dask
    notices: list[str] = []

    def stop_all(_done: int) -> None:
        for worker in workers_of(process):
            worker.suspend()

    sweep = planned(market(8, points=800), busy(0.1))
    try:
        with pytest.raises(WorkersFailed, match="No worker of the cluster has responded for") as no:
            cluster.run_on_cluster(sweep, address, stop_all, notices.append, timeouts=QUICK)
    finally:
        for worker in workers_of(process):
            worker.resume()
    assert no.value.exit_code == 2
    assert any("0 of 2 workers respond" in notice for notice in notices)


@pytest.mark.slow
def test_workers_read_archived_days_themselves_or_get_their_prices(
    dask: tuple[str, psutil.Process],
    bucket: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    sweep = planned(market(2, points=700))  # 7.3 days
    days = archive_all(sweep.coins, bucket, tmp_path)
    assert days
    assert len(days.files) == 6
    [task, *_] = sweep_tasks.plan_tasks(sweep, 1)
    left = archived_prices.leave_out(task, days).rest.coins
    assert [len(series) for series in left.values()] == [700 - 6 * 96] * len(left)

    def run(days: ArchivedDays, notices: list[str]) -> str:
        return dumped(sweep, cluster.run_on_cluster(sweep, dask[0], silent, notices.append, days))

    notices: list[str] = []
    assert run(days, notices) == here(sweep)
    assert notices == []
    assert len(set(bucket.downloads)) == 6
    # Another address, because workers keep copies of the files of this one.
    monkeypatch.setattr(bucket, "error_status", 403)
    assert run(replace(days, url="s3://bucket/locked"), notices) == here(sweep)
    [notice] = notices
    assert "A worker of the cluster cannot read the archive, so its prices are sent" in notice
    assert "The archive s3://bucket/locked cannot be read (PermissionError" in notice


# The first worker that gets the task does not end it before the test does.
UNEVEN = """
import os
from pathlib import Path

def decide(history, portfolio):
    try:
        os.close(os.open(FOLDER + "/taken", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return 0.5
    while not Path(FOLDER, "over").exists():
        pass
    return 0.5
"""


@pytest.mark.slow
def test_another_worker_also_runs_a_slow_task_and_the_first_result_counts(
    dask: tuple[str, psutil.Process], tmp_path: Path
) -> None:
    sweep = planned(market(1), [own_strategy(f"FOLDER = {str(tmp_path)!r}\n{UNEVEN}")])
    try:
        found = dumped(
            sweep, cluster.run_on_cluster(sweep, dask[0], silent, ignore, timeouts=QUICK)
        )
    finally:
        (tmp_path / "over").touch()
    assert found == here(sweep)


class Hello(http.server.BaseHTTPRequestHandler):
    """Answers nothing that Dask understands."""

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["closed port", "silent listener", "HTTP server"])
def test_the_error_for_an_address_without_scheduler_is_one_line(kind: str) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hello) as server:
        server.daemon_threads = True
        if kind == "HTTP server":
            threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.server_address[1]}"
        if kind == "closed port":
            server.server_close()
        with pytest.raises(ConfigurationError) as no:
            cluster.run_on_cluster(planned(market(1)), address, silent, ignore, timeouts=QUICK)
        if kind == "HTTP server":
            server.shutdown()
    assert str(no.value).startswith(f"--scheduler {address}: no Dask scheduler responds there (")


OLD_SCHEDULER = """
import asyncio, sys
import distributed.versions

distributed.versions._version_cached = lambda _name: "2024.8.0"

async def main():
    async with distributed.Scheduler(port=0, host="127.0.0.1", dashboard=False) as scheduler:
        print(scheduler.address, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.mark.slow
def test_the_error_for_another_version_names_both(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OLD_SCHEDULER],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with pytest.raises(ConfigurationError, match=r"runs distributed 2024\.8\.0, this command "):
            cluster.run_on_cluster(planned(market(1)), address, silent, ignore)
        process.communicate()


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
    # Where workers start slowly, none of them lives long enough to send a heartbeat.
    with pytest.raises(WorkersFailed, match=r"died again and again|No worker .* has responded"):
        cluster.run_on_cluster(planned(market(2), [own_strategy(source)]), address, silent, ignore)
