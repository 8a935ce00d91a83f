"""CoinGecko: whether it takes the key, this machine's clock, and the month's quotas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import budget_monitor
from safe_zone import Settings
from sentinel.budget import budget_output
from sentinel.coingecko import CoinGecko
from sentinel.errors import SentinelError
from sentinel.health import checks
from sentinel.health.facts import CheckState, HealthCheck

PROBE_COIN = "bitcoin"
DEADLINE_SECONDS = 20.0
KEYLESS_ADVICE = (
    "CoinGecko advises against regular polling without a key: set COINGECKO_API_KEY to a free Demo "
    "key (https://www.coingecko.com/en/api/pricing)."
)


def check(settings: Settings, now: datetime) -> Iterator[HealthCheck]:
    """Yield the checks of key, clock and quotas. It costs one credit."""
    client = CoinGecko(
        api_key=settings.api_key,
        is_pro=settings.is_pro,
        base_url=settings.base_url,
        deadline_seconds=DEADLINE_SECONDS,
    )
    yield _check_key(client)
    if client.clock_offset is not None:
        clock = checks.check_clock({"CoinGecko's": client.clock_offset})
        yield replace(clock, name="coingecko_clock")
    yield from _check_quotas(settings, now)


def _check_key(client: CoinGecko) -> HealthCheck:
    try:
        [response] = client.prices([PROBE_COIN])
    except SentinelError as error:
        return HealthCheck("coingecko", "unhealthy", str(error))
    name = client.plan.name
    if PROBE_COIN not in json.loads(response.body):
        text = f"CoinGecko answers without a price of {PROBE_COIN}: try again later."
        return HealthCheck("coingecko", "unhealthy", text)
    if client.plan.key_header is None:
        text = f"CoinGecko answers without a key. {KEYLESS_ADVICE}"
        return HealthCheck("coingecko", "warning", text)
    return HealthCheck("coingecko", "ok", f"CoinGecko takes the key ({name} plan).")


def _check_quotas(settings: Settings, now: datetime) -> Iterator[HealthCheck]:
    if settings.neon_api_key and not settings.neon_project_id:
        text = "NEON_API_KEY is set: set NEON_PROJECT_ID too, or Neon's own figures are left out."
        yield HealthCheck("neon_api", "warning", text)
    status = budget_monitor.check_budget_status(settings, now)
    state: CheckState = "unhealthy" if status.decision == "stop" else "warning"
    for usage in status.quota_usages:
        if usage.state != "ok":
            problem = budget_output.describe_problem(usage, usage.state)
            text = f"{problem}: see docs/deploy-github-actions.md#the-budget"
            yield HealthCheck("quotas", state, text)
    if all(usage.state == "ok" for usage in status.quota_usages):
        yield HealthCheck("quotas", "ok", "Every quota lasts the month.")
