"""What a coin's alerts caught and missed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter

from safe_zone import RETENTION
from sentinel.alerting import alert_history
from sentinel.analytics.calibration import Series, is_long_enough
from sentinel.analytics.crossings import Alert
from sentinel.analytics.falls import DEFAULT_FALLS, Score, score
from sentinel.analytics.fixed_percentage import match_percentages, replay_percentage
from sentinel.storage.connection import Connection
from services.api.dependencies import CoinId, RequestContext
from services.api.problems import UnknownCoin, problem_responses
from services.api.queries.coins import is_known_coin
from services.api.schemas.alert_scores import AlertScoreResponse

router = APIRouter(tags=["alerts"])

# A coin with a price per minute has 86,000 prices in 60 days.
STEP = timedelta(minutes=5)
# The fixed percentage is solved on every third price: some twenty replays of a coin's history.
SOLVED_ON_EVERY = 3


@router.get("/coins/{coin_id}/alert-score", responses=problem_responses(404, 409, 422, 503))
def get_alert_score(context: RequestContext, coin_id: CoinId) -> AlertScoreResponse:
    """Which falls a coin's alerts caught in 60 days, beside a fixed percentage.

    Computed once an hour for each coin.
    """
    end = context.now().replace(minute=0, second=0, microsecond=0)
    known = context.alert_scores.get(coin_id)
    if known and known.end == end:
        return known

    def read(connection: Connection) -> tuple[Series, Sequence[Alert]] | None:
        watched = alert_history.find_watch_start(connection, coin_id)
        if watched is None:
            if not is_known_coin(connection, coin_id):
                raise UnknownCoin(coin_id)
            return None
        key, watched_since = watched
        since = {key: max(end - RETENTION, watched_since)}
        prices = alert_history.read_observed_prices(connection, since, end, STEP)
        return prices[key], alert_history.list_raised_alerts(connection, since, end)[key]

    found = context.pool.read(read)
    result = _judge(coin_id, end, *found) if found else _respond(coin_id, end)
    if found:
        context.alert_scores[coin_id] = result
    return result


def _judge(
    coin_id: str, end: datetime, prices: Series, alerts: Sequence[Alert]
) -> AlertScoreResponse:
    own = score(prices, alerts)
    fixed = None
    if alerts and is_long_enough(prices):
        rate = own.alerts_per_coin_week or 0.0
        few = {coin_id: prices[::SOLVED_ON_EVERY]}
        percentage = match_percentages(few, few, rate)[coin_id]
        fixed = _describe(score(prices, replay_percentage(prices, percentage)))
        fixed["threshold"] = percentage
    start = datetime.fromtimestamp(prices[0][0], UTC) if prices else end
    return _respond(coin_id, end, start=start, alerts=_describe(own), fixed_percentage=fixed)


def _describe(found: Score) -> dict[str, Any]:
    return {
        "falls": found.falls,
        "caught": found.caught,
        "missed": found.missed,
        "stray": found.stray,
        "median_delay_seconds": found.delay_seconds,
        "alerts_per_week": found.alerts_per_coin_week,
    }


def _respond(coin_id: str, end: datetime, **values: Any) -> AlertScoreResponse:
    empty = {"start": None, "alerts": None, "fixed_percentage": None}
    named = {"coin_id": coin_id, "end": end, "fall_depth": DEFAULT_FALLS.depth}
    return AlertScoreResponse.model_validate({**named, **empty, **values})
