"""Planning a backfill: which coins are worth a credit, and which chart points fill gaps. Pure.

One `/market_chart` call covers all of a coin's last 24 hours with 5-minute points, whatever the
size of its gaps. For older periods CoinGecko has only hourly points. So a call comes late, and the
coin whose 5-minute points expire first goes first.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from safe_zone import (
    DETAIL_WINDOW,
    GAP_FACTOR,
    GAP_WINDOW,
    HOURLY_DETAIL,
    MAX_BACKFILL_LEAD,
)
from sentinel.budget.coingecko_credits import BackfillAllowance
from sentinel.models import Gap, GapReason, MarketRow
from sentinel.storage.queries.gaps import FillableCoin

# Gaps of one outage begin within seconds of each other. They count as equally urgent, so that the
# rank decides their order.
_SAME_URGENCY = timedelta(minutes=15)


class BackfillCall(NamedTuple):
    """One call: the last `days` of a coin's chart."""

    coin_id: str
    # 1: 5-minute points; more: hourly ones.
    days: int


class BackfillTask(NamedTuple):
    """A call and the gaps that it is to fill."""

    coin_id: str
    days: int
    gaps: tuple[Gap, ...]


class BackfillPlan(NamedTuple):
    """The calls of one run."""

    # In this order.
    calls: list[BackfillCall]
    # Coins with gaps that wait for a later run.
    coins_waiting: int


class _Candidate(NamedTuple):
    """A call that may be made. The order of the fields is the order of the candidates."""

    # Whether the coin's rank is beyond the coins that a day's credits suffice for.
    is_beyond: bool
    # Whether only hourly points are left.
    is_hourly: bool
    # When CoinGecko drops points that the call needs.
    expires: datetime
    # The coin's place in the list of targets, from 0.
    place: int
    call: BackfillCall

    @property
    def is_spare(self) -> bool:
        """Whether the call gets only credits that no other call needs."""
        return self.is_beyond or self.is_hourly


def plan_backfill(
    coins: Iterable[FillableCoin],
    coin_ids: Sequence[str],
    now: datetime,
    *,
    calls: int,
    allowance: BackfillAllowance,
    should_wait: bool = True,
) -> BackfillPlan:
    """Choose at most `calls` calls within the allowance.

    `coin_ids` are the targets by rank. A day's credits suffice for the first `allowance.coins`.
    These go first, ordered by what expires first and then by rank. Then come their periods older
    than a day, and then the other coins.

    With `should_wait`, a call waits until its 5-minute points are about to expire, because one late
    call fills all gaps since the last one. At the end of the day (UTC) the credits that are left go
    to the calls that otherwise get none, because they are lost at midnight.
    """
    by_id = {coin.coin_id: coin for coin in coins}
    candidates = sorted(
        _make_candidate(by_id[coin_id], place, allowance, now)
        for place, coin_id in enumerate(coin_ids)
        if coin_id in by_id
    )
    chosen = _choose_due(candidates, now, calls, allowance) if should_wait else candidates
    chosen = chosen[: min(calls, allowance.left)]
    return BackfillPlan([c.call for c in chosen], len(candidates) - len(chosen))


def _choose_due(
    candidates: Sequence[_Candidate], now: datetime, calls: int, allowance: BackfillAllowance
) -> list[_Candidate]:
    """Return the calls that have to be made now, and those that the day's last credits pay.

    The run may be the day's last if the schedule is silent until midnight. Its spare credits go
    first to coins that would else be due twice on the next day, which spreads the calls.
    """
    urgent = [candidate for candidate in candidates if not candidate.is_spare]
    due = urgent[: _count_due(urgent, calls, allowance, now)]
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0) + timedelta(days=1)
    if now + allowance.silence < midnight:
        return due
    waiting = urgent[len(due) :]
    owed = sum(c.expires <= midnight + allowance.silence for c in waiting)
    early = [c for c in waiting[owed:] if c.expires <= midnight + 2 * allowance.silence]
    spare = [c for c in candidates if c.is_spare and (c.is_hourly or _has_aged(c, now))]
    return [*due, *[*early, *spare][: max(0, allowance.left - len(due) - owed)]]


