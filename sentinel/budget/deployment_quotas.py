"""The monthly quotas of a deployment, and the published figures that they are from. Pure."""

from __future__ import annotations

from api_library import choose_plan
from safe_zone import QUOTAS, MonthlyQuota, Settings


def find_quotas(settings: Settings) -> dict[str, float | None]:
    """Return the quotas by name; without a setting, CoinGecko's is that of the plan.

    None: no limit.
    """
    published = _published_quotas(settings)["coingecko_credits"]
    granted = published.limit if published else None
    return {"coingecko_credits": granted, **settings.quotas}


def find_sources(settings: Settings) -> dict[str, MonthlyQuota]:
    """Return the published quotas that count here, without those that the settings change."""
    own = find_quotas(settings)
    return {
        name: quota
        for name, quota in _published_quotas(settings).items()
        if quota and quota.limit == own[name]
    }


def _published_quotas(settings: Settings) -> dict[str, MonthlyQuota | None]:
    plan = choose_plan(settings.api_key, is_pro=settings.is_pro)
    return {"coingecko_credits": plan.credits_per_month, **QUOTAS}
