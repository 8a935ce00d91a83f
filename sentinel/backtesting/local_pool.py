"""Run the tasks of a sweep in this process or on several cores of this machine.

When a process dies, another one runs its task again. The result is the same.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from sentinel import child_process
from sentinel.backtesting import sweep_tasks
from sentinel.backtesting.sweep_tasks import (
    OnProgress,
    Sweep,
    SweepTask,
    TaskScores,
    WorkersFailed,
)

MAX_DEATHS = 5  # of processes in a row, without a finished task between them


def run_locally(sweep: Sweep, jobs: int, on_progress: OnProgress) -> list[TaskScores]:
    """Run a sweep in `jobs` processes of this machine; returns the scores in any order.

    Raises WorkersFailed, and whatever a task raises.
    """
    tasks = sweep_tasks.plan_tasks(sweep, jobs)
    found: dict[int, TaskScores] = {}
    deaths = finished = 0
    while missing := [task for task in tasks if task.task_id not in found]:
        before = len(found)
        try:
            for scores in _run(missing, min(jobs, len(tasks))):
                found[scores.task_id] = scores
                finished += scores.backtests
                on_progress(finished)
        except BrokenProcessPool as error:
            deaths = deaths + 1 if len(found) == before else 1
            if deaths >= MAX_DEATHS:
                raise WorkersFailed(
                    f"{deaths} worker processes died one after the other. They may need more "
                    "memory than there is: take fewer with --jobs"
                ) from error
    return list(found.values())


def _run(tasks: Sequence[SweepTask], jobs: int) -> Iterator[TaskScores]:
    """Yield the scores of tasks as they finish. Raises BrokenProcessPool if a process dies."""
    if jobs == 1:
        yield from map(sweep_tasks.run_task, tasks)
        return
    # Spawned, not forked: a fork copies the locks of the libraries' threads, but not the threads.
    context = multiprocessing.get_context("spawn")
    prepare, own = child_process.end_with_parent, os.getpid()
    pool = ProcessPoolExecutor(jobs, context, initializer=prepare, initargs=(own,))
    try:
        with _hide_main_file():
            futures = [pool.submit(sweep_tasks.run_task, task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
    except BaseException:  # Ctrl-C must not wait for running tasks
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    pool.shutdown()


@contextlib.contextmanager
def _hide_main_file() -> Iterator[None]:
    """Start processes that do not import the command's file, and with it the whole project."""
    main = vars(sys.modules["__main__"])
    file = main.pop("__file__", None)
    try:
        yield
    finally:
        if file is not None:
            main["__file__"] = file
