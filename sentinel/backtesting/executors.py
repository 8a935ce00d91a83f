"""Who does the tasks of a sweep: this process, all cores of this machine, or a Dask cluster.

A worker that dies takes nothing along: its task is done again by another, and comes to the same.
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
from sentinel.backtesting.walk_forward import CoinScores, Task
from sentinel.errors import ConfigurationError, SentinelError

if TYPE_CHECKING:
    from distributed import Client

Count = Callable[[int], None]

MOST_DEATHS = 5  # of workers in a row without a task done between
AT_ONCE = 64  # tasks under way on a cluster: their prices travel with them
_ADDRESS = re.compile(r"(tcp|tls)://[^\s/:]+:\d{1,5}")
WATCH_SECONDS = 1.0
ANSWER_SECONDS = 15  # for a scheduler
# The modules that a worker needs, sent along: it may not have the project installed.
MODULES = (
    *("sentinel.errors", "sentinel.analytics.alerts", "sentinel.analytics.forecast"),
    *("sentinel.backtesting.builtin_strategies", "sentinel.backtesting.engine"),
    *("sentinel.backtesting.portfolio", "sentinel.backtesting.price_series"),
    *("sentinel.backtesting.strategies", "sentinel.backtesting.user_strategy"),
    "sentinel.backtesting.walk_forward",
)
# Loading the bundle again, after an update of the project, must not leave old submodules behind.
PACKAGE_INIT = """
import sys

for name in [name for name in sys.modules if name.startswith("sentinel.")]:
    del sys.modules[name]
"""


class WorkersFailed(SentinelError):
    """Workers died again and again."""


def do_here(tasks: Sequence[Task], jobs: int, count: Count) -> list[CoinScores]:
    """Do tasks on so many cores; `count` is told how many are done.

    Raises WorkersFailed, and what a task raises.
    """
    if jobs == 1 or len(tasks) == 1:
        done = []
        for task in tasks:
            done.append(walk_forward.work(task))
            count(len(done))
        return done
    found: dict[int, CoinScores] = {}
    deaths = 0
    while len(found) < len(tasks):
        before = len(found)
        try:
            for place, scores in _pool(
                tasks, [n for n in range(len(tasks)) if n not in found], jobs
            ):
                found[place] = scores
                count(len(found))
        except BrokenProcessPool as error:
            deaths = deaths + 1 if len(found) == before else 1
            if deaths >= MOST_DEATHS:
                raise WorkersFailed(
                    f"{deaths} worker processes died one after the other: is the memory enough for "
                    "so many? Take fewer with --jobs"
                ) from error
    return [found[place] for place in range(len(tasks))]


def _pool(
    tasks: Sequence[Task], places: Sequence[int], jobs: int
) -> Iterator[tuple[int, CoinScores]]:
    """Tasks done as they are done, until all are or a worker dies."""
    # Not forked: the libraries' threads would not be there in the child, their locks would.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_end_with_parent, initargs=(os.getpid(),))
    try:
        waiting: dict[Future[CoinScores], int] = {
            pool.submit(walk_forward.work, tasks[place]): place for place in places
        }
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BaseException:  # whoever is told to stop does not wait for tasks in hand
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    pool.shutdown()


def _end_with_parent(parent: int) -> None:
    """What a worker begins with: Ctrl-C is for its parent, and without that it has no work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def do_on_cluster(tasks: Sequence[Task], scheduler: str, count: Count) -> list[CoinScores]:
    """Do tasks on an existing Dask cluster, such as tcp://10.0.0.7:8786.

    Raises ConfigurationError where it does not answer, WorkersFailed, and what a task raises.
    """
    from distributed import Client
    from distributed.scheduler import KilledWorker

    if not _ADDRESS.fullmatch(scheduler):
        raise ConfigurationError(
            f"--scheduler '{scheduler[:80]}' is no address of a Dask scheduler: tcp://host:8786"
        )
    try:
        client = Client(scheduler, timeout=ANSWER_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"--scheduler {scheduler[:80]}: no Dask scheduler answers there "
            f"({type(error).__name__})"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=ANSWER_SECONDS)
        except TimeoutError as error:
            raise ConfigurationError(
                f"--scheduler {scheduler[:80]}: that cluster has no workers"
            ) from error
        _send_modules(client)
        try:
            return _stream(client, tasks, count)
        except KilledWorker as error:
            raise WorkersFailed(
                "Workers of the cluster died again and again at one task: is their memory enough?"
            ) from error
        except (CancelledError, OSError) as error:
            raise WorkersFailed(
                f"The cluster at {scheduler} went away ({type(error).__name__}). Nothing is kept "
                "of a sweep: start it again."
            ) from error


def _stream(client: Client, tasks: Sequence[Task], count: Count) -> list[CoinScores]:
    """Keep AT_ONCE tasks under way. Prices are sent within a task, not scattered before: what was
    scattered to a worker dies with it."""
    from distributed import as_completed

    found: dict[int, CoinScores] = {}
    waiting = iter(enumerate(tasks))

    def send(entry: tuple[int, Task]) -> object:
        place, task = entry
        return client.submit(walk_forward.work_at, place, task, pure=False)

    running = as_completed(loop=client.loop)
    for entry in itertools.islice(waiting, AT_ONCE):
        running.add(send(entry))
    for future in running:
        place, scores = future.result()
        future.release()
        found[place] = scores
        count(len(found))
        for entry in itertools.islice(waiting, 1):
            running.add(send(entry))
    return [found[place] for place in range(len(tasks))]


def _send_modules(client: Client) -> None:
    """Send the code along; workers that come later, or again, get it too."""
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
