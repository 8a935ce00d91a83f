"""Replay two weeks of unreliable schedules through whole runs: are the gaps backfilled?

There are three schedules (demo.schedule): the pauses of January 2026, those of autumn 2026, and
those of January with one silence of 11 hours a day. FORTNIGHT_LOG=FILE replays the runs of this
usage log as the first one. FORTNIGHT_SCHEDULES=autumn,silence replays only these.
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
from demo.schedule import autumn_runs, delivered_runs, silent_runs
from demo.server import StandIn, running
from ingest import Clocks, run_pipeline
from safe_zone import BACKFILL_CREDITS_PER_DAY, CADENCE_MINUTES, COMPUTE_UNITS, Settings
from sentinel.budget import usage_log
from sentinel.budget.schedule import ScheduleCoverage, SlotCoverage
from sentinel.budget.usage_log import Usage
from sentinel.storage import embedded
from sentinel.storage.connection import Connection
from sentinel.storage.queries.schedule_coverage import measure_schedule_coverage
from sentinel.storage.queries.slot_coverage import measure_slot_coverage

START = datetime(2026, 11, 1, 0, 7, tzinfo=UTC)
CADENCE = timedelta(minutes=CADENCE_MINUTES)
SILENT_FROM = timedelta(hours=2)  # UTC

# The pauses of the best coins that ended between two moments.
LONGEST_PAUSE = """
SELECT max(pause)
FROM (SELECT observed_at - lag(observed_at) OVER (PARTITION BY coin_key ORDER BY observed_at)
             AS pause, observed_at
      FROM sentinel.observations
      JOIN (SELECT coin_key FROM sentinel.coins WHERE coin_id = ANY (%s)) AS top USING (coin_key)
     ) AS pauses
WHERE observed_at - pause >= %s AND observed_at < %s
"""


class Size(NamedTuple):
    """How much to replay."""

    days: float
    # Only every n-th run of the schedule takes place.
    every: int
    # The coins that each run fetches, and how many of the top ones are checked.
    coins: int
    checked_coins: int


FULL, SMOKE = Size(12.5, 1, 500, 100), Size(3, 3, 10, 5)


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


class Replay(NamedTuple):
    """What a replayed schedule left in the database."""

    longest_pause: timedelta
    # CoinGecko credits that the backfill used, by day.
    spent: Counter[str]
    schedule: ScheduleCoverage
    slots: SlotCoverage


def _schedules(size: Size) -> Iterator[tuple[str, list[Usage]]]:
    """Yield the name and the runs of each schedule."""
    stop = START + timedelta(days=size.days)
    schedules = {
        "January": delivered_runs(START, stop),
        "autumn": autumn_runs(START, stop),
        "silence": silent_runs(START, stop, SILENT_FROM),
    }
    for name in os.environ.get("FORTNIGHT_SCHEDULES", ",".join(schedules)).split(","):
        path = os.environ.get("FORTNIGHT_LOG") if name == "January" else None
        if path:
            yield name, list(usage_log.read(Path(path)).usages)
        else:
            yield name, [Usage(at, 12.0) for at in list(schedules[name])[:: size.every]]


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


def _replay(schedule: list[datetime], size: Size) -> Replay:
    """Run the pipeline at each time of the schedule."""
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
            return _examine(connection, schedule, spent, top)


def _examine(
    connection: Connection, schedule: list[datetime], spent: Counter[str], top: list[str]
) -> Replay:
    end = schedule[-1]
    # The first day's silence could not be expected, and the last day's gaps still wait.
    period = (schedule[0] + timedelta(days=1), end - timedelta(days=1))
    [(longest,)] = connection.execute(LONGEST_PAUSE, [top, *period]).fetchall()
    coverage = measure_schedule_coverage(connection, end, CADENCE)
    slots = measure_slot_coverage(connection, end, cadence=CADENCE, coins=len(top)).fetchall()
    return Replay(longest or timedelta(), spent, coverage, slots[0])


def measure(is_smoke: bool) -> Iterator[Result]:
    size = SMOKE if is_smoke else FULL
    for name, runs in _schedules(size):
        if name == "January":
            yield _measure_compute_hours(runs)
        yield from _measure_schedule(name, [run.started_at for run in runs], size)


def _measure_schedule(name: str, schedule: list[datetime], size: Size) -> Iterator[Result]:
    started = time.perf_counter()
    replay = _replay(schedule, size)
    seconds = time.perf_counter() - started
    silence = max(later - earlier for earlier, later in pairwise(schedule))
    yield Result(f"{name}: replay of {len(schedule)} runs", seconds, "s")
    yield Result(
        f"{name}: longest pause of the top {size.checked_coins} after a day",
        _minutes(replay.longest_pause),
        "min",
        at_most=2 * CADENCE_MINUTES,
        floor=CADENCE_MINUTES,
        note=f"the cadence; without backfills {_minutes(silence):.0f}",
    )
    yield Result(
        f"{name}: credits for backfills, the most expensive day",
        max(replay.spent.values()),
        "credits",
        at_most=BACKFILL_CREDITS_PER_DAY,
    )
    yield Result(f"{name}: credits for backfills in all", replay.spent.total(), "credits")
    yield Result(f"{name}: slots delivered", 100 * (replay.schedule.share or 0.0), "%")
    yield Result(f"{name}: slots backfilled", 100 * replay.slots.backfilled_share, "%")
    open_share = 100 * replay.slots.open_share
    yield Result(f"{name}: slots open", open_share, "%", note=str(replay.slots))


def _minutes(pause: timedelta) -> float:
    return pause.total_seconds() / 60
