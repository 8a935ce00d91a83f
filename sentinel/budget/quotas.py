"""The free quotas: what is used, what the month will use, and what that means. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

from safe_zone import EGRESS_RESERVE_SHARE, MIN_EGRESS_PERIOD, MIN_PROJECTION_PERIOD, SKIP_SHARE
from sentinel.budget.coingecko_credits import measure_credits
from sentinel.budget.neon_api import ProjectFigures
from sentinel.budget.quota_usage import Month, QuotaUsage, pace_period, project, runs_since
from sentinel.budget.usage_log import Usage

DAY = timedelta(days=1)
_RUNS_FOR_A_COST = 5


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
    inside = runs_since(known, Month.of(at).start)
    return [
        _measure_compute(known, at, quotas["neon_compute_hours"], compute_units, figures),
        _measure_storage(known, at, quotas["neon_storage_bytes"], figures),
        measure_egress(known, at, quotas["neon_egress_bytes"], figures),
        measure_credits(inside, at, quotas["coingecko_credits"], backfill_per_day),
        _measure_minutes(inside, at, quotas["actions_minutes"] if is_private else None),
    ]


def _measure_compute(
    usages: Sequence[Usage],
    at: datetime,
    quota: float | None,
    compute_units: float,
    figures: ProjectFigures | None,
) -> QuotaUsage:
    month = _neon_month(figures, at)
    used = awake_time(usages, month.start, at) / timedelta(hours=1) * compute_units
    projected = project(used, runs_since(usages, month.start), at, month)
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
            (used, pace_period(runs_since(usages, month.start), at)),
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
    return QuotaUsage("actions_minutes", used, project(used, inside, at, month), quota, month.stop)


def awake_time(usages: Iterable[Usage], start: datetime, stop: datetime) -> timedelta:
    """Return how long the compute was awake between `start` and `stop`; overlaps count once."""
    total = timedelta()
    reached = start
    for begin, end in sorted(window for usage in usages if (window := usage.awake)):
        total += max(timedelta(), min(end, stop) - max(begin, reached))
        reached = max(reached, end)
    return total


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
