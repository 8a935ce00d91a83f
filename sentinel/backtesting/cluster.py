"""Run the tasks of a sweep on a Dask cluster whose workers may die, stop, join or be slow.

- When a worker dies, Dask gives its tasks to another one.
- When a worker stops responding, or takes much longer than usual, its tasks are also given to other
  workers. The first result counts. All results of a task are the same.
- When no worker responds for a while, the sweep ends with WorkersFailed.
"""

from __future__ import annotations

import contextlib
import queue
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sentinel.backtesting import archived_prices, cluster_connection, sweep_tasks
from sentinel.backtesting.archived_prices import ArchivedDays, ArchivedTask, WorkerArchiveError
from sentinel.backtesting.cluster_workers import ClusterWorkers
from sentinel.backtesting.sweep_tasks import (
    OnProgress,
    Sweep,
    SweepTask,
    TaskScores,
    WorkersFailed,
)
from sentinel.errors import ConfigurationError

if TYPE_CHECKING:
    from distributed import Client, Future

# In flight, for each thread of the cluster: one runs while the next one is on its way.
TASKS_PER_THREAD = 2
# Called with a sentence for the user.
OnNotice = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a sweep waits for its cluster, in seconds."""

    connect: float = cluster_connection.CONNECT_SECONDS
    # Between two looks at the workers.
    poll: float = 2.0
    # Without a heartbeat. Workers send one twice a second; of 1,000 workers, one in six seconds.
    silent: float = 10.0
    # A task is slow after this time, and after this multiple of the median time of a task.
    slow: float = 10.0
    slow_factor: float = 5.0
    # Without a finished task; the next notices come after twice, four times … this time.
    notice: float = 30.0
    # Without a finished task and without a heartbeat of any worker.
    give_up: float = 60.0
    # For the result of a finished task.
    result: float = 10.0


def run_on_cluster(
    sweep: Sweep,
    scheduler: str,
    on_progress: OnProgress,
    on_notice: OnNotice,
    days: ArchivedDays | None = None,
    timeouts: Timeouts = Timeouts(),
) -> list[TaskScores]:
    """Run a sweep on an existing Dask cluster; `scheduler` is an address as tcp://10.0.0.7:8786.

    Workers read the prices of `days` themselves. If they cannot, a notice says so, and all prices
    are sent to them.

    Raises ConfigurationError if there is no cluster, WorkersFailed, and whatever a task raises.
    """
    client = cluster_connection.connect(scheduler, timeouts.connect)
    from distributed.scheduler import KilledWorker

    try:
        cluster_connection.upload_modules(client, timeouts.connect)
        return _ClusterRun(client, sweep, on_progress, on_notice, days, timeouts).run()
    except KilledWorker as error:
        raise WorkersFailed(
            "Workers of the cluster died again and again at one task. They may need more memory"
        ) from error
    except (CancelledError, OSError) as error:
        raise WorkersFailed(
            f"The connection to the cluster at {scheduler} was lost ({type(error).__name__}). A "
            "sweep keeps no partial results: start it again."
        ) from error
    except ModuleNotFoundError as error:
        raise WorkersFailed(
            f"The workers of the cluster at {scheduler} lack {error.name}: install it there"
        ) from error
    finally:
        cluster_connection.close(client)


@dataclass(eq=False, slots=True)
class _Copy:
    """A task that was submitted. A slow task has several copies."""

    task: SweepTask
    future: Future
    submitted_at: float


class _ClusterRun:
    """One sweep on a connected cluster."""

    def __init__(
        self,
        client: Client,
        sweep: Sweep,
        on_progress: OnProgress,
        on_notice: OnNotice,
        days: ArchivedDays | None,
        timeouts: Timeouts,
    ) -> None:
        self._client, self._on_progress, self._on_notice = client, on_progress, on_notice
        self._days, self._timeouts = days, timeouts
        self._workers = ClusterWorkers(client, timeouts.silent)
        self._workers.refresh()
        self._tasks = sweep_tasks.plan_tasks(sweep, self._count_threads())
        self._waiting = deque(self._tasks)
        # Copies of unfinished tasks, by task id.
        self._running: dict[int, list[_Copy]] = {}
        self._found: list[TaskScores] = []
        # Seconds from submission to result.
        self._durations: list[float] = []
        # Copies whose task has ended, in a result or an error.
        self._ended: queue.SimpleQueue[_Copy] = queue.SimpleQueue()
        self._progress_at = time.monotonic()
        self._next_notice = timeouts.notice

    def run(self) -> list[TaskScores]:
        """Return the scores of all tasks."""
        next_look = time.monotonic() + self._timeouts.poll
        while len(self._found) < len(self._tasks):
            while self._waiting and len(self._running) < self._max_running():
                self._submit(self._waiting.popleft())
            with contextlib.suppress(queue.Empty):
                self._collect(self._ended.get(timeout=self._timeouts.poll))
            if time.monotonic() >= next_look:
                self._look_after_workers()
                next_look = time.monotonic() + self._timeouts.poll
        return self._found

    def _count_threads(self) -> int:
        return max(1, sum(self._workers.responding.values()))

    def _max_running(self) -> int:
        return TASKS_PER_THREAD * self._count_threads()

    def _submit(self, task: SweepTask, avoided: Sequence[str] = ()) -> None:
        """Submit a copy of a task to the workers that respond, but not to the avoided ones."""
        allowed = [one for one in self._workers.responding if one not in avoided]
        is_restricted = 0 < len(allowed) < len(self._workers)
        # Prices travel inside each task. Data scattered to a worker beforehand would die with it.
        run: Callable[..., TaskScores] = sweep_tasks.run_task
        sent: SweepTask | ArchivedTask = task
        if self._days:
            run, sent = archived_prices.run_task, archived_prices.leave_out(task, self._days)
        future = self._client.submit(
            run,
            sent,
            pure=False,
            workers=allowed if is_restricted else None,
            allow_other_workers=is_restricted,
            priority=1 if avoided else 0,
        )
        copy = _Copy(task, future, time.monotonic())
        self._running.setdefault(task.task_id, []).append(copy)
        future.add_done_callback(lambda _future: self._ended.put(copy))

    def _collect(self, copy: _Copy) -> None:
        """Take the result of a task, unless another copy of it was faster."""
        if copy.task.task_id not in self._running:
            return
        try:
            scores = copy.future.result(timeout=self._timeouts.result)
        except TimeoutError:  # its worker stopped with the result
            self._running[copy.task.task_id].remove(copy)
            self._submit(copy.task)
            return
        except WorkerArchiveError as error:
            self._send_all_prices(error)
            self._running[copy.task.task_id].remove(copy)
            self._submit(copy.task)
            return
        except ConfigurationError as error:
            needs = ". Install it on the workers" if "ModuleNotFoundError" in str(error) else ""
            raise ConfigurationError(f"On a worker of the cluster: {error}{needs}") from error
        for one in self._running.pop(copy.task.task_id):
            one.future.release()
        now = time.monotonic()
        self._durations.append(now - copy.submitted_at)
        self._found.append(scores)
        self._progress_at = now
        self._next_notice = self._timeouts.notice
        self._on_progress(sum(one.backtests for one in self._found))

    def _send_all_prices(self, error: WorkerArchiveError) -> None:
        """Send the prices of archived days too from now on, and tell the user why."""
        if self._days:
            self._on_notice(
                f"A worker of the cluster cannot read the archive, so its prices are sent from "
                f"here. The worker says: {error}"
            )
            self._days = None

    # --- the watchdog ------------------------------------------------------------------------

    def _look_after_workers(self) -> None:
        """Resubmit slow tasks, tell the user that nothing moves, give up without any worker."""
        self._workers.refresh()
        now, responding = time.monotonic(), len(self._workers.responding)
        if responding:
            self._resubmit_slow(now)
        idle = now - self._progress_at
        if idle >= self._next_notice:
            self._next_notice *= 2
            self._on_notice(
                f"No task finished for {idle:.0f} s; {responding} of {len(self._workers)} workers "
                f"respond; {len(self._found)} of {len(self._tasks)} tasks are finished."
            )
        silence = now - max(self._progress_at, self._workers.last_heartbeat)
        if not responding and silence >= self._timeouts.give_up:
            raise WorkersFailed(
                f"No worker of the cluster has responded for {silence:.0f} s. A "
                "sweep keeps no partial results: start the workers, then the sweep again"
            )

    def _resubmit_slow(self, now: float) -> None:
        """Give tasks to other workers if theirs does not respond, or if they take very long."""
        timeouts, responding = self._timeouts, self._workers.responding
        old = [
            copies
            for copies in self._running.values()
            if now - copies[0].submitted_at >= min(timeouts.silent, timeouts.slow)
        ]
        holders = self._workers.find_holders() if old else None
        if holders is None:
            return
        usual = statistics.median(self._durations) if self._durations else 0.0
        limit = max(timeouts.slow, timeouts.slow_factor * usual)
        for copies in old:
            held = [holders.get(copy.future.key, ()) for copy in copies]
            # A copy without a holder waits at the scheduler.
            is_lost = all(own and not responding.keys() & set(own) for own in held)
            is_slow = len(copies) == 1 and bool(held[0]) and now - copies[0].submitted_at >= limit
            avoided = [address for own in held for address in own]
            if is_lost or (is_slow and responding.keys() - set(avoided)):
                self._submit(copies[0].task, avoided)