def _make_candidate(
    coin: FillableCoin, place: int, allowance: BackfillAllowance, now: datetime
) -> _Candidate:
    """Return the call that fills most, and when CoinGecko drops points that it needs."""
    is_beyond = place >= allowance.coins
    if coin.detailed_since is not None:
        expires = _round_urgency(max(now, coin.detailed_since + DETAIL_WINDOW))
        return _Candidate(is_beyond, False, expires, place, BackfillCall(coin.coin_id, 1))
    oldest = coin.hourly_since or now
    days = max(2, math.ceil((now - oldest) / timedelta(days=1)))
    expires = _round_urgency(oldest + GAP_WINDOW)
    return _Candidate(is_beyond, True, expires, place, BackfillCall(coin.coin_id, days))


def _round_urgency(at: datetime) -> datetime:
    return at - (at - datetime(2026, 1, 1, tzinfo=UTC)) % _SAME_URGENCY


def _count_due(
    urgent: Sequence[_Candidate], calls: int, allowance: BackfillAllowance, now: datetime
) -> int:
    """Return how many of the candidates have to be called now, in order of their expiry.

    The schedule may be silent after this run. What one run cannot call then waits for the run
    after it, and so on: the later batches need the more time.
    """
    for index in reversed(range(len(urgent))):
        lead = allowance.silence + index // max(calls, 1) * allowance.pause
        if urgent[index].expires <= now + min(lead, MAX_BACKFILL_LEAD):
            return index + 1
    return 0


def _has_aged(candidate: _Candidate, now: datetime) -> bool:
    """Whether a call is worth a credit: it fills more than what came up in the last hours."""
    return candidate.expires <= now + MAX_BACKFILL_LEAD


def make_task(call: BackfillCall, gaps: Iterable[Gap], now: datetime) -> BackfillTask:
    """Return the call with those of its coin's gaps that its kind of points fills."""
    own = (gap for gap in gaps if gap.coin_id == call.coin_id and gap.reason is None)
    is_detailed = call.days == 1
    return BackfillTask(*call, tuple(gap for gap in own if _has_detail(gap, now) is is_detailed))


def _has_detail(gap: Gap, now: datetime) -> bool:
    """Whether CoinGecko has 5-minute points for more than one slot of the gap."""
    return gap.stop - max(gap.start, now - DETAIL_WINDOW) > gap.slot


def fill_gaps(
    task: BackfillTask, points: Sequence[MarketRow], now: datetime
) -> tuple[list[MarketRow], list[Gap]]:
    """Choose one of the chart's `points` (in order of time) for each slot of the task's gaps.

    Returns the chosen points, and the gaps that stay open although every source was tried, merged.
    """
    times = [point.observed_at for point in points]
    chosen: list[MarketRow] = []
    left: list[Gap] = []
    for gap in task.gaps:
        picked = [points[index] for index in _nearest_points(gap, times)]
        chosen += picked
        edges = [gap.start, *(row.observed_at for row in picked), gap.stop]
        left += _open_gaps(gap, edges, task, now)
    return chosen, merge_gaps(left)


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
    """Return all of a task's gaps with this reason, as one gap."""
    return merge_gaps(gap._replace(reason=reason) for gap in task.gaps)


def merge_gaps(gaps: Iterable[Gap]) -> list[Gap]:
    """Merge the unfillable gaps of one call: one from the first to the last for each reason.

    What is still a gap in that period was asked for. So a call leaves a row or two and not a
    hundred, also where a chart is as coarse as the history.
    """
    merged: dict[GapReason | None, Gap] = {}
    for gap in gaps:
        known = merged.setdefault(gap.reason, gap)
        merged[gap.reason] = known._replace(
            start=min(known.start, gap.start), stop=max(known.stop, gap.stop)
        )
    return list(merged.values())
