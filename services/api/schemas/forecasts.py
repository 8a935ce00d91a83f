"""Responses about forecasts and their track record."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from sentinel.analytics.forecast_scores import Result, ScoreSums, divide
from services.api.schemas.base import ApiModel, ForecastDirection, example_config


class VolatilityScoreResponse(ApiModel):
    """How often the band held the price in calm, middle or wild hours.

    Each is a third of the last day, by the volatility of the hour before the forecast.
    """

    # Null without any such forecast.
    coverage: Annotated[float | None, Field(examples=[0.79])]
    forecasts: int


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
    # Whether the directions were right clearly more often than half the time.
    direction_result: Result
    # Share of the forecasts with an interval whose interval held the price: 0.8 is promised.
    coverage: Annotated[float | None, Field(examples=[0.81])]
    with_interval: int
    calm: VolatilityScoreResponse
    middle: VolatilityScoreResponse
    wild: VolatilityScoreResponse
    # Mean interval score: width of the interval plus a penalty for each miss, in logarithms of the
    # price; lower is better. Over the forecasts of `calm`, `middle` and `wild`.
    interval_score: Annotated[float | None, Field(examples=[0.0042])]
    # The same of a "no change" interval of constant width: a quantile of the last day's changes.
    no_change_interval_score: Annotated[float | None, Field(examples=[0.0044])]
    result: Result


def score_forecasts(hours: int, sums: ScoreSums) -> ForecastScoreResponse:
    """Return the score that follows from the sums over the forecasts of the last `hours`."""
    classified = sums.calm + sums.middle + sums.wild
    return ForecastScoreResponse(
        hours=hours,
        scored=sums.scored,
        mase=sums.mase,
        hit_rate=sums.hit_rate,
        directional=sums.directional,
        direction_result=sums.direction_result,
        coverage=sums.coverage,
        with_interval=sums.with_interval,
        calm=_score_class(sums.calm, sums.within_calm),
        middle=_score_class(sums.middle, sums.within_middle),
        wild=_score_class(sums.wild, sums.within_wild),
        interval_score=divide(sums.interval_score, classified),
        no_change_interval_score=divide(sums.constant_score, classified),
        result=sums.result,
    )


def _score_class(forecasts: int, within: int) -> VolatilityScoreResponse:
    return VolatilityScoreResponse(coverage=divide(within, forecasts), forecasts=forecasts)


class ForecastResponse(ApiModel):
    """A straight line through the last hour, continued for ten minutes, with its track record.

    The interval surrounds the current price. `low_usd` and `high_usd` are null while too few
    changes are known to compute it.
    """

    model_config = example_config("""{"coin_id": "bitcoin", "made_at": "2026-11-20T12:00:00Z",
        "due_at": "2026-11-20T12:10:00Z", "price_usd": 92140.12, "slope_per_minute": 1e-05,
        "predicted_usd": 92149.33, "low_usd": 91941.2, "high_usd": 92339.5, "coverage": 0.8,
        "volatility": 0.0017, "volatility_class": "middle", "direction": "neutral",
        "scores": []}""")

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
    # Root mean square change of the logarithm in ten minutes, during the last hour. Null in
    # forecasts of an older version.
    volatility: float | None
    # The third of the coin's last day that the volatility lies in; null without an interval.
    volatility_class: Literal["calm", "middle", "wild"] | None
    # Neutral if the line moves less than half the distance from the price to the interval's end.
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
