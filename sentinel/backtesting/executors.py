"""Run the tasks of a sweep: in this process, on all cores of this machine, or on a Dask cluster.

When a worker dies, another one runs its task again. The result is the same.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import re
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from safe_zone import ROOT
from sentinel.backtesting import walk_forward
from sentinel.backtesting.walk_forward import CoinScores, SweepTask
from sentinel.errors import ConfigurationError, SentinelError
from sentinel.leftovers import temporary_folder

if TYPE_CHECKING:
    from distributed import Client

# Called with the number of finished tasks.
OnProgress = Callable[[int], None]

MAX_DEATHS = 5  # of workers in a row, without a finished task between them
MAX_PENDING_TASKS = 64  # on a cluster at once: their prices travel with them
PARENT_CHECK_SECONDS = 1.0
SCHEDULER_TIMEOUT_SECONDS = 15
_ADDRESS = re.compile(r"(tcp|tls)://[^\s/:]+:\d{1,5}")
# Without this, a worker that loads a newer bundle would keep the old submodules.
PACKAGE_INIT = """
import sys

for name in [name for name in sys.modules if name.startswith("sentinel.")]:
    del sys.modules[name]
"""


class WorkersFailed(SentinelError):
    """Workers died again and again."""


def run_locally(tasks: Sequence[SweepTask], jobs: int, on_progress: OnProgress) -> list[CoinScores]:
    """Run tasks in `jobs` processes of this machine; returns the scores in any order.

    Raises WorkersFailed, and whatever a task raises.
    """
    if jobs == 1 or len(tasks) == 1:
        done = []
        for task in tasks:
            done.append(walk_forward.run_task(task))
            on_progress(len(done))
        return done
    found: dict[str, CoinScores] = {}
    deaths = 0
    while missing := [task for task in tasks if task.coin_id not in found]:
        before = len(found)
        try:
            for scores in _run_in_pool(missing, jobs):
                found[scores.coin_id] = scores
                on_progress(len(found))
        except BrokenProcessPool as error:
            deaths = deaths + 1 if len(found) == before else 1
            if deaths >= MAX_DEATHS:
                raise WorkersFailed(
                    f"{deaths} worker processes died one after the other. They may need more "
                    "memory than there is: take fewer with --jobs"
                ) from error
    return list(found.values())


def _run_in_pool(tasks: Sequence[SweepTask], jobs: int) -> Iterator[CoinScores]:
    """Yield the scores of tasks as they finish. Raises BrokenProcessPool if a worker dies."""
    # Spawned, not forked: a fork copies the locks of the libraries' threads, but not the threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_end_with_parent, initargs=(os.getpid(),))
    try:
        for future in as_completed([pool.submit(walk_forward.run_task, task) for task in tasks]):
            yield future.result()
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
    try:
        from distributed.scheduler import KilledWorker
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"--scheduler needs {error.name}: python -m pip install -r requirements/services.txt"
        ) from error

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

    found: list[CoinScores] = []
    waiting = iter(tasks)
    running = as_completed(loop=client.loop)

    def submit(most: int) -> None:
        for task in itertools.islice(waiting, most):
            running.add(client.submit(walk_forward.run_task, task, pure=False))

    submit(MAX_PENDING_TASKS)
    for future in running:
        found.append(future.result())
        future.release()
        on_progress(len(found))
        submit(1)
    return found


def _upload_modules(client: Client) -> None:
    """Upload the code to the workers; Dask also sends it to workers that join later."""
    with temporary_folder() as folder:
        path = folder / "market_sentinel_sweep.zip"
        write_bundle(path)
        client.upload_file(str(path))


def write_bundle(file: Path) -> None:
    """Write a zip file with the package `sentinel`, which a worker may not have."""
    with zipfile.ZipFile(file, "w") as bundle:
        for path in (ROOT / "sentinel").rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            own = PACKAGE_INIT if name == "sentinel/__init__.py" else path.read_bytes()
            bundle.writestr(name, own)
