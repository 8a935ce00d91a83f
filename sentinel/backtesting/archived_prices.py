"""Let workers of a cluster read archived days from an object store, instead of sending prices.

The client has read all prices, because it checks strategies for look-ahead. A task then carries the
prices of the other days, the names of the day files, and a SHA-256 of each coin's series. A worker
reads the files with the credentials of its own environment. The SHA-256 shows that it trades on
exactly the client's prices.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np

from sentinel.archive.day_file import DayFile
from sentinel.backtesting import price_series, sweep_tasks
from sentinel.backtesting.price_series import PriceSeries
from sentinel.backtesting.sweep_tasks import SweepTask, TaskScores
from sentinel.errors import SentinelError

DAY_SECONDS = 86_400
_EPOCH = date(1970, 1, 1)


class WorkerArchiveError(SentinelError):
    """A worker cannot read the archive, or finds other prices there than the client."""


@dataclass(frozen=True, slots=True)
class ArchivedDays:
    """Day files of an object store, at least one, all of whose prices belong to a sweep."""

    # Such as s3://bucket/folder.
    url: str
    files: Sequence[DayFile]


@dataclass(frozen=True, slots=True, eq=False)
class ArchivedTask:
    """A task whose worker reads some days itself."""

    # Without the prices of these days.
    rest: SweepTask
    days: ArchivedDays
    # Of each coin's whole series.
    digests: Mapping[str, str]


def leave_out(task: SweepTask, days: ArchivedDays) -> ArchivedTask:
    """Return a task without the prices of archived days."""
    archived = [(file.day - _EPOCH).days for file in days.files]
    rest = {
        coin_id: _select(series, ~np.isin(series.times // DAY_SECONDS, archived))
        for coin_id, series in task.coins.items()
    }
    digests = {coin_id: _compute_digest(series) for coin_id, series in task.coins.items()}
    return ArchivedTask(replace(task, coins=rest), days, digests)


def run_task(task: ArchivedTask) -> TaskScores:
    """Read the archived days and run the task. Runs on a worker.

    Raises WorkerArchiveError, and ConfigurationError if a user's strategy fails.
    """
    try:
        coins = _read_coins(task)
    except (SentinelError, ImportError) as error:
        raise WorkerArchiveError(str(error)) from None
    return sweep_tasks.run_task(replace(task.rest, coins=coins))


def _read_coins(task: ArchivedTask) -> dict[str, PriceSeries]:
    """Return the whole series of the coins. Raises SentinelError, ImportError."""
    from sentinel.archive import parquet, store

    archive = store.open_archive(task.days.url, _find_cache())
    paths = archive.fetch_all(task.days.files)
    days = [file.day for file in task.days.files]
    start = datetime.combine(min(days), time(), UTC)
    stop = datetime.combine(max(days) + timedelta(days=1), time(), UTC)
    with parquet.temporary_folder() as folder:
        no_rows = folder / "rows.csv"
        no_rows.touch()
        rows = parquet.CsvExport(no_rows, {})
        points = parquet.read_points(rows, paths, list(task.rest.coins), start, stop)
    archived = price_series.split_by_coin(points)
    found = {
        coin_id: _merge(series, archived[coin_id]) if coin_id in archived else series
        for coin_id, series in task.rest.coins.items()
    }
    for coin_id, series in found.items():
        if _compute_digest(series) != task.digests[coin_id]:
            raise WorkerArchiveError(f"The archive holds other prices of {coin_id} than were read.")
    return found


def _find_cache() -> Path:
    """Return the worker's folder for copies of day files, which Dask removes with the worker."""
    from distributed import get_worker

    return Path(get_worker().local_directory or tempfile.gettempdir()) / "archive"


def _merge(one: PriceSeries, other: PriceSeries) -> PriceSeries:
    order = np.argsort(np.concatenate([one.times, other.times]), kind="stable")
    pairs = zip(_columns(one), _columns(other), strict=True)
    return PriceSeries(*(np.concatenate(pair)[order] for pair in pairs))


def _select(series: PriceSeries, which: price_series.Flags) -> PriceSeries:
    return PriceSeries(*(column[which] for column in _columns(series)))


def _compute_digest(series: PriceSeries) -> str:
    return hashlib.sha256(b"".join(column.tobytes() for column in _columns(series))).hexdigest()


def _columns(series: PriceSeries) -> list[np.ndarray]:
    return [getattr(series, field.name) for field in fields(series)]
