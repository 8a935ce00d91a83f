"""How often the loop may poll CoinGecko: as often as the month's credits allow. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from api_library import Plan
from sentinel.budget.coingecko_credits import SYNC_CREDITS, count_price_calls
from sentinel.budget.quota_usage import Month

MIN_INTERVAL = timedelta(seconds=60)  # CoinGecko refreshes a public price once a minute
POLLING_SHARE = 0.9  # of the month's credits; the rest is for backfills and retries


def affordable_interval(
    plan: Plan, quota: float | None, used: float, coins: int, at: datetime
) -> timedelta:
    """Return the shortest interval at which `coins` can be polled until the month ends.

    `used` is the month's credits so far, `quota` the month's limit (None: no limit).
    """
    calls = count_price_calls(coins)
    shortest = max(MIN_INTERVAL, timedelta(seconds=calls * 60 / plan.calls_per_minute))
    if quota is None:
        return shortest
    time_left = Month.of(at).stop - at
    sync_credits = SYNC_CREDITS * (time_left / timedelta(days=1))
    credits_left = POLLING_SHARE * quota - used - sync_credits
    if credits_left < calls:
        return max(shortest, time_left)
    return max(shortest, time_left * (calls / credits_left))
