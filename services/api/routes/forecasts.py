"""Forecasts and their track record."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from sentinel.analytics.forecast import COVERAGE
from sentinel.storage.connection import Connection
from services.api.dependencies import CoinId, RequestContext
from services.api.forecast_scores import ForecastScore
from services.api.problems import problem_responses, unknown_coin
from services.api.queries.coins import is_known_coin
from services.api.queries.forecasts import (
    find_current_forecast,
    sum_forecast_score,
    sum_forecast_score_by_coin,
)
from services.api.queries.rows import Row
from services.api.schemas.forecasts import (
    CoinScoresResponse,
    ForecastResponse,
    ForecastScoreResponse,
    ScoreboardResponse,
)

router = APIRouter(tags=["forecasts"])
# Forecasts are scored over the last day and the last week.
SCORED_HOURS = (24, 168)


@router.get("/coins/{coin_id}/forecast", responses=problem_responses(404, 422, 503))
def get_forecast(context: RequestContext, coin_id: CoinId) -> ForecastResponse:
    """The forecast of a coin; 404 if its last hour has too few observations for one."""

    def read(connection: Connection) -> tuple[Row | None, list[ForecastScoreResponse]]:
        forecast = find_current_forecast(connection, coin_id, context.now())
        if forecast is None and not is_known_coin(connection, coin_id):
            raise unknown_coin(coin_id)
        return forecast, _list_scores(connection, context.now(), coin_id)

    forecast, scores = context.pool.read(read)
    if forecast is None:
        raise HTTPException(
            404,
            f"There is no forecast of '{coin_id}' now: its last hour has too few observations.",
        )
    return ForecastResponse.model_validate(forecast | {"coverage": COVERAGE, "scores": scores})


@router.get("/forecasts/scoreboard", responses=problem_responses(422, 503))
def get_scoreboard(
    context: RequestContext, limit: Annotated[int, Query(ge=0, le=500)] = 20
) -> ScoreboardResponse:
    """The scores of all forecasts, and of the best-ranked coins one by one."""

    def read(connection: Connection) -> ScoreboardResponse:
        by_coin: dict[str, list[ForecastScoreResponse]] = {}
        for hours in SCORED_HOURS:
            since = context.now() - timedelta(hours=hours)
            for coin_id, score in sum_forecast_score_by_coin(connection, since, limit).items():
                by_coin.setdefault(coin_id, []).append(_build_score(score, hours))
        return ScoreboardResponse(
            scores=_list_scores(connection, context.now()),
            coins=[
                CoinScoresResponse(coin_id=coin_id, scores=scores)
                for coin_id, scores in by_coin.items()
            ],
        )

    return context.pool.read(read)


def _list_scores(
    connection: Connection, now: datetime, coin_id: str | None = None
) -> list[ForecastScoreResponse]:
    return [
        _build_score(sum_forecast_score(connection, now - timedelta(hours=hours), coin_id), hours)
        for hours in SCORED_HOURS
    ]


def _build_score(score: ForecastScore, hours: int) -> ForecastScoreResponse:
    return ForecastScoreResponse(
        hours=hours,
        scored=score.scored,
        mase=score.mase,
        hit_rate=score.hit_rate,
        directional=score.directional,
        coverage=score.coverage,
        with_interval=score.with_interval,
        result=score.result,
    )
