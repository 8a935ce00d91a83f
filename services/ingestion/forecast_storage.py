"""Forecasts, their scores and the prices they read, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from sentinel.analytics import forecast
from sentinel.analytics.forecast import HORIZON, WINDOW, Forecast
from sentinel.storage.connection import Connection

# A forecast is scored by the observation nearest to its horizon, at most this far from it.
SCORING_TOLERANCE = timedelta(minutes=3)
# A forecast that has no such observation by then is never scored.
SCORING_PERIOD = timedelta(hours=2)
RESIDUAL_PERIOD = timedelta(days=1)  # the errors that the prediction interval is made from

NEWEST_FORECAST = "SELECT max(made_at) FROM sentinel.forecasts WHERE made_at <= %(now)s"

# Observed prices only: a backfilled price is interpolated by CoinGecko.
LAST_HOUR = """
SELECT coin_key, array_agg(extract(epoch FROM observed_at)::float8 ORDER BY observed_at),
       array_agg(price_usd ORDER BY observed_at)
FROM sentinel.observations
WHERE observed_at > %(start)s AND observed_at <= %(stop)s AND source = 'observed' AND price_usd > 0
GROUP BY coin_key
"""
NEWEST_OBSERVATION = """
SELECT max(observed_at) FROM sentinel.coins
WHERE observed_at <= %(now)s + interval '10 minutes' AND source = 'observed'
"""

# The errors of a day's forecasts, one array per coin.
RESIDUALS = """
SELECT coin_key, array_agg(ln(actual_usd / predicted_usd))
FROM sentinel.forecasts
WHERE made_at > %(since)s AND actual_usd IS NOT NULL AND actual_usd > 0 AND predicted_usd > 0
GROUP BY coin_key
"""

SAVE_FORECASTS = """
INSERT INTO sentinel.forecasts (coin_key, made_at, due_at, price_usd, slope_per_minute,
    predicted_usd, low_usd, high_usd, direction)
SELECT coin_key, %(made_at)s, %(due_at)s, price_usd, slope_per_minute, predicted_usd, low_usd,
    high_usd,
       direction::sentinel.forecast_direction
FROM unnest(%(coin_key)s::int4[], %(price_usd)s::float8[], %(slope_per_minute)s::float8[],
            %(predicted_usd)s::float8[], %(low_usd)s::float8[], %(high_usd)s::float8[],
            %(direction)s::text[])
     AS f (coin_key, price_usd, slope_per_minute, predicted_usd, low_usd, high_usd, direction)
ON CONFLICT (coin_key, made_at) DO NOTHING
"""

# Scores each due forecast and adds the result to the sums of its hour. MASE is the quotient of the
# two error sums: Hyndman & Koehler 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001, scaled
# by the error of "no change" over the same ten minutes.
SCORE_FORECASTS = """
WITH scored AS (
    UPDATE sentinel.forecasts f
    SET actual_usd = o.price_usd
    FROM sentinel.forecasts d
    CROSS JOIN LATERAL (
        SELECT price_usd FROM sentinel.observations
        WHERE coin_key = d.coin_key AND source = 'observed' AND price_usd > 0
          AND observed_at >= d.due_at - %(tolerance)s AND observed_at <= d.due_at + %(tolerance)s
        ORDER BY abs(extract(epoch FROM observed_at - d.due_at)), observed_at LIMIT 1) AS o
    WHERE f.coin_key = d.coin_key AND f.made_at = d.made_at AND d.actual_usd IS NULL
      AND d.made_at > %(since)s AND d.made_at <= %(now)s AND d.due_at + %(tolerance)s <= %(newest)s
    RETURNING f.coin_key, f.made_at, f.price_usd, f.predicted_usd, f.low_usd, f.high_usd,
        f.direction, f.actual_usd
)
INSERT INTO sentinel.forecast_scores AS s (coin_key, hour, abs_error, abs_no_change, scored,
    directional, hits,
                                  with_interval, within_interval)
SELECT coin_key, date_trunc('hour', made_at, 'UTC'), sum(abs(ln(actual_usd / predicted_usd))),
       sum(abs(ln(actual_usd / price_usd))), count(*),
           count(*) FILTER (WHERE direction <> 'neutral'),
       count(*) FILTER (WHERE (direction = 'bullish' AND actual_usd > price_usd)
                           OR (direction = 'bearish' AND actual_usd < price_usd)),
       count(low_usd), count(*) FILTER (WHERE actual_usd BETWEEN low_usd AND high_usd)
FROM scored
GROUP BY 1, 2
ON CONFLICT (coin_key, hour) DO UPDATE
SET abs_error = s.abs_error + excluded.abs_error,
    abs_no_change = s.abs_no_change + excluded.abs_no_change,
    scored = s.scored + excluded.scored, directional = s.directional + excluded.directional,
    hits = s.hits + excluded.hits, with_interval = s.with_interval + excluded.with_interval,
    within_interval = s.within_interval + excluded.within_interval
"""


class CoinHour(NamedTuple):
    """The observations of one coin's last hour."""

    # Ascending UNIX seconds.
    times: list[float]
    prices_usd: list[float]


def read_newest_observation(connection: Connection, now: datetime) -> datetime | None:
    """Return the time of the newest observation; None without any."""
    row = connection.execute(NEWEST_OBSERVATION, {"now": now}).fetchone()
    return row[0] if row else None


def read_newest_forecast(connection: Connection, now: datetime) -> datetime | None:
    """Return when the newest forecasts were made; None without any."""
    row = connection.execute(NEWEST_FORECAST, {"now": now}).fetchone()
    return row[0] if row else None


def read_last_hour(connection: Connection, stop: datetime) -> dict[int, CoinHour]:
    """Return the observations of the hour until `stop`, by coin key."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(LAST_HOUR, {"start": stop - WINDOW, "stop": stop})
        return {key: CoinHour(times, prices) for key, times, prices in cursor}


def read_interval_radii(connection: Connection, made_at: datetime) -> dict[int, float | None]:
    """Return the radius of each coin's prediction interval, by coin key."""
    with connection.cursor(binary=True) as cursor:
        rows: Sequence[tuple[int, list[float]]] = cursor.execute(
            RESIDUALS, {"since": made_at - RESIDUAL_PERIOD}
        ).fetchall()
    return {key: forecast.compute_interval_radius(np.asarray(errors)) for key, errors in rows}


def save_forecasts(
    connection: Connection, forecasts: Mapping[int, Forecast], made_at: datetime
) -> None:
    """Store forecasts, given by coin key."""
    columns = {
        name: [getattr(forecast, name) for forecast in forecasts.values()]
        for name in Forecast._fields
    }
    times = {"made_at": made_at, "due_at": made_at + HORIZON}
    connection.execute(SAVE_FORECASTS, columns | times | {"coin_key": list(forecasts)})


def score_forecasts(connection: Connection, newest: datetime, now: datetime) -> None:
    """Score each forecast that is due; `newest` is the time of the newest observation."""
    parameters = {
        "since": newest - SCORING_PERIOD,
        "now": now + HORIZON,
        "newest": newest,
        "tolerance": SCORING_TOLERANCE,
    }
    connection.execute(SCORE_FORECASTS, parameters)
