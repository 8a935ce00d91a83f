"""Forecasts and the sums of their scores."""

from __future__ import annotations

from datetime import datetime

from sentinel.analytics.forecast_scores import SCORED_HOURS, ScoreSums
from sentinel.storage.connection import Connection
from sentinel.storage.queries import forecast_scores
from services.api.queries.rows import Row, fetch_first_row
from services.api.schemas.forecasts import ForecastScoreResponse, score_forecasts

CURRENT_FORECAST = """
SELECT c.coin_id, f.made_at, f.due_at, f.price_usd, f.slope_per_minute, f.predicted_usd, f.low_usd,
       f.high_usd, f.direction::text, f.volatility, f.volatility_class::text
FROM sentinel.forecasts f JOIN sentinel.coins c USING (coin_key)
WHERE c.coin_id = %(coin_id)s AND f.due_at > %(now)s
ORDER BY f.made_at DESC
LIMIT 1
"""

# LATERAL, because it reads only the ranked coins' rows, by their key.
FORECAST_SCORES_BY_COIN = """
SELECT c.coin_id, span.hours, sums.*
FROM (SELECT * FROM sentinel.coins ORDER BY rank NULLS LAST, coin_id LIMIT %(limit)s) AS c
CROSS JOIN unnest(%(hours)s::int[]) AS span (hours)
CROSS JOIN LATERAL (
    SELECT sum(abs_error), sum(abs_no_change), sum(scored), sum(directional), sum(hits),
           sum(with_interval), sum(within_interval), sum(interval_score), sum(constant_score),
           sum(calm), sum(within_calm), sum(middle), sum(within_middle), sum(wild), sum(within_wild)
    FROM sentinel.forecast_scores s
    WHERE s.coin_key = c.coin_key AND s.hour > %(now)s - span.hours * interval '1 hour'
    HAVING count(*) > 0) AS sums
ORDER BY c.rank NULLS LAST, c.coin_id, span.hours
"""


def find_current_forecast(connection: Connection, coin_id: str, now: datetime) -> Row | None:
    """Return a coin's newest forecast that is not due yet."""
    return fetch_first_row(connection, CURRENT_FORECAST, {"coin_id": coin_id, "now": now})


def sum_forecast_scores(
    connection: Connection, now: datetime, coin_id: str | None = None
) -> list[ForecastScoreResponse]:
    """Return the scores over each of SCORED_HOURS, of one coin or of all."""
    found = forecast_scores.sum_forecast_scores(connection, SCORED_HOURS, now, coin_id)
    return [score_forecasts(hours, ScoreSums(*sums)) for hours, sums in found.items()]


def sum_forecast_scores_by_coin(
    connection: Connection, now: datetime, limit: int
) -> dict[str, list[ForecastScoreResponse]]:
    """Return the scores of each of the best-ranked coins by its id."""
    parameters = {"now": now, "hours": list(SCORED_HOURS), "limit": limit}
    scores: dict[str, list[ForecastScoreResponse]] = {}
    for coin_id, hours, *sums in connection.execute(FORECAST_SCORES_BY_COIN, parameters):
        known = ScoreSums(*(value or 0 for value in sums))
        scores.setdefault(coin_id, []).append(score_forecasts(hours, known))
    return scores
