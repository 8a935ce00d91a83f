"""Forecasts, their scores and the prices they read, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from sentinel.analytics.forecast import WINDOW, Forecast
from sentinel.analytics.forecast_band import CHANGE_PERIOD, COVERAGE, HORIZON, PastChanges
from sentinel.storage.connection import Connection

# A forecast is scored by the observation nearest to its horizon, at most this far from it.
SCORING_TOLERANCE = timedelta(minutes=3)
# A forecast that has no such observation by then is never scored.
SCORING_PERIOD = timedelta(hours=2)

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

# The scored forecasts of a day, one row per coin. Old forecasts have no volatility.
PAST_CHANGES = """
SELECT coin_key, array_agg(abs(ln(actual_usd / price_usd))::float4), array_agg(volatility),
       count(low_usd), count(*) FILTER (WHERE actual_usd NOT BETWEEN low_usd AND high_usd)
FROM sentinel.forecasts
WHERE made_at > %(since)s AND volatility IS NOT NULL AND actual_usd > 0 AND price_usd > 0
GROUP BY coin_key
"""

SAVE_FORECASTS = """
INSERT INTO sentinel.forecasts (coin_key, made_at, due_at, price_usd, slope_per_minute,
    predicted_usd, volatility, low_usd, high_usd, constant_radius, volatility_class, direction)
SELECT coin_key, %(made_at)s, %(due_at)s, price_usd, slope_per_minute, predicted_usd, volatility,
    low_usd, high_usd, constant_radius, volatility_class::sentinel.volatility_class,
    direction::sentinel.forecast_direction
FROM unnest(%(coin_key)s::int4[], %(price_usd)s::float8[], %(slope_per_minute)s::float8[],
            %(predicted_usd)s::float8[], %(volatility)s::float4[], %(low_usd)s::float8[],
            %(high_usd)s::float8[], %(constant_radius)s::float4[], %(volatility_class)s::text[],
            %(direction)s::text[])
     AS f (coin_key, price_usd, slope_per_minute, predicted_usd, volatility, low_usd, high_usd,
           constant_radius, volatility_class, direction)
ON CONFLICT (coin_key, made_at) DO NOTHING
"""

# Scores each due forecast and adds the result to the sums of its hour. MASE is the quotient of the
# two error sums: Hyndman & Koehler 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001, scaled
# by the error of "no change" over the same ten minutes. The interval scores are those of
# `forecast_band.compute_interval_score`, over the forecasts with a volatility class.
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
        f.direction, f.actual_usd, f.constant_radius, f.volatility_class AS class,
        f.actual_usd BETWEEN f.low_usd AND f.high_usd AS is_within,
        ln(f.high_usd / f.low_usd) / 2 AS radius, abs(ln(f.actual_usd / f.price_usd)) AS change
)
INSERT INTO sentinel.forecast_scores AS s (coin_key, hour, abs_error, abs_no_change, scored,
    directional, hits, with_interval, within_interval, interval_score, constant_score,
    calm, within_calm, middle, within_middle, wild, within_wild)
SELECT coin_key, date_trunc('hour', made_at, 'UTC'), sum(abs(ln(actual_usd / predicted_usd))),
       sum(abs(ln(actual_usd / price_usd))), count(*),
           count(*) FILTER (WHERE direction <> 'neutral'),
       count(*) FILTER (WHERE (direction = 'bullish' AND actual_usd > price_usd)
                           OR (direction = 'bearish' AND actual_usd < price_usd)),
       count(low_usd), count(*) FILTER (WHERE is_within),
       coalesce(sum(2 * radius + %(penalty)s * greatest(change - radius, 0))
                FILTER (WHERE class IS NOT NULL), 0),
       coalesce(sum(2 * constant_radius + %(penalty)s * greatest(change - constant_radius, 0))
                FILTER (WHERE class IS NOT NULL), 0),
       count(*) FILTER (WHERE class = 'calm'), count(*) FILTER (WHERE class = 'calm' AND is_within),
       count(*) FILTER (WHERE class = 'middle'),
       count(*) FILTER (WHERE class = 'middle' AND is_within),
       count(*) FILTER (WHERE class = 'wild'), count(*) FILTER (WHERE class = 'wild' AND is_within)
FROM scored
GROUP BY 1, 2
ON CONFLICT (coin_key, hour) DO UPDATE
SET abs_error = s.abs_error + excluded.abs_error,
    abs_no_change = s.abs_no_change + excluded.abs_no_change,
    scored = s.scored + excluded.scored, directional = s.directional + excluded.directional,
    hits = s.hits + excluded.hits, with_interval = s.with_interval + excluded.with_interval,
    within_interval = s.within_interval + excluded.within_interval,
    interval_score = s.interval_score + excluded.interval_score,
    constant_score = s.constant_score + excluded.constant_score,
    calm = s.calm + excluded.calm, within_calm = s.within_calm + excluded.within_calm,
    middle = s.middle + excluded.middle, within_middle = s.within_middle + excluded.within_middle,
    wild = s.wild + excluded.wild, within_wild = s.within_wild + excluded.within_wild
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


def read_past_changes(connection: Connection, made_at: datetime) -> dict[int, PastChanges]:
    """Return the scored forecasts of each coin's last day, by coin key."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(PAST_CHANGES, {"since": made_at - CHANGE_PERIOD})
        return {
            key: PastChanges(np.asarray(changes), np.asarray(volatilities), with_band, missed)
            for key, changes, volatilities, with_band, missed in cursor
        }


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
        "penalty": 2 / (1 - COVERAGE),
    }
    connection.execute(SCORE_FORECASTS, parameters)
