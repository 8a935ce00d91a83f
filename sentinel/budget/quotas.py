"""The free quotas: what is used, what the month will use, and what that means. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Literal, NamedTuple

from safe_zone import (
    BACKFILL_CREDITS_PER_COIN,
    CADENCE_WINDOW,
    EGRESS_RESERVE_SHARE,
    MAX_BACKFILL_LEAD,
    MAX_CLOCK_SKEW,
    MIN_BACKFILL_LEAD,
    MIN_EGRESS_PERIOD,
    MIN_PROJECTION_PERIOD,
    SKIP_SHARE,
    WARN_SHARE,
)
from sentinel.budget.neon_api import ProjectFigures
from sentinel.budget.usage_log import Usage

State = Literal["ok", "warn", "stop"]
DAY = timedelta(days=1)
_LONG_PAUSE = 90  # the percentile of the pauses between runs that counts as a long one
_RUNS_FOR_A_COST = 5
# The backfill may use what is left up to the share itself, and sums of floats are rounded.
_EPSILON = 1e-9


class QuotaUsage(NamedTuple):
    """The usage of one quota; amounts are in the unit of its name."""

    # A name of safe_zone.QUOTA_NAMES.
    name: str
    # By the usage log; None: unknown.
    used: float | None
    # By the end of the month, at the pace so far; None: unknown.
    projected: float | None
    # What the month allows; None: no limit.
    quota: float | None
    # When the month of the quota ends.
    resets_at: datetime
    # By the provider's own figures; None: the run did not ask, or it did not respond.
    reported: float | None = None
    # How much of the quota is never used, because some of its use is counted late.
    reserve: float = 0.0

    @property
    def spent(self) -> float | None:
        """The larger of `used` and `reported`; None if both are unknown."""
        return max((x for x in (self.used, self.reported) if x is not None), default=None)

    @property
    def share(self) -> float | None:
        """The projected share of the quota, or the used share if it is larger."""
        if self.quota is None:
            return None
        known = [x for x in (self.spent, self.projected) if x is not None]
        return max(known) / self.quota if known else None

    @property
    def is_used_up(self) -> bool:
        """Whether nothing of the quota is left."""
        if self.quota is None or self.spent is None:
            return False
        return self.spent >= self.quota - self.reserve

    @property
    def state(self) -> State:
        """`ok` while less than WARN_SHARE of the quota is projected, `stop` when it is used up."""
        if self.is_used_up:
            return "stop"
        return "warn" if self.share is not None and self.share >= WARN_SHARE else "ok"

    @property
    def exceeds_skip_share(self) -> bool:
        """Whether runs have to be skipped for the quota to last."""
        return self.share is not None and self.share > SKIP_SHARE + _EPSILON


class Month(NamedTuple):
    """A billing month: a calendar month in UTC."""

    start: datetime
    stop: datetime

    @classmethod
    def of(cls, at: datetime) -> Month:
        """Return the month of `at`."""
        start = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return cls(start, (start + timedelta(days=32)).replace(day=1))


class BackfillAllowance(NamedTuple):
    """CoinGecko credits for the backfill."""

    # In one day (UTC).
    daily: int
    # Of today's.
    left: int
    # The longest pause between two runs that is to be expected.
    silence: timedelta
    # A long one among the usual pauses.
    pause: timedelta

    @property
    def coins(self) -> int:
        """How many coins a day's credits suffice for."""
        return covered_coins(self.daily)


def covered_coins(credits_per_day: int) -> int:
    """Return for how many coins the backfill has enough credits whatever the schedule does."""
    return math.floor(credits_per_day / BACKFILL_CREDITS_PER_COIN)


def measure_quota_usage(
    usages: Sequence[Usage],
    quotas: Mapping[str, float | None],
    at: datetime,
    *,
    compute_units: float,
    backfill_per_day: int,
    is_private: bool,
    figures: ProjectFigures | None = None,
) -> list[QuotaUsage]:
    """Return the usage of all quotas at the moment `at`, from `usages` in order of time.

    `figures` are Neon's own; they may also say when its billing month began.
    """
    known = [usage for usage in usages if usage.started_at <= at]
    inside = _since(known, Month.of(at).start)
    return [
        _measure_compute(known, at, quotas["neon_compute_hours"], compute_units, figures),
        _measure_storage(known, at, quotas["neon_storage_bytes"], figures),
        measure_egress(known, at, quotas["neon_egress_bytes"], figures),
        _measure_credits(inside, at, quotas["coingecko_credits"], backfill_per_day),
        _measure_minutes(inside, at, quotas["actions_minutes"] if is_private else None),
    ]


def _since(usages: Sequence[Usage], start: datetime) -> list[Usage]:
    return [usage for usage in usages if usage.started_at >= start]


