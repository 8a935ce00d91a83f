"""Run the tasks of a sweep on a Dask cluster.

When a worker dies, another one runs its task again. The result is the same.
"""

from __future__ import annotations

import itertools
import re
import zipfile
from collections.abc import Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING

from safe_zone import ROOT
from sentinel.backtesting import sweep_tasks
from sentinel.backtesting.sweep_tasks import (
    OnProgress,
    Sweep,
    SweepTask,
    TaskScores,
    WorkersFailed,
)
from sentinel.errors import ConfigurationError
from sentinel.leftovers import temporary_folder

if TYPE_CHECKING:
    from distributed import Client

MAX_PENDING_TASKS = 64  # on a cluster at once: their prices travel with them
SCHEDULER_TIMEOUT_SECONDS = 15
_ADDRESS = re.compile(r"(tcp|tls)://[^\s/:]+:\d{1,5}")
# Without this, a worker that loads a newer bundle would keep the old submodules.
PACKAGE_INIT = """
import sys

for name in [name for name in sys.modules if name.startswith("sentinel.")]:
    del sys.modules[name]
"""


def run_on_cluster(sweep: Sweep, scheduler: str, on_progress: OnProgress) -> list[TaskScores]:
    """Run a sweep on an existing Dask cluster; `scheduler` is an address as tcp://10.0.0.7:8786.

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
            cores = sum(client.nthreads().values())
            return _stream_tasks(client, sweep_tasks.plan_tasks(sweep, cores), on_progress)
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
) -> list[TaskScores]:
    """Run tasks on the cluster, MAX_PENDING_TASKS at a time.

    Prices travel inside each task. Data scattered to a worker beforehand would die with it.
    """
    from distributed import as_completed

    found: list[TaskScores] = []
    waiting = iter(tasks)
    running = as_completed(loop=client.loop)

    def submit(most: int) -> None:
        for task in itertools.islice(waiting, most):
            running.add(client.submit(sweep_tasks.run_task, task, pure=False))

    submit(MAX_PENDING_TASKS)
    for future in running:
        found.append(future.result())
        future.release()
        on_progress(sum(scores.backtests for scores in found))
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
