"""Forecasts, and beside each how such forecasts fared."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from sentinel.analytics.forecast import COVERAGE
from sentinel.storage.connection import Connection
from services.api import forecast_scores, queries, schemas
from services.api.dependencies import CoinId, Here, no_such_coin
from services.api.problems import described

router = APIRouter(tags=["forecasts"])
SPANS = (24, 168)  # hours over which forecasts are scored


@router.get("/coins/{coin_id}/forecast", responses=described(404, 422, 503))
def forecast(here: Here, coin_id: CoinId) -> schemas.Forecast:
    """The forecast of a coin. 404 where there is none just now: its last hour was too thin."""

    def read(connection: Connection) -> tuple[queries.Row | None, list[schemas.Score]]:
        found = queries.forecast(connection, coin_id, here.now())
        if found is None and not queries.is_known(connection, coin_id):
            raise no_such_coin(coin_id)
        return found, _scores(connection, here.now(), coin_id)

    row, found = here.store.read(read)
    if row is None:
        raise HTTPException(
            404, f"No forecast of '{coin_id}' just now: its last hour was too thin."
        )
    return schemas.Forecast.model_validate(row | {"coverage": COVERAGE, "scores": found})


@router.get("/forecasts/scoreboard", responses=described(422, 503))
def scoreboard(here: Here, limit: Annotated[int, Query(ge=0, le=500)] = 20) -> schemas.Scoreboard:
    """What all forecasts were worth, and those of the best ranked coins one by one."""

    def read(connection: Connection) -> schemas.Scoreboard:
        by_coin: dict[str, list[schemas.Score]] = {}
        for hours in SPANS:
            since = here.now() - timedelta(hours=hours)
            for coin_id, score in queries.scores_by_coin(connection, since, limit).items():
                by_coin.setdefault(coin_id, []).append(_shown(score, hours))
        return schemas.Scoreboard(
            scores=_scores(connection, here.now()),
            coins=[schemas.CoinScore(coin_id=i, scores=found) for i, found in by_coin.items()],
        )

    return here.store.read(read)


def _scores(
    connection: Connection, now: datetime, coin_id: str | None = None
) -> list[schemas.Score]:
    return [
        _shown(queries.score(connection, now - timedelta(hours=hours), coin_id), hours)
        for hours in SPANS
    ]


def _shown(score: forecast_scores.Score, hours: int) -> schemas.Score:
    return schemas.Score(
        hours=hours,
        scored=score.scored,
        mase=score.mase,
        hit_rate=score.hit_rate,
        called=score.called,
        coverage=score.coverage,
        banded=score.banded,
        verdict=score.verdict,
    )
