"""Alerts and their outcomes, with the mutes and price targets of the same page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from sentinel.alerting.mutes import read_muted
from sentinel.alerting.price_targets import list_targets
from sentinel.storage.connection import Connection
from services.api.dependencies import RequestContext, clamp_to_utc
from services.api.problems import problem_responses
from services.api.queries.alerts import AlertFilters, list_alerts
from services.api.queries.rows import Row
from services.api.routes.mutes import describe_mutes
from services.api.schemas.alerts import AlertQuery, AlertsResponse
from services.api.schemas.price_targets import PriceTargetResponse

router = APIRouter(tags=["alerts"])


@router.get("/alerts", responses=problem_responses(422, 503))
def get_alerts(context: RequestContext, query: Annotated[AlertQuery, Query()]) -> AlertsResponse:
    """Alerts, the newest first; `next` is the `before` of the next page.

    The outcome is known a day after the alert: the price `went_on` in the alert's direction, or it
    `recovered`.
    """
    filters = AlertFilters(
        coin_ids=query.coin_id,
        kind=query.kind,
        outcome=query.outcome,
        is_announced=query.is_announced,
        since=clamp_to_utc(query.since) if query.since else None,
        until=clamp_to_utc(query.until) if query.until else None,
        before=query.before,
        # One item more than requested shows whether there is a next page.
        limit=query.limit + 1,
    )

    def read(connection: Connection) -> Row:
        rows = list_alerts(connection, filters, context.monitor.options, query.language)
        items = rows[: query.limit]
        found: Row = {"items": items}
        if len(rows) > query.limit:
            found["next"] = str(items[-1]["alert_id"])
        if "mutes" in query.include:
            found["mutes"] = describe_mutes(read_muted(connection, context.now()), query.coin_id)
        if "price_targets" in query.include:
            found["price_targets"] = [
                PriceTargetResponse.model_validate(target)
                for target in list_targets(connection)
                if not query.coin_id or target.coin_id in query.coin_id
            ]
        return found

    return AlertsResponse.model_validate(context.pool.read(read))
