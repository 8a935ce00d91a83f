"""Repairing gaps: which are worth a credit, and which points of an answer belong into them. Pure.

One `/market_chart` call repairs all of a coin's last 24 hours at 5-minute detail; of what is older
only hourly points are left. So the coin whose gap loses its detail first goes first.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from safe_zone import DETAIL_WINDOW, GAP_FACTOR, GAP_WINDOW, HOURLY_DETAIL, MAX_SCHEDULE_SILENCE
from sentinel.budget.quotas import BackfillAllowance
from sentinel.models import Gap, GapReason, MarketRow

_SAME_URGENCY = timedelta(minutes=15)  # gaps of one silence begin within seconds of each other


class BackfillTask(NamedTuple):
    """One call: the last `days` of a coin, for these gaps."""

    coin_id: str
    days: int
    gaps: tuple[Gap, ...]


class BackfillPlan(NamedTuple):
    """The calls to make, in this order; the gaps that no call can repair; and how many coins with
    gaps have to wait."""

    tasks: list[BackfillTask]
    unfillable: list[Gap]
    waiting: int


class _Candidate(NamedTuple):
    """A call that may be made, in the order that sorts candidates."""

    is_beyond: bool
    is_hourly: bool
    expires: datetime
    place: int
    task: BackfillTask


def plan_backfill(
    gaps: Iterable[Gap],
    coin_ids: Sequence[str],
    now: datetime,
    *,
    calls: int,
    allowance: BackfillAllowance,
    is_patient: bool = True,
) -> BackfillPlan:
    """Choose at most `calls` calls within the allowance.

    `coin_ids` are the coins by rank. As many of the first as a day has credits can be repaired
    daily: they come first, by what expires first, then by rank; then what is older than a day; then
    the other coins. A patient plan lets the first wait until their detail is about to expire,
    because a late call repairs all gaps since the last one, and spends what is left in the evening
    (UTC): by midnight it would be lost.
    """
    by_coin: dict[str, list[Gap]] = {}
    for gap in gaps:
        if gap.reason is None:
            by_coin.setdefault(gap.coin_id, []).append(gap)
    unfillable: list[Gap] = []
    candidates: list[_Candidate] = []
    for place, coin_id in enumerate(coin_ids):
        hopeless = [gap for gap in by_coin.get(coin_id, ()) if _is_hopeless(gap, now)]
        unfillable += [gap._replace(reason="only_hourly_left") for gap in hopeless]
        if worth := [gap for gap in by_coin.get(coin_id, ()) if gap not in hopeless]:
            task, expires = _task(coin_id, worth, now)
            is_beyond = place >= allowance.daily
            candidates.append(_Candidate(is_beyond, task.days > 1, expires, place, task))
    candidates.sort()
    lead = _lead(min(len(candidates), allowance.daily), calls, allowance.cadence)
    is_evening = now.astimezone(UTC).date() != (now + lead).astimezone(UTC).date()
    due = [c for c in candidates if not (c.is_beyond or c.is_hourly) and c.expires <= now + lead]
    chosen = (due if is_patient and not is_evening else candidates)[: min(calls, allowance.left)]
    return BackfillPlan([c.task for c in chosen], unfillable, len(candidates) - len(chosen))


def _lead(count: int, calls: int, cadence: timedelta) -> timedelta:
    """How long it may take until runs of so many `calls` have repaired `count` coins, should the
    scheduler fall silent meanwhile."""
    return MAX_SCHEDULE_SILENCE + math.ceil(count / max(calls, 1)) * cadence


def _has_detail(gap: Gap, now: datetime) -> bool:
    """Whether 5-minute points are left of more than a slot of it."""
    return gap.stop - max(gap.start, now - DETAIL_WINDOW) > gap.slot


def _is_hopeless(gap: Gap, now: datetime) -> bool:
    """Too old for 5-minute points, too short for hourly ones."""
    return not _has_detail(gap, now) and gap.stop - gap.start <= HOURLY_DETAIL


def _task(coin_id: str, gaps: Sequence[Gap], now: datetime) -> tuple[BackfillTask, datetime]:
    """The call that repairs most, and when it loses something (to the quarter of an hour)."""
    fresh = [gap for gap in gaps if _has_detail(gap, now)]
    if fresh:
        expires = max(now, min(gap.start for gap in fresh) + DETAIL_WINDOW)
        return BackfillTask(coin_id, 1, tuple(fresh)), _rounded(expires)
    oldest = min(gap.start for gap in gaps)
    days = math.ceil((now - oldest) / timedelta(days=1))
    return BackfillTask(coin_id, max(2, days), tuple(gaps)), _rounded(oldest + GAP_WINDOW)


def _rounded(at: datetime) -> datetime:
    return at - (at - datetime(2026, 1, 1, tzinfo=UTC)) % _SAME_URGENCY


def fill(
    task: BackfillTask, points: Sequence[MarketRow], now: datetime
) -> tuple[list[MarketRow], list[Gap]]:
    """Choose of a chart's `points` (in order of time) one for each slot of the task's gaps.

    Returns them, and the gaps that are left although everything was tried.
    """
    times = [point.observed_at for point in points]
    chosen: list[MarketRow] = []
    left: list[Gap] = []
    for gap in task.gaps:
        picked = [points[index] for index in _pick(gap, times)]
        chosen += picked
        edges = [gap.start, *(row.observed_at for row in picked), gap.stop]
        left += _remains(gap, edges, task, now)
    return chosen, left


def _pick(gap: Gap, times: Sequence[datetime]) -> Iterator[int]:
    """Indexes of the points nearest to evenly spaced moments inside the gap, each once."""
    count = max(1, math.ceil((gap.stop - gap.start) / gap.slot) - 1)
    step = (gap.stop - gap.start) / (count + 1)
    last = -1
    for number in range(1, count + 1):
        moment = gap.start + number * step
        after = bisect_left(times, moment)
        near = (index for index in (after - 1, after) if last < index < len(times))
        nearest = min(near, key=lambda index: abs(times[index] - moment), default=None)
        if nearest is None or abs(times[nearest] - moment) > step / 2:
            continue
        if gap.start < times[nearest] < gap.stop:
            yield nearest
            last = nearest


def _remains(
    gap: Gap, edges: Sequence[datetime], task: BackfillTask, now: datetime
) -> Iterator[Gap]:
    """What of a gap is still too long, with the reason, unless an hourly call can do more."""
    for start, stop in pairwise(edges):
        pause = stop - start
        if pause <= GAP_FACTOR * gap.slot:
            continue
        rest = Gap(gap.coin_id, start, stop, gap.slot, round(pause / gap.slot) - 1)
        is_old = start < now - DETAIL_WINDOW
        if task.days == 1 and is_old and pause > HOURLY_DETAIL and not _has_detail(rest, now):
            continue
        is_hourly_at_best = is_old and pause <= GAP_FACTOR * HOURLY_DETAIL
        yield rest._replace(reason="only_hourly_left" if is_hourly_at_best else "no_prices")


def unfillable(task: BackfillTask, reason: GapReason) -> list[Gap]:
    """All of a task's gaps, because of this."""
    return [gap._replace(reason=reason) for gap in task.gaps]