def _measure_compute(
    usages: Sequence[Usage],
    at: datetime,
    quota: float | None,
    compute_units: float,
    figures: ProjectFigures | None,
) -> QuotaUsage:
    month = _neon_month(figures, at)
    used = awake_time(usages, month.start, at) / timedelta(hours=1) * compute_units
    projected = _project(used, _since(usages, month.start), at, month)
    reported = figures.compute_hours if figures and _is_current(figures, at) else None
    if reported is not None:
        elapsed = max(at - month.start, MIN_PROJECTION_PERIOD)
        projected = max(projected, reported + reported * ((month.stop - at) / elapsed))
    return QuotaUsage("neon_compute_hours", used, projected, quota, month.stop, reported)


def measure_egress(
    usages: Sequence[Usage], at: datetime, quota: float | None, figures: ProjectFigures | None
) -> QuotaUsage:
    """Return what all readers received from the database, projected at the pace of the month."""
    month = _neon_month(figures, at)
    used = _sum_egress(usages, month.start)
    reported = figures.egress_bytes if figures and _is_current(figures, at) else None
    known = [
        bytes_ * (1 + (month.stop - at) / max(elapsed, MIN_EGRESS_PERIOD))
        for bytes_, elapsed in (
            (used, _elapsed(_since(usages, month.start), at)),
            (reported, at - month.start),
        )
        if bytes_ is not None
    ]
    projected, reserve = max(known, default=None), EGRESS_RESERVE_SHARE * (quota or 0.0)
    name = "neon_egress_bytes"
    return QuotaUsage(name, used, projected, quota, month.stop, reported, reserve)


def _sum_egress(usages: Iterable[Usage], start: datetime) -> float | None:
    """Return what was received since `start`, from the totals that the runs have read.

    A total counts from the first of its calendar month. None: no run since `start` has read one.
    """
    total, before, known_month = None, 0, None
    for usage in usages:
        if usage.egress_bytes is None:
            continue
        month = Month.of(usage.started_at)
        received = usage.egress_bytes - (before if month == known_month else 0)
        before, known_month = usage.egress_bytes, month
        if usage.started_at >= start:
            total = (total or 0.0) + max(0, received)
    return total


def _is_current(figures: ProjectFigures, at: datetime) -> bool:
    """Whether the figures belong to the month of `at`: they lag when a new month begins."""
    start, stop = figures.period_start, figures.period_stop
    return (start is None or start <= at) and (stop is None or at < stop)


def _neon_month(figures: ProjectFigures | None, at: datetime) -> Month:
    """Return Neon's own billing period if it is plausible, else the calendar month."""
    if figures and figures.period_start and figures.period_stop:
        period = Month(figures.period_start, figures.period_stop)
        if period.start <= at < period.stop <= period.start + timedelta(days=32):
            return period
    return Month.of(at)


def _measure_minutes(inside: Sequence[Usage], at: datetime, quota: float | None) -> QuotaUsage:
    """Return the minutes of GitHub Actions, which rounds each job up to a whole minute.

    https://docs.github.com/en/billing/concepts/product-billing/github-actions
    """
    used = float(sum(max(u.runs, math.ceil(u.duration_seconds / 60)) for u in inside))
    month = Month.of(at)
    return QuotaUsage("actions_minutes", used, _project(used, inside, at, month), quota, month.stop)


def awake_time(usages: Iterable[Usage], start: datetime, stop: datetime) -> timedelta:
    """Return how long the compute was awake between `start` and `stop`; overlaps count once."""
    total = timedelta()
    reached = start
    for begin, end in sorted(window for usage in usages if (window := usage.awake)):
        total += max(timedelta(), min(end, stop) - max(begin, reached))
        reached = max(reached, end)
    return total


def _elapsed(inside: Sequence[Usage], at: datetime) -> timedelta:
    """Return the period of the pace: since the first run, at least MIN_PROJECTION_PERIOD."""
    return (
        max(at - inside[0].started_at, MIN_PROJECTION_PERIOD) if inside else MIN_PROJECTION_PERIOD
    )


def _project(used: float, inside: Sequence[Usage], at: datetime, month: Month) -> float:
    """Return the usage at the end of the month, at the pace of the month so far."""
    return used + used * ((month.stop - at) / _elapsed(inside, at))


def _measure_storage(
    usages: Sequence[Usage], at: datetime, quota: float | None, figures: ProjectFigures | None
) -> QuotaUsage:
    """Return the size after the last run, projected by the growth of the last week."""
    name, stop = "neon_storage_bytes", Month.of(at).stop
    reported = figures.storage_bytes if figures else None
    limit = (figures.storage_limit_bytes if figures else None) or quota
    sizes = [usage.db_bytes for usage in usages if usage.db_bytes is not None]
    if not sizes:
        return QuotaUsage(name, None, None, limit, stop, reported)
    projected = sizes[-1] + daily_growth(usages, at) * ((stop - at) / DAY)
    return QuotaUsage(name, float(sizes[-1]), projected, limit, stop, reported)


