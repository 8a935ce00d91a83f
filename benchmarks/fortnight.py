"""Replay two weeks of an unreliable schedule through whole runs: are the gaps backfilled?

FORTNIGHT_LOG=FILE replays the runs of this usage log. Without it the pauses are random, with the
measured distribution (demo.schedule).
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psycopg

from benchmarks.results import Result
from benchmarks.scale import scratch_folder
from budget_monitor import check_budget_status
from demo.market import Market
from demo.schedule import delivered_runs
from demo.server import StandIn, running
from ingest import Clocks, run_pipeline
from safe_zone import BACKFILL_CREDITS_PER_DAY, COMPUTE_UNITS, Settings
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from sentinel.storage import embedded

START = datetime(2026, 11, 1, 0, 7, tzinfo=UTC)

PAUSES = """
SELECT pause
FROM (SELECT observed_at - lag(observed_at) OVER (PARTITION BY coin_key ORDER BY observed_at)
             AS pause, observed_at
      FROM sentinel.observations JOIN (SELECT coin_key FROM sentinel.coins WHERE coin_id = ANY
          (%s)) AS top
           USING (coin_key)) AS pauses
WHERE pause IS NOT NULL AND observed_at < %s
"""


class Size(NamedTuple):
    """How much to replay."""

    days: float
    # Only every n-th run of the schedule takes place.
    every: int
    # The coins that each run fetches, and how many of the top ones are checked.
    coins: int
    checked_coins: int


FULL, SMOKE = Size(12.5, 1, 500, 100), Size(1.2, 6, 10, 5)


class _Clock:
    """A clock that moves only when something sleeps."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def _runs(size: Size) -> list[Usage]:
    if path := os.environ.get("FORTNIGHT_LOG"):
        return list(usage_log.read(Path(path)).usages)
    delivered = list(delivered_runs(START, START + timedelta(days=size.days)))
    return [Usage(at, 12.0) for at in delivered[:: size.every]]


def _measure_compute_hours(runs: list[Usage]) -> Result:
    """Compare the compute hours of the budget check with the union of the runs' awake periods.

    The union is counted in tenths of a second.
    """
    awake: set[int] = set()
    for run in runs:
        begin = round(run.started_at.timestamp() * 10)
        awake.update(range(begin, begin + round((run.duration_seconds + 300) * 10)))
    union = len(awake) / 10 / 3600 * COMPUTE_UNITS
    at = runs[-1].started_at + timedelta(hours=1)
    status = check_budget_status(Settings(), at, usages=runs)
    used = status.quota_usages[0].used or 0.0
    name, note = "compute hours of the budget check", "the union of the awake periods"
    low, high = union - 0.01, union + 0.01
    return Result(name, used, "CU-h", at_least=low, at_most=high, floor=union, note=note)


def _replay(schedule: list[datetime], size: Size) -> tuple[list[timedelta], Counter[str]]:
    """Run the pipeline at each time of the schedule.

    Return the pauses of the top coins that ended more than a day before the last run, and the
    credits for backfills on each day.
    """
    clock = _Clock(schedule[0])
    spent: Counter[str] = Counter()
    stand_in = StandIn(Market(), now=clock.monotonic)
    with (
        scratch_folder() as folder,
        running(stand_in),
        embedded.ensure_running(folder / "server") as conninfo,
    ):
        settings = Settings(
            database_url=conninfo,
            api_key="a-demo-key",
            base_url=stand_in.base_url,
            state_dir=folder / "state",
            registry_path=folder / "coin_registry.json",
            limit=size.coins,
        )
        for moment in schedule:
            clock.at = max(moment, clock.at)
            before = len(stand_in.paths("market_chart"))
            report = run_pipeline(settings, clocks=Clocks(clock.now, clock.monotonic, clock.sleep))
            assert report.exit_code == 0, report.message
            spent[f"{moment:%Y-%m-%d}"] += len(stand_in.paths("market_chart")) - before
        top = [coin.id for coin in stand_in.market.ranked[: size.checked_coins]]
        with psycopg.connect(conninfo, autocommit=True) as connection:
            rows = connection.execute(PAUSES, [top, clock.at - timedelta(days=1)]).fetchall()
    return [pause for (pause,) in rows], spent


def measure(is_smoke: bool) -> Iterator[Result]:
    size = SMOKE if is_smoke else FULL
    runs = _runs(size)
    schedule = [run.started_at for run in runs]
    yield _measure_compute_hours(runs)
    started = time.perf_counter()
    pauses, spent = _replay(schedule, size)
    yield Result(f"replay of {len(schedule)} runs", time.perf_counter() - started, "s")
    silences = [later - earlier for earlier, later in pairwise(schedule)]
    cadence = sorted(silences)[len(silences) // 2]
    yield Result(
        f"longest pause of the top {size.checked_coins} after a day",
        _minutes(max(pauses)),
        "min",
        at_most=2 * _minutes(cadence),
        floor=_minutes(cadence),
        note=f"the cadence; without backfills {_minutes(max(silences)):.0f}",
    )
    name = "credits for backfills, the most expensive day"
    yield Result(name, max(spent.values()), "credits", at_most=BACKFILL_CREDITS_PER_DAY)


def _minutes(pause: timedelta) -> float:
    return pause.total_seconds() / 60
