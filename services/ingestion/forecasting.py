"""The forecasts of a tick: those whose time has come are scored, new ones made and kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from sentinel.analytics import forecast
from sentinel.analytics.forecast import HORIZON, WINDOW, Forecast
from sentinel.storage.connection import Connection

# Forecasts are for all coins and kept for a week, so they are not made every minute.
EVERY = timedelta(minutes=5)
JITTER = timedelta(seconds=30)  # of ticks and of the times that prices carry
TOLERANCE = timedelta(minutes=3)  # between the horizon and the observation that it is scored by
SCORE_BACK = timedelta(hours=2)  # an observation that comes later than this scores nothing
RESIDUALS_OF = timedelta(days=1)
KEY_OF_LOCK = 0x464F5245  # "FORE"

NEWEST_FORECAST = "SELECT max(made_at) FROM forecasts WHERE made_at <= %(now)s"

# The last hour as it was observed, and the moment of the newest observation.
LAST_HOUR = """
SELECT coin_key, extract(epoch FROM o.observed_at)::float8 AS at, o.price
FROM observations o
WHERE o.observed_at > %(start)s AND o.observed_at <= %(stop)s AND o.source = 'observed'
  AND o.price > 0
ORDER BY coin_key, at
"""
NEWEST_OBSERVATION = """
SELECT max(observed_at) FROM coins
WHERE observed_at <= %(now)s + interval '10 minutes' AND source = 'observed'
"""

# Errors that a day's forecasts turned out to have, one array a coin.
RESIDUALS = """
SELECT coin_key, array_agg(ln(actual / predicted))
FROM forecasts
WHERE made_at > %(since)s AND actual IS NOT NULL AND actual > 0 AND predicted > 0
GROUP BY coin_key
"""

KEEP = """
INSERT INTO forecasts (coin_key, made_at, due_at, price, slope, predicted, low, high, direction)
SELECT coin_key, %(made_at)s, %(due_at)s, price, slope, predicted, low, high,
       direction::forecast_direction
FROM unnest(%(coin_key)s::int4[], %(price)s::float8[], %(slope)s::float8[], %(predicted)s::float8[],
            %(low)s::float8[], %(high)s::float8[], %(direction)s::text[])
     AS f (coin_key, price, slope, predicted, low, high, direction)
ON CONFLICT (coin_key, made_at) DO NOTHING
"""

# Scores forecasts by the observation nearest to their horizon, and adds that to the hour's sums.
# MASE is the quotient of the two error sums: Hyndman & Koehler 2006,
# https://doi.org/10.1016/j.ijforecast.2006.03.001, "no change" over the same ten minutes as scale.
SCORE = """
WITH scored AS (
    UPDATE forecasts f
    SET actual = o.price
    FROM forecasts d
    CROSS JOIN LATERAL (
        SELECT price FROM observations
        WHERE coin_key = d.coin_key AND source = 'observed' AND price > 0
          AND observed_at >= d.due_at - %(tolerance)s AND observed_at <= d.due_at + %(tolerance)s
        ORDER BY abs(extract(epoch FROM observed_at - d.due_at)), observed_at LIMIT 1) AS o
    WHERE f.coin_key = d.coin_key AND f.made_at = d.made_at AND d.actual IS NULL
      AND d.made_at > %(since)s AND d.made_at <= %(now)s AND d.due_at + %(tolerance)s <= %(newest)s
    RETURNING f.coin_key, f.made_at, f.price, f.predicted, f.low, f.high, f.direction, f.actual
)
INSERT INTO forecast_scores AS s (coin_key, hour, abs_error, abs_no_change, scored, called, hit,
                                  banded, covered)
SELECT coin_key, date_trunc('hour', made_at, 'UTC'), sum(abs(ln(actual / predicted))),
       sum(abs(ln(actual / price))), count(*), count(*) FILTER (WHERE direction <> 'neutral'),
       count(*) FILTER (WHERE (direction = 'bullish' AND actual > price)
                           OR (direction = 'bearish' AND actual < price)),
       count(low), count(*) FILTER (WHERE actual BETWEEN low AND high)
FROM scored
GROUP BY 1, 2
ON CONFLICT (coin_key, hour) DO UPDATE
SET abs_error = s.abs_error + excluded.abs_error,
    abs_no_change = s.abs_no_change + excluded.abs_no_change,
    scored = s.scored + excluded.scored, called = s.called + excluded.called,
    hit = s.hit + excluded.hit, banded = s.banded + excluded.banded,
    covered = s.covered + excluded.covered
"""


class Hour(NamedTuple):
    """One coin's last hour: times (UNIX seconds, ascending) and prices (USD)."""

    times: list[float]
    prices: list[float]


def predict(connection: Connection, cadence: timedelta, now: datetime) -> int:
    """Score what is due, forecast what can be; returns how many forecasts were made.

    One transaction. Nothing is made while the last forecasts are younger than EVERY.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [KEY_OF_LOCK])
        [(newest,)] = connection.execute(NEWEST_OBSERVATION, {"now": now}).fetchall()
        if newest is None:
            return 0
        periods = {"since": newest - SCORE_BACK, "now": now + HORIZON, "newest": newest}
        connection.execute(SCORE, periods | {"tolerance": TOLERANCE})
        [(last,)] = connection.execute(NEWEST_FORECAST, {"now": newest}).fetchall()
        if last is not None and newest - last < EVERY - JITTER:
            return 0
        return _make(connection, newest, cadence)


def _make(connection: Connection, made_at: datetime, cadence: timedelta) -> int:
    hours = _read_hours(connection, made_at)
    bands = _read_bands(connection, made_at)
    found = forecast_all(hours, bands, made_at.timestamp(), cadence)
    if found:
        names = ("price", "slope", "predicted", "low", "high", "direction")
        columns = {name: [getattr(one, name) for one in found.values()] for name in names}
        at = {"made_at": made_at, "due_at": made_at + HORIZON}
        connection.execute(KEEP, columns | at | {"coin_key": list(found)})
    return len(found)


def forecast_all(
    hours: dict[int, Hour], bands: dict[int, float | None], stop: float, cadence: timedelta
) -> dict[int, Forecast]:
    """Forecast every coin whose hour until `stop` (UNIX seconds) is dense enough, in one fit."""
    sound = [key for key, hour in hours.items() if not forecast.is_thin(hour.times, stop)]
    if not sound:
        return {}
    at = forecast.grid(stop - WINDOW.total_seconds(), stop, cadence)
    logs = np.column_stack([forecast.align(*hours[key], at) for key in sound])
    slopes = forecast.fit(at, logs)
    return {
        key: forecast.forecast(hours[key].prices[-1], float(slope), bands.get(key))
        for key, slope in zip(sound, slopes, strict=True)
    }


def _read_hours(connection: Connection, stop: datetime) -> dict[int, Hour]:
    hours: dict[int, Hour] = {}
    with connection.cursor(binary=True) as cursor:
        cursor.execute(LAST_HOUR, {"start": stop - WINDOW, "stop": stop})
        for key, at, price in cursor:
            hour = hours.setdefault(key, Hour([], []))
            hour.times.append(at)
            hour.prices.append(price)
    return hours


def _read_bands(connection: Connection, made_at: datetime) -> dict[int, float | None]:
    with connection.cursor(binary=True) as cursor:
        rows: Sequence[tuple[int, list[float]]] = cursor.execute(
            RESIDUALS, {"since": made_at - RESIDUALS_OF}
        ).fetchall()
        return {key: forecast.radius(np.asarray(errors)) for key, errors in rows}
