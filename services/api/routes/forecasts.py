"""Forecasts and their track record."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from sentinel.analytics.forecast_band import COVERAGE
from sentinel.storage.connection import Connection
from services.api.dependencies import CoinId, RequestContext
from services.api.problems import UnknownCoin, problem_responses
from services.api.queries.coins import is_known_coin
from services.api.queries.forecasts import (
    find_current_forecast,
    sum_forecast_scores,
    sum_forecast_scores_by_coin,
)
from services.api.queries.rows import Row
from services.api.schemas.forecasts import (
    ForecastResponse,
    ForecastScoreResponse,
    ScoreboardResponse,
)

router = APIRouter(tags=["forecasts"])


@router.get("/coins/{coin_id}/forecast", responses=problem_responses(404, 409, 422, 503))
def get_forecast(context: RequestContext, coin_id: CoinId) -> ForecastResponse:
    """The forecast of a coin; 404 if its last hour has too few observations for one."""

    def read(connection: Connection) -> tuple[Row | None, list[ForecastScoreResponse]]:
        forecast = find_current_forecast(connection, coin_id, context.now())
        if forecast is None and not is_known_coin(connection, coin_id):
            raise UnknownCoin(coin_id)
        return forecast, sum_forecast_scores(connection, context.now(), coin_id)

    forecast, scores = context.pool.read(read)
    if forecast is None:
        raise HTTPException(
            404, f"There is no forecast of '{coin_id}' now: its last hour has too few observations."
        )
    return ForecastResponse.model_validate(forecast | {"coverage": COVERAGE, "scores": scores})


@router.get("/forecasts/scoreboard", responses=problem_responses(422, 503))
def get_scoreboard(
    context: RequestContext, limit: Annotated[int, Query(ge=0, le=500)] = 20
) -> ScoreboardResponse:
    """The scores of all forecasts, and of the best-ranked coins one by one."""

    def read(connection: Connection) -> ScoreboardResponse:
        by_coin = sum_forecast_scores_by_coin(connection, context.now(), limit)
        return ScoreboardResponse.model_validate(
            {
                "scores": sum_forecast_scores(connection, context.now()),
                "coins": [{"coin_id": id_, "scores": scores} for id_, scores in by_coin.items()],
            }
        )

    return context.pool.read(read)
