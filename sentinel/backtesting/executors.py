"""Run the tasks of a sweep: in this process, on all cores of this machine, or on a Dask cluster.

When a worker dies, another one runs its task again. The result is the same.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import re
import signal
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from safe_zone import ROOT
from sentinel.backtesting import walk_forward
from sentinel.backtesting.walk_forward import CoinScores, SweepTask
from sentinel.errors import ConfigurationError, SentinelError

if TYPE_CHECKING:
    from distributed import Client

# Called with the number of finished tasks.
OnProgress = Callable[[int], None]

MAX_DEATHS = 5  # of workers in a row, without a finished task between them
MAX_PENDING_TASKS = 64  # on a cluster at once: their prices travel with them
PARENT_CHECK_SECONDS = 1.0
SCHEDULER_TIMEOUT_SECONDS = 15
_ADDRESS = re.compile(r"(tcp|tls)://[^\s/:]+:\d{1,5}")
# The modules that a worker needs. They are uploaded, because a worker may not have the project.
MODULES = (
    *("sentinel.errors", "sentinel.analytics.alerts", "sentinel.analytics.crossings"),
    "sentinel.analytics.forecast",
    *("sentinel.backtesting.builtin_strategies", "sentinel.backtesting.engine"),
    *("sentinel.backtesting.portfolio", "sentinel.backtesting.price_series"),
    *("sentinel.backtesting.strategies", "sentinel.backtesting.user_strategy"),
    "sentinel.backtesting.walk_forward",
)
# Without this, a worker that loads a newer bundle would keep the old submodules.
PACKAGE_INIT = """
import sys

for name in [name for name in sys.modules if name.startswith("sentinel.")]:
    del sys.modules[name]
"""


class WorkersFailed(SentinelError):
    """Workers died again and again."""


def run_locally(tasks: Sequence[SweepTask], jobs: int, on_progress: OnProgress) -> list[CoinScores]:
    """Run tasks in `jobs` processes of this machine.

    Raises WorkersFailed, and whatever a task raises.
    """
    if jobs == 1 or len(tasks) == 1:
        done = []
        for task in tasks:
            done.append(walk_forward.run_task(task))
            on_progress(len(done))
        return done
    found: dict[int, CoinScores] = {}
    deaths = 0
    while len(found) < len(tasks):
        before = len(found)
        missing = [number for number in range(len(tasks)) if number not in found]
        try:
            for number, scores in _run_in_pool(tasks, missing, jobs):
                found[number] = scores
                on_progress(len(found))
        except BrokenProcessPool as error:
            deaths = deaths + 1 if len(found) == before else 1
            if deaths >= MAX_DEATHS:
                raise WorkersFailed(
                    f"{deaths} worker processes died one after the other. They may need more "
                    "memory than there is: take fewer with --jobs"
                ) from error
    return [found[number] for number in range(len(tasks))]


def _run_in_pool(
    tasks: Sequence[SweepTask], numbers: Sequence[int], jobs: int
) -> Iterator[tuple[int, CoinScores]]:
    """Yield the scores of tasks as they finish, with their numbers.

    Raises BrokenProcessPool if a worker dies.
    """
    # Spawned, not forked: a fork copies the locks of the libraries' threads, but not the threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_end_with_parent, initargs=(os.getpid(),))
    try:
        waiting: dict[Future[CoinScores], int] = {
            pool.submit(walk_forward.run_task, tasks[number]): number for number in numbers
        }
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BaseException:  # Ctrl-C must not wait for running tasks
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    pool.shutdown()


def _end_with_parent(parent: int) -> None:
    """Prepare a worker: it ignores Ctrl-C, which its parent handles, and ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch_parent, daemon=True).start()


def run_on_cluster(
    tasks: Sequence[SweepTask], scheduler: str, on_progress: OnProgress
) -> list[CoinScores]:
    """Run tasks on an existing Dask cluster; `scheduler` is an address as tcp://10.0.0.7:8786.

    Raises ConfigurationError if there is no cluster, WorkersFailed, and whatever a task raises.
    """
    from distributed.scheduler import KilledWorker

    with _connect(scheduler) as client:
        _wait_for_workers(client, scheduler)
        _upload_modules(client)
        try:
            return _stream_tasks(client, tasks, on_progress)
        except KilledWorker as error:
            raise WorkersFailed(
                "Workers of the cluster died again and again at one task. They may need more memory"
            ) from error
        except (CancelledError, OSError) as error:
            raise WorkersFailed(
                f"The connection to the cluster at {scheduler} was lost "
                f"({type(error).__name__}). A sweep keeps no partial results: start it again."
            ) from error


def _connect(scheduler: str) -> Client:
    from distributed import Client

    if not _ADDRESS.fullmatch(scheduler):
        raise ConfigurationError(
            f"--scheduler '{scheduler[:80]}' is not the address of a Dask scheduler, such as "
            "tcp://host:8786"
        )
    try:
        return Client(scheduler, timeout=SCHEDULER_TIMEOUT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"--scheduler {scheduler[:80]}: no Dask scheduler responds there "
            f"({type(error).__name__})"
        ) from error


def _wait_for_workers(client: Client, scheduler: str) -> None:
    try:
        client.wait_for_workers(1, timeout=SCHEDULER_TIMEOUT_SECONDS)
    except TimeoutError as error:
        raise ConfigurationError(
            f"--scheduler {scheduler[:80]}: that cluster has no workers"
        ) from error


def _stream_tasks(
    client: Client, tasks: Sequence[SweepTask], on_progress: OnProgress
) -> list[CoinScores]:
    """Run tasks on the cluster, MAX_PENDING_TASKS at a time.

    Prices travel inside each task. Data scattered to a worker beforehand would die with it.
    """
    from distributed import as_completed

    found: dict[int, CoinScores] = {}
    waiting = iter(enumerate(tasks))

    def submit(entry: tuple[int, SweepTask]) -> object:
        number, task = entry
        return client.submit(walk_forward.run_numbered_task, number, task, pure=False)

    running = as_completed(loop=client.loop)
    for entry in itertools.islice(waiting, MAX_PENDING_TASKS):
        running.add(submit(entry))
    for future in running:
        number, scores = future.result()
        future.release()
        found[number] = scores
        on_progress(len(found))
        for entry in itertools.islice(waiting, 1):
            running.add(submit(entry))
    return [found[number] for number in range(len(tasks))]


def _upload_modules(client: Client) -> None:
    """Upload the code to the workers; Dask also sends it to workers that join later."""
    with tempfile.TemporaryDirectory(prefix="market-sentinel-") as folder:
        path = Path(folder) / "market_sentinel_sweep.zip"
        write_bundle(path)
        client.upload_file(str(path))


def write_bundle(path: Path) -> None:
    """Write a zip file with the package `sentinel`, reduced to MODULES."""
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("sentinel/__init__.py", PACKAGE_INIT)
        for package in ("analytics", "backtesting"):
            bundle.writestr(f"sentinel/{package}/__init__.py", "")
        for module in MODULES:
            name = f"{module.replace('.', '/')}.py"
            bundle.write(ROOT / name, name)
