"""The free quotas as meters, pure: used so far, projected to the month's end, what that means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from safe_zone import MIN_PROJECTION_PERIOD, SKIP_SHARE, WARN_SHARE
from sentinel.budget.neon_api import ProjectFigures
from sentinel.budget.usage_log import Usage

State = Literal["ok", "warn", "stop"]
DAY = timedelta(days=1)
_RUNS_FOR_A_CADENCE = 5  # fewer say too little about the usual pause
_RECENT_RUNS = 100
_RUNS_FOR_A_COST = 5
_EPSILON = (
    1e-9  # repairs may take what is left up to the share itself, and sums of floats are rounded
)


class QuotaUsage(NamedTuple):
    """One quota. `used` and `projected` (to the end of the month) are in the unit of the name;
    None: unknown. A `quota` of None is no limit, `resets_at` is when the month that it is for ends.
    `reported` is what the provider itself says."""

    name: str
    used: float | None
    projected: float | None
    quota: float | None
    resets_at: datetime
    reported: float | None = None

    @property
    def spent(self) -> float | None:
        """What is used by the larger of both accounts, None where neither knows."""
        return max((x for x in (self.used, self.reported) if x is not None), default=None)

    @property
    def share(self) -> float | None:
        """The projected share of the quota, or the used one where that is more."""
        if self.quota is None:
            return None
        known = [x for x in (self.spent, self.projected) if x is not None]
        return max(known) / self.quota if known else None

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left."""
        return self.quota is not None and self.spent is not None and self.spent >= self.quota

    @property
    def state(self) -> State:
        """`ok` while less than WARN_SHARE of the quota is projected, `stop` when it is used up."""
        if self.is_used_up:
            return "stop"
        return "warn" if self.share is not None and self.share >= WARN_SHARE else "ok"

    @property
    def is_over_projected_quota(self) -> bool:
        """Whether runs have to be skipped for the quota to last."""
        return self.share is not None and self.share > SKIP_SHARE + _EPSILON


class Month(NamedTuple):
    """The billing month around a moment: calendar months in UTC."""

    start: datetime
    stop: datetime

    @classmethod
    def of(cls, at: datetime) -> Month:
        """The month that `at` lies in."""
        start = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return cls(start, (start + timedelta(days=32)).replace(day=1))


class BackfillAllowance(NamedTuple):
    """Credits for repairs: how many a day may have and what is `left` of today's. `cadence` is the
    usual pause between runs."""

    daily: int
    left: int
    cadence: timedelta


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
    """All meters at the moment `at`, by the `usages` in order of time.

    `figures` are Neon's own; they also tell when its billing month began, if it tells.
    """
    known = [usage for usage in usages if usage.started_at <= at]
    inside = _since(known, Month.of(at).start)
    return [
        _compute(known, at, quotas["neon_compute_hours"], compute_units, figures),
        _storage(known, at, quotas["neon_storage_bytes"], figures),
        _credits(inside, at, quotas["coingecko_credits"], backfill_per_day),
        _minutes(inside, at, quotas["actions_minutes"] if is_private else None),
    ]


def _since(usages: Sequence[Usage], start: datetime) -> list[Usage]:
    return [usage for usage in usages if usage.started_at >= start]


def _compute(
    usages: Sequence[Usage],
    at: datetime,
    quota: float | None,
    compute_units: float,
    figures: ProjectFigures | None,
) -> QuotaUsage:
    month = _neon_month(figures, at)
    used = awake(usages, month.start, at) / timedelta(hours=1) * compute_units
    projected = _projected(used, _since(usages, month.start), at, month)
    reported = figures.compute_hours if figures and _is_current(figures, at) else None
    if reported is not None:
        elapsed = max(at - month.start, MIN_PROJECTION_PERIOD)
        projected = max(projected, reported + reported * ((month.stop - at) / elapsed))
    return QuotaUsage("neon_compute_hours", used, projected, quota, month.stop, reported)


def _is_current(figures: ProjectFigures, at: datetime) -> bool:
    """Whether Neon speaks of the month that `at` lies in: its figures lag behind a new one."""
    start, stop = figures.period_start, figures.period_stop
    return (start is None or start <= at) and (stop is None or at < stop)


def _neon_month(figures: ProjectFigures | None, at: datetime) -> Month:
    """Neon's own period where it names a sensible one, else the calendar's month."""
    if figures and figures.period_start and figures.period_stop:
        period = Month(figures.period_start, figures.period_stop)
        if period.start <= at < period.stop <= period.start + timedelta(days=32):
            return period
    return Month.of(at)


def _minutes(inside: Sequence[Usage], at: datetime, quota: float | None) -> QuotaUsage:
    """Each job is rounded up to a whole minute."""
    used = float(sum(max(u.runs, math.ceil(u.duration_seconds / 60)) for u in inside))
    month = Month.of(at)
    return QuotaUsage(
        "actions_minutes", used, _projected(used, inside, at, month), quota, month.stop
    )


