"""The forecasts of a tick: score the forecasts that are due, then make new ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import numpy as np

from sentinel.analytics import forecast
from sentinel.analytics.forecast import WINDOW, Forecast
from sentinel.analytics.forecast_band import (
    HORIZON,
    Floats,
    PastChanges,
    compute_band,
    compute_volatilities,
)
from sentinel.storage.connection import Connection
from services.ingestion import forecast_storage
from services.ingestion.fit_process import FitFailed
from services.ingestion.forecast_storage import CoinHour

log = logging.getLogger("sentinel.forecasting")
# Returns the slopes of lines, like `forecast.fit_slopes`.
FitSlopes = Callable[[Floats, Floats], Floats]

# Forecasts cover all coins and are kept for a week. One set a minute would be too many rows.
FORECAST_EVERY = timedelta(minutes=5)
JITTER = timedelta(seconds=30)  # between ticks, and between the timestamps of prices
LOCK_KEY = 0x464F5245  # "FORE": the advisory lock of the process that makes forecasts


def update_forecasts(
    connection: Connection,
    cadence: timedelta,
    now: datetime,
    fit_slopes: FitSlopes = forecast.fit_slopes,
) -> int:
    """Score due forecasts and make new ones, in one transaction; return how many were made.

    None are made while the last ones are younger than FORECAST_EVERY, and if the fit fails.
    `cadence` is the time between two observations of a coin.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
        newest = forecast_storage.read_newest_observation(connection, now)
        if newest is None:
            return 0
        forecast_storage.score_forecasts(connection, newest, now)
        last = forecast_storage.read_newest_forecast(connection, newest)
        if last is not None and newest - last < FORECAST_EVERY - JITTER:
            return 0
        hours = forecast_storage.read_last_hour(connection, newest)
        past = forecast_storage.read_past_changes(connection, newest)
        try:
            forecasts = forecast_all(hours, past, newest.timestamp(), cadence, fit_slopes)
        except FitFailed as error:
            log.warning("this tick makes no forecasts: %s", error)
            return 0
        if forecasts:
            forecast_storage.save_forecasts(connection, forecasts, newest)
        return len(forecasts)


def forecast_all(
    hours: Mapping[int, CoinHour],
    past: Mapping[int, PastChanges],
    stop: float,
    cadence: timedelta,
    fit_slopes: FitSlopes = forecast.fit_slopes,
) -> dict[int, Forecast]:
    """Return a forecast for each coin with enough observations before `stop` (UNIX seconds).

    One fit covers all of them: 500 separate fits take more than ten times as long.
    """
    usable = [key for key, hour in hours.items() if not forecast.is_too_sparse(hour.times, stop)]
    if not usable:
        return {}
    at = forecast.build_time_grid(stop - WINDOW.total_seconds(), stop, cadence)
    logs = np.column_stack(
        [np.interp(at, hours[key].times, np.log(hours[key].prices_usd)) for key in usable]
    )
    slopes = fit_slopes(at, logs)
    return {
        key: _forecast_coin(hours[key], float(slope), past.get(key))
        for key, slope in zip(usable, slopes, strict=True)
    }


def _forecast_coin(hour: CoinHour, slope: float, past: PastChanges | None) -> Forecast:
    times, logs = np.asarray(hour.times), np.log(hour.prices_usd)
    [volatility] = compute_volatilities(times, logs, [0], [-1], HORIZON.total_seconds()).tolist()
    band = compute_band(past, volatility) if past else None
    return forecast.make_forecast(hour.prices_usd[-1], slope, volatility, band)
