"""Planning a backfill: which gaps are worth a credit, and which chart points fill them. Pure.

One `/market_chart` call covers all of a coin's last 24 hours with 5-minute points. For older
periods CoinGecko has only hourly points. So the coin whose 5-minute points expire first goes first.
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

# Gaps of one outage begin within seconds of each other. They count as equally urgent, so that the
# rank decides their order.
_SAME_URGENCY = timedelta(minutes=15)


class BackfillTask(NamedTuple):
    """One call: the last `days` of a coin, for these gaps."""

    coin_id: str
    days: int
    gaps: tuple[Gap, ...]


class BackfillPlan(NamedTuple):
    """The calls of one run."""

    # In this order.
    tasks: list[BackfillTask]
    # Gaps that no call can fill.
    unfillable: list[Gap]
    # Coins with gaps that wait for a later run.
    coins_waiting: int


class _Candidate(NamedTuple):
    """A call that may be made. The order of the fields is the order of the candidates."""

    # Whether the coin's rank is beyond the number of credits of a day.
    is_beyond: bool
    # Whether only hourly points are left.
    is_hourly: bool
    # When CoinGecko drops points that the call needs.
    expires: datetime
    # The coin's place in the list of targets, from 0.
    place: int
    task: BackfillTask


def plan_backfill(
    gaps: Iterable[Gap],
    coin_ids: Sequence[str],
    now: datetime,
    *,
    calls: int,
    allowance: BackfillAllowance,
    should_wait: bool = True,
) -> BackfillPlan:
    """Choose at most `calls` calls within the allowance.

    `coin_ids` are the targets by rank. A day's credits suffice for the first `allowance.daily`
    coins. These go first, ordered by what expires first and then by rank. Then come their periods
    older than a day, and then the other coins.

    With `should_wait`, a call waits until its 5-minute points are about to expire, because one late
    call fills all gaps since the last one. In the evening (UTC) the plan spends the rest of the
    allowance, because unused credits are lost at midnight.
    """
    by_coin: dict[str, list[Gap]] = {}
    for gap in gaps:
        if gap.reason is None:
            by_coin.setdefault(gap.coin_id, []).append(gap)
    unfillable: list[Gap] = []
    candidates: list[_Candidate] = []
    for place, coin_id in enumerate(coin_ids):
        too_old = [gap for gap in by_coin.get(coin_id, ()) if _is_too_old(gap, now)]
        unfillable += [gap._replace(reason="only_hourly_left") for gap in too_old]
        if fillable := [gap for gap in by_coin.get(coin_id, ()) if gap not in too_old]:
            task, expires = _make_task(coin_id, fillable, now)
            is_beyond = place >= allowance.daily
            candidates.append(_Candidate(is_beyond, task.days > 1, expires, place, task))
    candidates.sort()
    lead = _lead_time(min(len(candidates), allowance.daily), calls, allowance.cadence)
    is_evening = now.astimezone(UTC).date() != (now + lead).astimezone(UTC).date()
    due = [c for c in candidates if not (c.is_beyond or c.is_hourly) and c.expires <= now + lead]
    chosen = (due if should_wait and not is_evening else candidates)[: min(calls, allowance.left)]
    return BackfillPlan([c.task for c in chosen], unfillable, len(candidates) - len(chosen))


def _lead_time(count: int, calls: int, cadence: timedelta) -> timedelta:
    """Return how long runs of `calls` calls may need for `count` coins.

    The scheduler may be silent for MAX_SCHEDULE_SILENCE in between.
    """
    return MAX_SCHEDULE_SILENCE + math.ceil(count / max(calls, 1)) * cadence


def _has_detail(gap: Gap, now: datetime) -> bool:
    """Whether CoinGecko has 5-minute points for more than one slot of the gap."""
    return gap.stop - max(gap.start, now - DETAIL_WINDOW) > gap.slot


def _is_too_old(gap: Gap, now: datetime) -> bool:
    """Whether the gap is too old for 5-minute points and too short for hourly ones."""
    return not _has_detail(gap, now) and gap.stop - gap.start <= HOURLY_DETAIL


def _make_task(coin_id: str, gaps: Sequence[Gap], now: datetime) -> tuple[BackfillTask, datetime]:
    """Return the call that fills most, and when CoinGecko drops points that it needs."""
    fresh = [gap for gap in gaps if _has_detail(gap, now)]
    if fresh:
        expires = max(now, min(gap.start for gap in fresh) + DETAIL_WINDOW)
        return BackfillTask(coin_id, 1, tuple(fresh)), _round_urgency(expires)
    oldest = min(gap.start for gap in gaps)
    days = math.ceil((now - oldest) / timedelta(days=1))
    return BackfillTask(coin_id, max(2, days), tuple(gaps)), _round_urgency(oldest + GAP_WINDOW)


def _round_urgency(at: datetime) -> datetime:
    return at - (at - datetime(2026, 1, 1, tzinfo=UTC)) % _SAME_URGENCY


def fill_gaps(
    task: BackfillTask, points: Sequence[MarketRow], now: datetime
) -> tuple[list[MarketRow], list[Gap]]:
    """Choose one of the chart's `points` (in order of time) for each slot of the task's gaps.

    Returns the chosen points, and the gaps that stay open although every source was tried.
    """
    times = [point.observed_at for point in points]
    chosen: list[MarketRow] = []
    left: list[Gap] = []
    for gap in task.gaps:
        picked = [points[index] for index in _nearest_points(gap, times)]
        chosen += picked
        edges = [gap.start, *(row.observed_at for row in picked), gap.stop]
        left += _open_gaps(gap, edges, task, now)
    return chosen, left


def _nearest_points(gap: Gap, times: Sequence[datetime]) -> Iterator[int]:
    """Yield the indexes of the points nearest to evenly spaced moments in the gap, each once."""
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


def _open_gaps(
    gap: Gap, edges: Sequence[datetime], task: BackfillTask, now: datetime
) -> Iterator[Gap]:
    """Yield what is still too long a pause, with its reason.

    A pause that a later call with hourly points can shorten has no reason yet and is left out.
    """
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


def mark_unfillable(task: BackfillTask, reason: GapReason) -> list[Gap]:
    """Return all of a task's gaps with this reason."""
    return [gap._replace(reason=reason) for gap in task.gaps]
