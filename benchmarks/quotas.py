"""A simulated year of scheduled runs: does each free quota last, and is its projection right?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from benchmarks.results import Result
from benchmarks.simulated_year import COMPUTE, MINUTES, QUOTAS, STORAGE, Case, Year, usage_of
from demo.schedule import autumn_runs, delivered_runs, silent_runs
from safe_zone import IDLE_TAIL_SECONDS, SUSPENDED_TAIL_SECONDS

START = datetime(2027, 1, 1, 0, 7, tzinfo=UTC)
# Label, unit, and how much of the quota's own unit it is.
LABELS = {
    "neon_compute_hours": ("compute", "CU-h", 1.0),
    "neon_storage_bytes": ("storage", "MB", 1e6),
    "neon_egress_bytes": ("egress", "MB", 1e6),
    "coingecko_credits": ("credits", "credits", 1.0),
    "actions_minutes": ("Actions minutes", "min", 1.0),
}


def every(minutes: float) -> Callable[[datetime, datetime], Iterator[datetime]]:
    """Return a schedule that is never late."""

    def schedule(start: datetime, stop: datetime) -> Iterator[datetime]:
        while start < stop:
            yield start
            start += timedelta(minutes=minutes)

    return schedule


def silent(start: datetime, stop: datetime) -> Iterator[datetime]:
    """Yield the runs of a schedule with a long silence in each night."""
    return silent_runs(start, stop, timedelta(hours=2))


PUBLIC = frozenset(QUOTAS) - {MINUTES}
CASES = (
    Case("48 % of the slots", delivered_runs),
    Case("pauses of 2 to 6 h", autumn_runs),
    Case("11 h of silence a day", silent),
    Case("every 30 min", every(30)),
    Case("every 15 min", every(15), PUBLIC),
    # More than the quotas allow: the budget check has to skip runs.
    Case("every 5 min, awake 60 s", every(5), PUBLIC - {STORAGE}, 60.0, days=90),
)
SMOKE_CASES = (CASES[1]._replace(days=31),)


def measure(is_smoke: bool) -> Iterator[Result]:
    for case in SMOKE_CASES if is_smoke else CASES:
        year, suspended = Year(case, IDLE_TAIL_SECONDS), Year(case, SUSPENDED_TAIL_SECONDS)
        year.simulate(START)
        yield from _report(year)
        suspended.simulate(START)
        yield report_quota(suspended, COMPUTE, ", suspended after each run")


def _report(year: Year) -> Iterator[Result]:
    for name in QUOTAS:
        yield report_quota(year, name)
    yield Result(
        f"{year.case.name}: compute, in a month that begins on another day",
        year.most_compute_hours(),
        "CU-h",
        note="with NEON_API_KEY the check knows that day",
    )
    pause = max(later - earlier for earlier, later in pairwise(year.runs))
    yield Result(
        f"{year.case.name}: longest pause between runs",
        pause.total_seconds() / 60,
        "min",
        note=f"{year.decisions['skip']} of {year.decisions.total()} runs skipped",
    )
    yield Result(
        f"{year.case.name}: runs that found a quota used up",
        year.decisions["stop"],
        "runs",
        at_most=0,
    )


def report_quota(year: Year, name: str, variant: str = "") -> Result:
    """Return the worst month, beside what was projected in the middle of it."""
    label, unit, divisor = LABELS[name]
    used = dict(year.months(name))
    found = {month: usage_of(status, name) for month, status in year.checks.items()}
    worst = max(used, key=lambda month: used[month])
    quota = found[worst].quota or 1.0
    errors = [100 * ((found[month].projected or 0.0) - used[month]) / quota for month in used]
    return Result(
        f"{year.case.name}: {label}{variant}",
        used[worst] / divisor,
        unit,
        at_most=quota / divisor if name in year.case.kept else None,
        floor=(found[worst].projected or 0.0) / divisor,
        note=f"projected in mid-month; errors {min(errors):+.1f} to {max(errors):+.1f} % of quota",
    )
