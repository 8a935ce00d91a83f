"""How often the loop may ask: what CoinGecko's credits allow, pure."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from api_library import Plan
from safe_zone import CHUNK_IDS, MARKETS_PER_PAGE, RANKED_COINS
from sentinel.budget.quotas import Month

FASTEST = timedelta(seconds=60)  # CoinGecko refreshes a public price once a minute
SHARE = 0.9  # of the month's credits: the rest is for repairs and retries
SYNC_CREDITS = 1 + RANKED_COINS // MARKETS_PER_PAGE  # of the daily comparison


def affordable_interval(
    plan: Plan, quota: float | None, used: float, coins: int, at: datetime
) -> timedelta:
    """The shortest interval at which `coins` can be asked for until the month ends.

    `used` are the month's credits so far, of `quota` (None: no limit).
    """
    calls = max(1, math.ceil(coins / CHUNK_IDS))
    fastest = max(FASTEST, timedelta(seconds=calls * 60 / plan.calls_per_minute))
    if quota is None:
        return fastest
    left = Month.of(at).stop - at
    credits_left = SHARE * quota - used - SYNC_CREDITS * (left / timedelta(days=1))
    if credits_left < calls:
        return max(fastest, left)
    return max(fastest, left * (calls / credits_left))
