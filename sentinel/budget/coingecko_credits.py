"""CoinGecko's credits: what runs and backfill use of them, and what the backfill may use. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from safe_zone import (
    BACKFILL_CREDITS_PER_COIN,
    CADENCE_WINDOW,
    CHUNK_IDS,
    MARKETS_PER_PAGE,
    MAX_BACKFILL_LEAD,
    MAX_CLOCK_SKEW,
    MIN_BACKFILL_LEAD,
    RANKED_COINS,
    SKIP_SHARE,
)
from sentinel.budget.quota_usage import Month, QuotaUsage, pace_period, runs_since
from sentinel.budget.usage_log import Usage

DAY = timedelta(days=1)
_LONG_PAUSE = 90  # the percentile of the pauses between runs that counts as a long one
SYNC_CREDITS = 1 + RANKED_COINS // MARKETS_PER_PAGE  # a day, for the coin list and the ranking


def count_price_calls(coins: int) -> int:
    """Return how many calls fetch the prices of so many coins once; each costs a credit."""
    return max(1, math.ceil(coins / CHUNK_IDS))


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
    days = pace_period(inside, at) / DAY
    left = (Month.of(at).stop - at) / DAY
    return _CreditPace(used, backfill / days, (used - backfill) / days * left, left)


def measure_credits(
    inside: Sequence[Usage], at: datetime, quota: float | None, backfill_per_day: int
) -> QuotaUsage:
    """Return the credits: runs at their pace, backfill at its pace or up to its allowance."""
    pace = _credit_pace(inside, at)
    affordable = pace.affordable_backfill(quota, backfill_per_day)
    backfill = min(pace.backfill_per_day, affordable) * pace.days_left
    projected = pace.used + pace.runs_to_come + backfill
    return QuotaUsage("coingecko_credits", pace.used, projected, quota, Month.of(at).stop)


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
    inside = runs_since(known, Month.of(at).start)
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
