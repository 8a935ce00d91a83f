"""No quota is passed, and the usage log holds each run once, with what it used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import budget_monitor
from safe_zone import COMPUTE_UNITS, IDLE_TAIL_SECONDS
from sentinel.budget.quota_usage import Month
from simulation import contents
from simulation.outcome import Outcome, require
from simulation.world import BACKFILL_CREDITS, World

# A clock that was set back removes later entries from the usage log. Those of runs that never
# reached the database do not come back.
UNCOUNTED_SHARE = 0.05


class Budget:
    """What CoinGecko and Neon would bill."""

    def __init__(self, world: World) -> None:
        self._world = world
        # By month (the day it begins) and by day, UTC.
        self._credits: Counter[date] = Counter()
        self._backfill_credits: Counter[date] = Counter()
        self._months_of_wrong_clocks: set[date] = set()

    def check(self, outcomes: Sequence[Outcome], *, is_clock_wrong: bool, is_new_day: bool) -> None:
        """Check the credits, and the entries of the usage log. Raises BrokenPromise.

        A run with a wrong clock counts its credits in another day or month, so it is left out.
        """
        at = self._world.clock.at
        for outcome in outcomes if not is_clock_wrong else ():
            self._credits[outcome.started_at.date().replace(day=1)] += outcome.credits
            self._backfill_credits[outcome.started_at.date()] += outcome.backfill_credits
        if is_clock_wrong:
            self._months_of_wrong_clocks.add(at.date().replace(day=1))
        quota = self._world.settings.quotas["coingecko_credits"] or 0.0
        for month, used in self._credits.items():
            uncounted = UNCOUNTED_SHARE * quota if month in self._months_of_wrong_clocks else 0.0
            require(
                used <= quota + uncounted,
                f"{used} credits since {month}, and the quota is {quota:.0f}",
            )
        for day, used in self._backfill_credits.items():
            require(used <= BACKFILL_CREDITS, f"{used} credits for backfills on {day}")
        if not is_clock_wrong:
            self._check_usage_log(outcomes, at, is_new_day=is_new_day)

    def _check_usage_log(
        self, outcomes: Sequence[Outcome], at: datetime, *, is_new_day: bool
    ) -> None:
        entries = contents.read_usage_log(self._world.settings.state_dir)
        for outcome in (o for o in outcomes if o.report and "disk full" not in o.events):
            own = [e for e in entries if e["timestamp"] == outcome.started_at.isoformat()]
            require(len(own) == 1, f"{outcome.started_at} is {len(own)} times in the usage log")
            known = own[0]["api_credits"]
            require(known == outcome.credits, f"{known} credits, and {outcome.credits} were used")
        if is_new_day:
            status = budget_monitor.check_budget_status(self._world.settings, at)
            expected = awake_hours(entries, Month.of(at).start, at) * COMPUTE_UNITS
            used = status.quota_usages[0].used
            is_right = used is not None and abs(used - expected) < 0.02
            require(is_right, f"{used} compute hours, not {expected}")


def awake_hours(entries: list[dict[str, float | str]], start: datetime, stop: datetime) -> float:
    """Return how many hours some run of the log kept the compute awake, counted by the second."""
    awake: set[int] = set()
    for entry in entries:
        seconds = float(entry.get("db_seconds", entry["duration_sec"]))
        if entry.get("skipped") or not seconds:
            continue
        begin = datetime.fromisoformat(str(entry["timestamp"]))
        end = min(stop, begin + timedelta(seconds=seconds + IDLE_TAIL_SECONDS))
        awake.update(range(round(max(begin, start).timestamp()), round(end.timestamp())))
    return len(awake) / 3600
