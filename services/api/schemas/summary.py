"""The response with the header line that every page shows."""

from __future__ import annotations

from datetime import datetime

from sentinel.health.facts import CheckState
from services.api.schemas.base import ApiModel, example_config


class HealthProblemResponse(ApiModel):
    """A health check that is not ok; the message names no database, host, folder or user."""

    name: str
    state: CheckState
    message: str


class SummaryResponse(ApiModel):
    """The market, the exchange rate and the health in short; unknown figures are null."""

    model_config = example_config("""{"market_cap_usd": 3120000000000.0, "coins": 500,
        "bitcoin_share": 0.588, "idr_per_usd": 16250.0, "idr_observed_at": "2026-11-20T12:00:12Z",
        "newest_observation": "2026-11-20T12:00:12Z", "age_seconds": 402.0,
        "interval_seconds": 60.0, "missed_runs": 5, "state": "warning",
        "problems": [{"name": "freshness", "state": "warning",
        "message": "The newest observation is 7 minutes old, 5 runs are missing."}]}""")

    # Of all coins with a price of the last day, and how many they are.
    market_cap_usd: float | None
    coins: int
    # The share of that market capitalization, from 0 to 1.
    bitcoin_share: float | None
    # The last rate of the last 24 hours, and its time.
    idr_per_usd: float | None
    idr_observed_at: datetime | None
    newest_observation: datetime | None
    age_seconds: float | None
    # The pause between two runs, and how many should have stored prices since the newest one.
    interval_seconds: float | None
    missed_runs: int | None
    # The worst state of all health checks, and those that are not ok, the worst first.
    state: CheckState
    problems: list[HealthProblemResponse]
