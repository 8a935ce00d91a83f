"""Responses about what a coin's alerts caught and missed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.api.schemas.base import ApiModel, example_config


class CaughtFallsResponse(ApiModel):
    """Which falls were announced; `docs/monitor.md` has the definition of each figure."""

    falls: int
    # Falls with a panic alert between their maximum and their end, and falls without one.
    caught: int
    missed: int
    # Panic alerts outside of all falls.
    stray: int
    # From the first price that stood 5 % below the maximum to the alert. Negative: the alert came
    # earlier. Null if no fall was caught.
    median_delay_seconds: float | None
    # Panic and reversal alerts; null without two prices.
    alerts_per_week: float | None


class FixedPercentageResponse(CaughtFallsResponse):
    """The same of a fixed percentage, solved for the rate of the alerts."""

    # The percentage as a fraction.
    threshold: Annotated[float, Field(examples=[0.05])]


class AlertScoreResponse(ApiModel):
    """What a coin's alerts announced from `start` to `end`, beside a fixed percentage."""

    model_config = example_config("""{"coin_id": "bitcoin", "start": "2026-09-27T12:00:00Z",
        "end": "2026-11-26T12:00:00Z", "fall_depth": 0.05, "alerts": {"falls": 7, "caught": 6,
        "missed": 1, "stray": 3, "median_delay_seconds": 720.0, "alerts_per_week": 1.9},
        "fixed_percentage": {"falls": 7, "caught": 6, "missed": 1, "stray": 4,
        "median_delay_seconds": 0.0, "alerts_per_week": 2.0, "threshold": 0.049}}""")

    coin_id: str
    # The coin has been watched, and its prices are stored, since `start`. Null: it is not watched.
    start: datetime | None
    # The last full hour: alerts and prices after it are not counted yet.
    end: datetime
    # How far a price stands below the maximum of the last 24 hours when a fall begins.
    fall_depth: float
    # Null if the coin is not watched.
    alerts: CaughtFallsResponse | None
    # Null without an alert, or with less than two weeks of prices.
    fixed_percentage: FixedPercentageResponse | None
