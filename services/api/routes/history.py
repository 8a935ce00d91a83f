"""A coin's price history."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from sentinel.storage.connection import Connection
from services.api.dependencies import CoinId, RequestContext
from services.api.history_request import (
    AUTO_POINTS,
    HoursQuery,
    PointsQuery,
    ResolutionQuery,
    resolve_history,
)
from services.api.json_response import json_response
from services.api.problems import UnknownCoin, problem_responses
from services.api.queries.coins import is_known_coin
from services.api.queries.rows import Row
from services.api.schemas.base import Timestamp
from services.api.schemas.coins import HistoryResponse

router = APIRouter(tags=["coins"])


@router.get(
    "/coins/{coin_id}/history",
    response_model=HistoryResponse,
    responses=problem_responses(404, 409, 422, 503),
)
def get_history(
    context: RequestContext,
    coin_id: CoinId,
    start: Annotated[Timestamp | None, Query(description="default: seven days ago")] = None,
    end: Annotated[Timestamp | None, Query(description="not included; default: now")] = None,
    hours: HoursQuery = None,
    resolution: ResolutionQuery = "auto",
    points: PointsQuery = AUTO_POINTS,
) -> Response:
    """A coin's history in steps; `raw` returns every observation.

    Observations older than sixty days come from the archive, if one is configured. A span that
    begins before the first observation is shortened. If the span is too long for the step, a longer
    step is used; the response says which.
    """
    request = resolve_history(
        context, start=start, end=end, hours=hours, resolution=resolution, max_points=points
    )

    def read(connection: Connection) -> Row:
        history = request.read(connection, coin_id)
        if not history["points"] and not is_known_coin(connection, coin_id):
            raise UnknownCoin(coin_id)
        return history

    return json_response(context.pool.read(read, uses_copy=request.uses_copy))
