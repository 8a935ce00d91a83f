"""All that the page of a coin shows, in one read."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter

from sentinel.alerting.price_targets import list_targets
from sentinel.analytics.forecast_band import COVERAGE
from sentinel.storage.connection import Connection
from services.api.dependencies import ApiContext, CoinId, RequestContext
from services.api.history_request import (
    AUTO_POINTS,
    HistoryRequest,
    HoursQuery,
    PointsQuery,
    ResolutionQuery,
    resolve_history,
)
from services.api.portfolio.legs import expand
from services.api.portfolio.transactions import list_transactions
from services.api.problems import UnknownCoin, problem_responses
from services.api.queries.alerts import AlertFilters, Language, list_alerts
from services.api.queries.coins import find_coin, list_movers, read_day_range
from services.api.queries.forecasts import find_current_forecast, sum_forecast_scores
from services.api.queries.rows import Row
from services.api.routes.overview import CHANGES
from services.api.routes.pipeline import read_gaps
from services.api.schemas.pages import CoinPageResponse

router = APIRouter(tags=["coins"])

# The newest ones; the monitor sends about two a week for each coin.
MAX_ALERTS = 100
MAX_TRANSACTIONS = 500


@router.get("/coins/{coin_id}/page", responses=problem_responses(404, 409, 422, 503))
def get_coin_page(
    context: RequestContext,
    coin_id: CoinId,
    hours: HoursQuery = None,
    resolution: ResolutionQuery = "auto",
    points: PointsQuery = AUTO_POINTS,
    language: Language = "en",
) -> CoinPageResponse:
    """A coin with its history, forecast, alerts, gaps, price targets and own transactions.

    `hours`, `resolution` and `points` choose the history as in `/coins/{coin_id}/history`. Alerts
    say in `language` why they were raised.
    """
    request = resolve_history(context, hours=hours, resolution=resolution, max_points=points)

    def read(connection: Connection) -> Row:
        now = context.now()
        coin = find_coin(connection, coin_id, now)
        if coin is None:
            raise UnknownCoin(coin_id)
        return (
            {"coin": coin}
            | _read_changes(connection, coin_id, now)
            | read_day_range(connection, coin_id, now)
            | {"forecast": _read_forecast(connection, coin_id, now)}
            | _read_span(context, connection, coin_id, request, language)
        )

    return CoinPageResponse.model_validate(
        context.pool.read(read, uses_copy=request.uses_copy), from_attributes=True
    )


def _read_changes(connection: Connection, coin_id: str, now: datetime) -> Row:
    found = {
        field: list_movers(connection, now, hours, coin_id=coin_id)
        for field, hours in CHANGES.items()
    }
    return {field: rows[0]["change"] if rows else None for field, rows in found.items()}


def _read_forecast(connection: Connection, coin_id: str, now: datetime) -> Row | None:
    forecast = find_current_forecast(connection, coin_id, now)
    if forecast is None:
        return None
    scores = sum_forecast_scores(connection, now, coin_id)
    return forecast | {"coverage": COVERAGE, "scores": scores}


def _read_span(
    context: ApiContext,
    connection: Connection,
    coin_id: str,
    request: HistoryRequest,
    language: Language,
) -> Row:
    """Return the history, and what happened to the coin: alerts, gaps, transactions."""
    filters = AlertFilters(coin_ids=[coin_id], limit=MAX_ALERTS)
    return {
        "history": request.read(connection, coin_id),
        "alerts": list_alerts(connection, filters, context.monitor.options, language),
        "gaps": read_gaps(context, connection, [coin_id]),
        "price_targets": list_targets(connection, coin_id=coin_id),
        "transactions": _read_transactions(connection, coin_id),
    }


def _read_transactions(connection: Connection, coin_id: str) -> list[Row]:
    """Return what came in and went out, by time. Transfers between own wallets do neither."""
    newest = list_transactions(
        connection, coin_id=coin_id, limit=MAX_TRANSACTIONS, newest_first=True
    )
    notes = {transaction.transaction_id: transaction.note for transaction in newest}
    return [
        {
            "transaction_id": leg.transaction_id,
            "made_at": leg.made_at,
            "kind": leg.kind,
            "wallet": leg.wallet,
            "quantity": leg.quantity,
            "price_usd": leg.price_usd,
            "note": notes[leg.transaction_id],
        }
        for leg in expand(newest)
        if leg.coin_id == coin_id and not leg.is_internal
    ]
