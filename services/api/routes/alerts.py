"""Alerts and their outcomes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.api.dependencies import CoinFilter, Limit, RequestContext
from services.api.problems import problem_responses
from services.api.queries.coins import list_alerts
from services.api.schemas.base import AlertKind, Page
from services.api.schemas.coins import AlertResponse

router = APIRouter(tags=["alerts"])


@router.get("/alerts", responses=problem_responses(422, 503))
def get_alerts(
    context: RequestContext,
    coin_id: CoinFilter = None,
    kind: AlertKind | None = None,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="an alert_id")] = None,
    limit: Limit = 50,
) -> Page[AlertResponse]:
    """Alerts, the newest first; `next` is the `before` of the next page."""
    # One item more than requested shows whether there is a next page.
    rows = context.pool.read(
        lambda connection: list_alerts(
            connection, coin_id=coin_id, kind=kind, before=before, limit=limit + 1
        )
    )
    items = rows[:limit]
    next_before = str(items[-1]["alert_id"]) if len(rows) > limit else None
    return Page[AlertResponse].model_validate({"items": items, "next": next_before})
