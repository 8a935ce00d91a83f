"""Replay two weeks of an unreliable schedule through whole runs: are the gaps backfilled?

FORTNIGHT_LOG=FILE replays the runs of this usage log. Without it the pauses are random, with the
measured distribution (demo.schedule).
"""

from __future__ import annotations

import os
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import psycopg

from benchmarks.scale import print_heading, print_result, scratch_folder
from budget_monitor import check_budget_status
from demo.market import Market
from demo.schedule import delivered_runs
from demo.server import StandIn, running
from ingest import Clocks, run_pipeline
from safe_zone import BACKFILL_CREDITS_PER_DAY, COMPUTE_UNITS, Settings
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from sentinel.storage import embedded

COINS = 100
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


def _runs() -> list[Usage]:
    if path := os.environ.get("FORTNIGHT_LOG"):
        return list(usage_log.read(Path(path)).usages)
    return [Usage(at, 12.0) for at in delivered_runs(START, START + timedelta(days=12.5))]


def _measure_compute_hours(runs: list[Usage]) -> None:
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
    bound = f"within 0.01 of the union, {union:.4f}"
    is_reached = abs(used - union) < 0.01
    print_result("compute hours of the budget check", f"{used:.4f}", bound, is_reached=is_reached)


def _replay(schedule: list[datetime]) -> tuple[list[timedelta], Counter[str]]:
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
        )
        for moment in schedule:
            clock.at = max(moment, clock.at)
            before = len(stand_in.paths("market_chart"))
            report = run_pipeline(settings, clocks=Clocks(clock.now, clock.monotonic, clock.sleep))
            assert report.exit_code == 0, report.message
            spent[f"{moment:%Y-%m-%d}"] += len(stand_in.paths("market_chart")) - before
        top = [coin.id for coin in stand_in.market.ranked[:COINS]]
        with psycopg.connect(conninfo, autocommit=True) as connection:
            rows = connection.execute(PAUSES, [top, clock.at - timedelta(days=1)]).fetchall()
    return [pause for (pause,) in rows], spent


def main() -> None:
    runs = _runs()
    schedule = [run.started_at for run in runs]
    print_heading(f"A fortnight's schedule: {len(schedule)} runs of 500 coins, with backfills")
    _measure_compute_hours(runs)
    started = time.perf_counter()
    pauses, spent = _replay(schedule)
    silences = [later - earlier for earlier, later in pairwise(schedule)]
    bound = 2 * sorted(silences)[len(silences) // 2]
    print_result(
        "replayed in", f"{time.perf_counter() - started:.0f} s", "no goal", is_reached=True
    )
    longest = max(pauses)
    print_result(
        f"longest pause of the top {COINS} after a day",
        _minutes(longest),
        f"at most {_minutes(bound)} (2 x cadence); without backfills {_minutes(max(silences))}",
        is_reached=longest <= bound,
    )
    dearest = max(spent.values())
    bound_credits = f"at most {BACKFILL_CREDITS_PER_DAY}"
    print_result(
        "credits for backfills, the most expensive day",
        str(dearest),
        bound_credits,
        is_reached=dearest <= BACKFILL_CREDITS_PER_DAY,
    )


def _minutes(pause: timedelta) -> str:
    return f"{pause.total_seconds() / 60:.1f} min"
