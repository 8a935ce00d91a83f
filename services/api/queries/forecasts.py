"""Forecasts and the sums of their scores."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sentinel.storage.connection import Connection
from services.api.forecast_scores import ForecastScore
from services.api.queries.rows import Row, fetch_first_row

CURRENT_FORECAST = """
SELECT c.coin_id, f.made_at, f.due_at, f.price_usd, f.slope_per_minute, f.predicted_usd, f.low_usd,
       f.high_usd, f.direction::text
FROM sentinel.forecasts f JOIN sentinel.coins c USING (coin_key)
WHERE c.coin_id = %(coin_id)s AND f.due_at > %(now)s
ORDER BY f.made_at DESC
LIMIT 1
"""

# The columns in the order of ForecastScore.
FORECAST_SCORE = """
SELECT sum(abs_error), sum(abs_no_change), sum(scored)::int, sum(directional)::int, sum(hits)::int,
       sum(with_interval)::int, sum(within_interval)::int
FROM sentinel.forecast_scores
WHERE hour > %(since)s
  AND (%(coin_id)s::text IS NULL
       OR coin_key = (SELECT coin_key FROM sentinel.coins WHERE coin_id = %(coin_id)s::text))
"""

FORECAST_SCORE_BY_COIN = """
SELECT c.coin_id, sum(abs_error), sum(abs_no_change), sum(scored)::int, sum(directional)::int,
       sum(hits)::int, sum(with_interval)::int, sum(within_interval)::int
FROM (SELECT * FROM sentinel.coins ORDER BY rank NULLS LAST, coin_id LIMIT %(limit)s) AS c
JOIN sentinel.forecast_scores s USING (coin_key)
WHERE s.hour > %(since)s
GROUP BY c.coin_id, c.rank
ORDER BY c.rank NULLS LAST, c.coin_id
"""


def find_current_forecast(connection: Connection, coin_id: str, now: datetime) -> Row | None:
    """Return a coin's newest forecast that is not due yet."""
    return fetch_first_row(connection, CURRENT_FORECAST, {"coin_id": coin_id, "now": now})


def sum_forecast_score(
    connection: Connection, since: datetime, coin_id: str | None = None
) -> ForecastScore:
    """Return the score of the forecasts since then, of one coin or of all."""
    parameters = {"since": since, "coin_id": coin_id}
    [sums] = connection.execute(FORECAST_SCORE, parameters).fetchall()
    # Sums over no rows are NULL.
    return ForecastScore(*(value or 0 for value in sums))


def sum_forecast_score_by_coin(
    connection: Connection, since: datetime, limit: int
) -> dict[str, ForecastScore]:
    """Return the score of each of the best-ranked coins by its id."""
    rows: Sequence[Any] = connection.execute(
        FORECAST_SCORE_BY_COIN, {"since": since, "limit": limit}
    ).fetchall()
    return {coin_id: ForecastScore(*sums) for coin_id, *sums in rows}
