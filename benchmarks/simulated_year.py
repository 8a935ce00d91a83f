"""A simulated year of scheduled runs, each of which asks the real budget check first.

What a run costs is added up here, apart from the check's own sums.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from benchmarks.short_log import ShortLog
from budget_monitor import BudgetStatus, check_budget_status
from safe_zone import BACKFILL_CALLS_PER_RUN, RETENTION, SYNC_AFTER, Settings
from sentinel.budget.coingecko_credits import SYNC_CREDITS
from sentinel.budget.quota_usage import Month, QuotaUsage
from sentinel.budget.usage_log import Usage

DAY = timedelta(days=1)
# A private repository, so that its minutes count too.
SETTINGS = Settings(api_key="a-demo-key", is_private_repository=True)
COMPUTE, STORAGE, EGRESS = "neon_compute_hours", "neon_storage_bytes", "neon_egress_bytes"
CREDITS, MINUTES = "coingecko_credits", "actions_minutes"
QUOTAS = (COMPUTE, STORAGE, EGRESS, CREDITS, MINUTES)
RUN_SECONDS = 12.3  # the median of the 573 runs that demo.schedule describes
DATABASE_SECONDS = 6.0  # Neon wakes within 3 s, and a run needs less than 3 more
CHART_SECONDS = 1.0  # for each call of the backfill
RUN_EGRESS_BYTES, CHART_EGRESS_BYTES = 50_000, 5_000  # measured: up to 40 kB and 3 kB
ROW_BYTES = 110  # the limit of the benchmark `days`
OTHER_BYTES = 30_000_000  # of the database: all but the observations
SLOTS_PER_DAY = DAY // timedelta(minutes=SETTINGS.cadence_minutes)
_BEFORE = datetime(2000, 1, 1, tzinfo=UTC)


class Case(NamedTuple):
    """A schedule, and what its runs cost."""

    name: str
    schedule: Callable[[datetime, datetime], Iterable[datetime]]
    # The quotas that must last.
    kept: frozenset[str] = frozenset(QUOTAS)
    database_seconds: float = DATABASE_SECONDS
    # How much of the year is simulated.
    days: int = 365


@dataclass
class Year:
    """What the runs of a simulated year use."""

    case: Case
    # How long the compute stays awake after a run.
    tail_seconds: float
    # By quota and day; all but the storage.
    used: dict[str, dict[date, float]] = field(
        default_factory=lambda: {name: defaultdict(float) for name in QUOTAS}
    )
    # Observations that were stored on each day.
    rows: Counter[date] = field(default_factory=Counter)
    # When runs began that were not skipped.
    runs: list[datetime] = field(default_factory=list)
    # What the checks decided.
    decisions: Counter[str] = field(default_factory=Counter)
    # What each check in the middle of a month said.
    checks: dict[Month, BudgetStatus] = field(default_factory=dict)
    _log: ShortLog = field(default_factory=ShortLog)
    _synced_at: datetime = _BEFORE
    _awake_until: datetime = _BEFORE

    def simulate(self, start: datetime) -> None:
        """Make all runs of the schedule, as far as the budget check allows them."""
        whole: list[Usage] = []
        for at in self.case.schedule(start, start + self.case.days * DAY):
            status = check_budget_status(SETTINGS, at, usages=self._log.usages)
            month = Month.of(at)
            middle = month.start + (month.stop - month.start) / 2
            if month not in self.checks and at >= middle > start:
                self.checks[month] = check_budget_status(SETTINGS, at, usages=whole)
                _compare(status, self.checks[month])
            is_going = status.decision == "run" or (status.decision == "skip" and status.is_due)
            usage = self._run(at, status) if is_going else _skip(at)
            self.used[MINUTES][at.date()] += -(-usage.duration_seconds // 60)
            self.decisions["run" if is_going else status.decision] += 1
            self._log.add(usage)
            whole.append(usage)

    def _run(self, at: datetime, status: BudgetStatus) -> Usage:
        """Make a run that spends all that the backfill may spend, and count its costs."""
        day = at.date()
        is_synced = at - self._synced_at >= SYNC_AFTER
        self._synced_at = at if is_synced else self._synced_at
        calls = min(BACKFILL_CALLS_PER_RUN, status.allowance.left)
        spent = 1 + calls + (SYNC_CREDITS if is_synced else 0)
        held = self.case.database_seconds + calls * CHART_SECONDS
        slots = len(self.runs) - bisect_left(self.runs, at - DAY)
        self.rows[day] += SETTINGS.limit + calls * max(0, SLOTS_PER_DAY - slots)
        self.runs.append(at)
        self.used[CREDITS][day] += spent
        self.used[EGRESS][day] += RUN_EGRESS_BYTES + calls * CHART_EGRESS_BYTES
        self._wake(at, held + self.tail_seconds)
        return Usage(
            at,
            RUN_SECONDS - DATABASE_SECONDS + held,
            spent,
            held,
            calls,
            self.tail_seconds,
            self.storage_bytes(day),
            int(self._sum(EGRESS, day.replace(day=1), day + DAY)),
        )

    def _wake(self, at: datetime, seconds: float) -> None:
        """Count the time in which the compute is awake only because of this run."""
        until = at + timedelta(seconds=seconds)
        awake = max(timedelta(), until - max(at, self._awake_until))
        self._awake_until = max(until, self._awake_until)
        self.used[COMPUTE][at.date()] += awake / timedelta(hours=1) * SETTINGS.compute_units

    def storage_bytes(self, day: date) -> int:
        """Return the size of the database at the end of a day."""
        rows = sum(self.rows[day - n * DAY] for n in range(RETENTION.days + 1))
        return OTHER_BYTES + ROW_BYTES * rows

    def _sum(self, name: str, first: date, stop: date) -> float:
        """Return what was used of a quota from a day to before another one."""
        return sum(self.used[name][first + n * DAY] for n in range((stop - first).days))

    def months(self, name: str) -> Iterator[tuple[Month, float]]:
        """Yield each whole month, and what it used; of the storage the largest size."""
        last = self.runs[0].date() + self.case.days * DAY
        for month in self.checks:
            first, stop = month.start.date(), month.stop.date()
            if stop > last:
                continue
            if name == STORAGE:
                days = (first + n * DAY for n in range((stop - first).days))
                yield month, max(map(self.storage_bytes, days))
            else:
                yield month, self._sum(name, first, stop)

    def most_compute_hours(self) -> float:
        """Return the most that a month used which begins on any day from the 1st to the 28th."""
        days = [day for day in sorted(self.rows) if day.day <= 28]
        spans = ((day, day + monthrange(day.year, day.month)[1] * DAY) for day in days)
        last = self.runs[0].date() + self.case.days * DAY
        return max(self._sum(COMPUTE, day, stop) for day, stop in spans if stop <= last)


def _skip(at: datetime) -> Usage:
    return Usage(at, 1.0, db_seconds=0.0, is_skipped=True, is_stored=False)


def usage_of(status: BudgetStatus, name: str) -> QuotaUsage:
    """Return the usage of one quota."""
    return next(usage for usage in status.quota_usages if usage.name == name)


def _compare(short: BudgetStatus, whole: BudgetStatus) -> None:
    """Check that the short log says what the whole one does, on which the decision rests."""
    for one, other in zip(short.quota_usages, whole.quota_usages, strict=True):
        # The storage's growth in a week is measured from day to day. A sum of runs ends with its
        # month, although the database may stay awake for some minutes more.
        difference = abs((one.projected or 0.0) - (other.projected or 0.0))
        assert one.name == STORAGE or difference < 1e-3 * (other.quota or 0.0), (one, other)
