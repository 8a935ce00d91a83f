"""Responses about forecasts and their track record."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from services.api.schemas.base import ApiModel, ForecastDirection, example_config

# With fewer scored forecasts a result would be luck.
MIN_SCORED = 100
# A MASE a few percent below 1 is luck too.
MAX_EDGE_MASE = 0.97


class ForecastScoreResponse(ApiModel):
    """How the forecasts of the last `hours` turned out.

    Most of the time a straight line has no edge over expecting no change; `result` says so.
    """

    hours: int
    # Forecasts whose time has come and whose price is known.
    scored: int
    # Mean absolute scaled error: below 1 the forecast beat "no change".
    mase: Annotated[float | None, Field(examples=[1.12])]
    # Share of the directional (bullish or bearish) forecasts whose direction was right.
    hit_rate: Annotated[float | None, Field(examples=[0.51])]
    directional: int
    # Share of the forecasts with an interval whose interval held the price: 0.8 is promised.
    coverage: Annotated[float | None, Field(examples=[0.81])]
    with_interval: int
    result: Literal["edge", "no edge", "too early"]


def score_forecasts(
    hours: int,
    abs_error: float,
    abs_no_change: float,
    scored: int,
    directional: int,
    hits: int,
    with_interval: int,
    within_interval: int,
) -> ForecastScoreResponse:
    """Return the score that follows from sums over scored forecasts.

    `abs_error` and `abs_no_change` sum up the absolute errors, of the price's natural logarithm,
    of the forecasts and of expecting no change.
    """
    mase = abs_error / abs_no_change if abs_no_change else None
    return ForecastScoreResponse(
        hours=hours,
        scored=scored,
        mase=mase,
        hit_rate=hits / directional if directional else None,
        directional=directional,
        coverage=within_interval / with_interval if with_interval else None,
        with_interval=with_interval,
        result=(
            "too early"
            if mase is None or scored < MIN_SCORED
            else "edge"
            if mase < MAX_EDGE_MASE
            else "no edge"
        ),
    )


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
