"""All that the overview page shows, in one read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter

from sentinel.storage.connection import Connection
from services.api.dependencies import ApiContext, RequestContext
from services.api.portfolio.quotes import MAX_RATE_AGE, read_rate
from services.api.problems import problem_responses
from services.api.queries.alerts import AlertFilters, Language, list_alerts
from services.api.queries.coins import list_coins, list_movers, list_sparklines
from services.api.queries.rows import Row
from services.api.schemas.pages import OverviewResponse

router = APIRouter(tags=["coins"])

COINS = 500
# Hours of each change, by its field.
CHANGES = {"change_1h": 1, "change_24h": 24, "change_7d": 168}
MOVERS = 5
ALERTS = 8
SPARKLINE_POINTS = 42
SPARKLINE_STEP = timedelta(hours=4)


@router.get("/overview", responses=problem_responses(422, 503))
def get_overview(context: RequestContext, language: Language = "en") -> OverviewResponse:
    """The 500 best-ranked coins with changes and sparklines, movers, alerts, the rupiah's rate.

    The sparklines cover seven days in steps of four hours, the last of which is not over. Alerts
    say in `language` why they were raised.
    """
    return OverviewResponse.model_validate(
        context.pool.read(lambda connection: _read_overview(context, connection, language))
    )


def _read_overview(context: ApiContext, connection: Connection, language: Language) -> Row:
    now = context.now()
    coins = list_coins(connection, search=None, limit=COINS, offset=0)
    movers = {
        field: list_movers(connection, now, hours, top=COINS) for field, hours in CHANGES.items()
    }
    changes = {
        field: {row["coin_id"]: row["change"] for row in rows} for field, rows in movers.items()
    }
    step = SPARKLINE_STEP
    last = now - (now - datetime.min.replace(tzinfo=UTC)) % step + step
    first = last - (SPARKLINE_POINTS - 1) * step
    lines = {
        row["coin_id"]: row["prices_usd"]
        for row in list_sparklines(connection, first, last, SPARKLINE_POINTS - 1, COINS, 0)
    }
    for coin in coins:
        coin_id = coin["coin_id"]
        coin |= {field: found.get(coin_id) for field, found in changes.items()}
        coin["sparkline_usd"] = lines[coin_id]
    rate = read_rate(connection, now, MAX_RATE_AGE)
    return {
        "coins": coins,
        "sparkline_start": first - step,
        "sparkline_step_seconds": step.total_seconds(),
        "gainers": [row for row in movers["change_24h"] if row["change"] > 0][:MOVERS],
        "losers": [row for row in reversed(movers["change_24h"]) if row["change"] < 0][:MOVERS],
        "alerts": list_alerts(
            connection, AlertFilters(limit=ALERTS), context.monitor.options, language
        ),
        "rate": {
            "idr_per_usd": rate and float(rate.idr_per_usd),
            "observed_at": rate and rate.observed_at,
        },
    }
