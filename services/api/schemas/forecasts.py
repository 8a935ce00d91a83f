"""Responses about forecasts and their track record."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from services.api.forecast_scores import ForecastResult
from services.api.schemas.base import ApiModel, example_config
from services.api.schemas.fields import ForecastDirection


class ForecastScoreResponse(ApiModel):
    """How the forecasts of the last `hours` turned out.

    Most of the time a straight line has no edge over expecting no change; `result` says so.
    """

    # Filled from a ForecastScore.
    model_config = ConfigDict(from_attributes=True)

    hours: int
    # Forecasts whose time has come and whose price is known.
    scored: int
    # Mean absolute scaled error: below 1 the forecast beat "no change".
    mase: Annotated[float | None, Field(examples=[1.12])]
    # Share of the directional (bullish or bearish) forecasts whose direction was right.
    hit_rate: Annotated[float | None, Field(examples=[0.51])]
    directional: int
    # Share of the forecasts with an interval whose interval held the price.
    coverage: Annotated[float | None, Field(examples=[0.81])]
    with_interval: int
    result: ForecastResult


class ForecastResponse(ApiModel):
    """A straight line through the last hour, continued for ten minutes, with its track record.

    `low_usd` and `high_usd` are null while too few errors are known to compute an interval.
    """

    model_config = example_config("""{"coin_id": "bitcoin", "made_at": "2026-11-20T12:00:00Z",
        "due_at": "2026-11-20T12:10:00Z", "price_usd": 92140.12, "slope_per_minute": 1e-05,
        "predicted_usd": 92149.33, "low_usd": 91950.1, "high_usd": 92349.0, "coverage": 0.8,
        "direction": "neutral", "scores": []}""")

    coin_id: str
    made_at: datetime
    due_at: datetime
    # The price when the forecast was made.
    price_usd: float
    # Of the price's natural logarithm.
    slope_per_minute: float
    predicted_usd: float
    low_usd: float | None
    high_usd: float | None
    # The share of prices that the interval is meant to hold.
    coverage: float
    direction: ForecastDirection
    scores: list[ForecastScoreResponse]


class CoinScoresResponse(ApiModel):
    """The forecast scores of one coin."""

    coin_id: str
    scores: list[ForecastScoreResponse]


class ScoreboardResponse(ApiModel):
    """Scores of all forecasts of the last day and week, and of the best-ranked coins one by one."""

    scores: list[ForecastScoreResponse]
    coins: list[CoinScoresResponse]
