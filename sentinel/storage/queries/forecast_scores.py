"""The sums over scored forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sentinel.storage.connection import Connection

# One row for each time span, also without forecasts. The columns after the first are in the order
# of `ScoreSums`.
FORECAST_SCORES = """
SELECT span.hours, sums.*
FROM unnest(%(hours)s::int[]) AS span (hours)
CROSS JOIN LATERAL (
    SELECT sum(abs_error), sum(abs_no_change), sum(scored), sum(directional), sum(hits),
           sum(with_interval), sum(within_interval), sum(interval_score), sum(constant_score),
           sum(calm), sum(within_calm), sum(middle), sum(within_middle), sum(wild), sum(within_wild)
    FROM sentinel.forecast_scores
    WHERE hour > %(now)s - span.hours * interval '1 hour'
      AND (%(coin_id)s::text IS NULL
           OR coin_key = (SELECT coin_key FROM sentinel.coins WHERE coin_id = %(coin_id)s::text))
    ) AS sums
ORDER BY span.hours
"""


def sum_forecast_scores(
    connection: Connection, hours: Sequence[int], now: datetime, coin_id: str | None = None
) -> dict[int, list[Any]]:
    """Return the values of `ScoreSums` over the last hours, by those hours; 0 without forecasts.

    `coin_id`: of one coin, else of all.
    """
    parameters = {"now": now, "hours": list(hours), "coin_id": coin_id}
    rows = connection.execute(FORECAST_SCORES, parameters)
    return {span: [value or 0 for value in sums] for span, *sums in rows}
