"""Alerts and what came of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.api import queries, schemas
from services.api.dependencies import CoinFilter, Here, Limit
from services.api.problems import described

router = APIRouter(tags=["alerts"])


@router.get("/alerts", responses=described(422, 503))
def alerts(
    here: Here,
    coin_id: CoinFilter = None,
    kind: schemas.Kind | None = None,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="an alert_id")] = None,
    limit: Limit = 50,
) -> schemas.Page[schemas.Alert]:
    """Alerts, the newest first; `next` is the `before` of the page that follows."""
    rows = here.store.read(
        lambda c: queries.alerts(c, coin_id=coin_id, kind=kind, before=before, limit=limit + 1)
    )
    shown = rows[:limit]
    following = str(shown[-1]["alert_id"]) if len(rows) > limit else None
    return schemas.Page[schemas.Alert].model_validate({"items": shown, "next": following})