def daily_growth(usages: Sequence[Usage], at: datetime) -> float:
    """Return the bytes per day by which the database grew in the last week; 0 in the first day."""
    sizes = [
        (usage.started_at, usage.db_bytes)
        for usage in usages
        if usage.db_bytes is not None and at - 7 * DAY <= usage.started_at <= at
    ]
    if not sizes or sizes[-1][0] - sizes[0][0] < DAY:
        return 0.0
    (first, before), (last, after) = sizes[0], sizes[-1]
    return max(0.0, (after - before) / ((last - first) / DAY))


class _CreditPace(NamedTuple):
    """A month's CoinGecko credits, so far and to come."""

    # By runs and backfill together.
    used: int
    # By the backfill, per day.
    backfill_per_day: float
    # What the runs without their backfill will still need in this month.
    runs_to_come: float
    # Days until the end of the month.
    days_left: float

    def affordable_backfill(
        self, quota: float | None, requested: int, spent_today: int = 0
    ) -> float:
        """Return the credits per day, up to `requested`, that leave enough for the runs."""
        if quota is None:
            return requested
        spare = SKIP_SHARE * quota - (self.used - spent_today) - self.runs_to_come
        return min(float(requested), max(0.0, spare / max(self.days_left, 1.0)))


def _credit_pace(inside: Sequence[Usage], at: datetime) -> _CreditPace:
    used = sum(usage.api_credits for usage in inside)
    backfill = sum(usage.backfill_credits for usage in inside)
    days = _elapsed(inside, at) / DAY
    left = (Month.of(at).stop - at) / DAY
    return _CreditPace(used, backfill / days, (used - backfill) / days * left, left)


def _measure_credits(
    inside: Sequence[Usage], at: datetime, quota: float | None, backfill_per_day: int
) -> QuotaUsage:
    """Return the credits: runs at their pace, backfill at its pace or up to its allowance."""
    pace = _credit_pace(inside, at)
    affordable = pace.affordable_backfill(quota, backfill_per_day)
    backfill = min(pace.backfill_per_day, affordable) * pace.days_left
    projected = pace.used + pace.runs_to_come + backfill
    return QuotaUsage("coingecko_credits", pace.used, projected, quota, Month.of(at).stop)


def minimum_pause(
    meter: QuotaUsage, usages: Sequence[Usage], at: datetime, compute_units: float
) -> timedelta:
    """Return how far apart runs must be, so that the rest of the quota lasts until it resets.

    The cost of a run is the median of the last few. If nothing is left to use, the pause is longer
    than the rest of the month.
    """
    left = SKIP_SHARE * (meter.quota or math.inf) - (meter.spent or 0.0)
    paid = (cost for usage in reversed(usages) if (cost := _cost(meter, usage, compute_units)))
    costs = list(islice(paid, _RUNS_FOR_A_COST))
    to_come = meter.resets_at - at
    if left <= 0 or not costs:
        return to_come + DAY  # not before the quota resets
    return to_come * (statistics.median(costs) / left)


def _cost(meter: QuotaUsage, usage: Usage, compute_units: float) -> float:
    """Return what one run uses of a quota, without its backfill, which has its own allowance."""
    if meter.name == "coingecko_credits":
        return (usage.api_credits - usage.backfill_credits) / usage.runs
    window = usage.awake
    return (window[1] - window[0]) / timedelta(hours=1) * compute_units if window else 0.0


def compute_backfill_allowance(
    usages: Sequence[Usage],
    at: datetime,
    *,
    quota: float | None,
    per_day: int,
    cadence: timedelta,
) -> BackfillAllowance:
    """Return the credits for the backfill: up to `per_day`, as far as the month's `quota` allows.

    Days are UTC. `cadence` is the pause between runs as long as no longer one is known.
    """
    # A second run that began after this one may have spent credits meanwhile.
    known = [usage for usage in usages if usage.started_at <= at + MAX_CLOCK_SKEW]
    inside = _since(known, Month.of(at).start)
    today = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    spent = sum(usage.backfill_credits for usage in inside if usage.started_at >= today)
    granted = math.floor(_credit_pace(inside, at).affordable_backfill(quota, per_day, spent))
    pauses = _recent_pauses(usages, at) or [cadence]
    silence = min(max(pauses[-1], MIN_BACKFILL_LEAD), MAX_BACKFILL_LEAD)
    pause = max(pauses[_LONG_PAUSE * len(pauses) // 100], cadence)
    return BackfillAllowance(granted, max(0, granted - spent), silence, pause)


def _recent_pauses(usages: Sequence[Usage], at: datetime) -> list[timedelta]:
    """Return the pauses between the runs of the last CADENCE_WINDOW that filled gaps, sorted."""
    starts = [
        usage.started_at
        for usage in usages
        if usage.is_stored and at - CADENCE_WINDOW <= usage.started_at <= at
    ]
    return sorted(later - earlier for earlier, later in pairwise([*starts, at]))