def awake(usages: Iterable[Usage], start: datetime, stop: datetime) -> timedelta:
    """How long the compute was awake between `start` and `stop`; overlaps count once."""
    total = timedelta()
    reached = start
    for begin, end in sorted(window for usage in usages if (window := usage.awake)):
        total += max(timedelta(), min(end, stop) - max(begin, reached))
        reached = max(reached, end)
    return total


def _elapsed(inside: Sequence[Usage], at: datetime) -> timedelta:
    """What a pace is measured over: from the first run, but SHORTEST_PACE at least."""
    return (
        max(at - inside[0].started_at, MIN_PROJECTION_PERIOD) if inside else MIN_PROJECTION_PERIOD
    )


def _projected(used: float, inside: Sequence[Usage], at: datetime, month: Month) -> float:
    """What `used` comes to at the month's end, at the pace of the month so far."""
    return used + used * ((month.stop - at) / _elapsed(inside, at))


def _storage(
    usages: Sequence[Usage], at: datetime, quota: float | None, figures: ProjectFigures | None
) -> QuotaUsage:
    """The size after the last run, and where the last week's growth leads."""
    name, stop = "neon_storage_bytes", Month.of(at).stop
    reported = figures.storage_bytes if figures else None
    limit = (figures.storage_limit_bytes if figures else None) or quota
    sizes = [usage.db_bytes for usage in usages if usage.db_bytes is not None]
    if not sizes:
        return QuotaUsage(name, None, None, limit, stop, reported)
    projected = sizes[-1] + daily_growth(usages, at) * ((stop - at) / DAY)
    return QuotaUsage(name, float(sizes[-1]), projected, limit, stop, reported)


def daily_growth(usages: Sequence[Usage], at: datetime) -> float:
    """Bytes that the database grew by in a day of the last week; 0 with less than a day known."""
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
    """A month's credits: spent, of these on repairs, and what the runs themselves will still need
    at their pace in the `days_left`."""

    used: int
    repairs_a_day: float
    runs_to_come: float
    days_left: float

    def affordable(self, quota: float | None, wished: int, spent_today: int = 0) -> float:
        """Credits a day that repairs may take without making the runs themselves be skipped."""
        if quota is None:
            return wished
        spare = SKIP_SHARE * quota - (self.used - spent_today) - self.runs_to_come
        return min(float(wished), max(0.0, spare / max(self.days_left, 1.0)))


def _credit_pace(inside: Sequence[Usage], at: datetime) -> _CreditPace:
    used = sum(usage.api_credits for usage in inside)
    repairs = sum(usage.backfill_credits for usage in inside)
    days = _elapsed(inside, at) / DAY
    left = (Month.of(at).stop - at) / DAY
    return _CreditPace(used, repairs / days, (used - repairs) / days * left, left)


def _credits(
    inside: Sequence[Usage], at: datetime, quota: float | None, backfill_per_day: int
) -> QuotaUsage:
    """The runs' own credits at their pace, repairs at theirs or what they are allowed at most."""
    pace = _credit_pace(inside, at)
    repairs = min(pace.repairs_a_day, pace.affordable(quota, backfill_per_day)) * pace.days_left
    projected = pace.used + pace.runs_to_come + repairs
    return QuotaUsage("coingecko_credits", pace.used, projected, quota, Month.of(at).stop)


def minimum_pause(
    meter: QuotaUsage, usages: Sequence[Usage], at: datetime, compute_units: float
) -> timedelta:
    """How far apart runs must be for what is left of an overdrawn quota to last the month, by what
    the last few cost; longer than the month where nothing may be spent any more."""
    left = SKIP_SHARE * (meter.quota or math.inf) - (meter.spent or 0.0)
    paid = [cost for usage in usages if (cost := _cost(meter, usage, compute_units))]
    costs = paid[-_RUNS_FOR_A_COST:]
    to_come = meter.resets_at - at
    if left <= 0 or not costs:
        return to_come + DAY  # not before the quota begins anew
    return to_come * (statistics.median(costs) / left)


def _cost(meter: QuotaUsage, usage: Usage, compute_units: float) -> float:
    """What one run takes of a paced quota, in the meter's unit; repairs have an allowance."""
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
    """What repairs may cost now: of `per_day` credits, as many as the month's `quota` can spare.

    Days are UTC. `cadence` stands in where too few runs are known to have one.
    """
    inside = _since([usage for usage in usages if usage.started_at <= at], Month.of(at).start)
    today = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    spent = sum(usage.backfill_credits for usage in inside if usage.started_at >= today)
    granted = math.floor(_credit_pace(inside, at).affordable(quota, per_day, spent))
    return BackfillAllowance(granted, max(0, granted - spent), observed_cadence(usages) or cadence)


def observed_cadence(usages: Sequence[Usage]) -> timedelta | None:
    """The usual pause between the last runs, None where there are too few."""
    starts = [usage.started_at for usage in usages[-_RECENT_RUNS:]]
    if len(starts) < _RUNS_FOR_A_CADENCE:
        return None
    pauses = ((later - earlier).total_seconds() for earlier, later in pairwise(starts))
    return timedelta(seconds=statistics.median(pauses)) or None
