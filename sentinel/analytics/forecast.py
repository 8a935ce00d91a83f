"""The next ten minutes of every coin: a straight line through its last hour. Pure.

One least-squares fit covers all coins. The forecast extends the fitted slope from the last price.
The line is a picture of the last hour: "no change" predicts better. So the 80 % band
(`forecast_band.py`) surrounds the price. All calculations use logarithms of prices, so that coins
are comparable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, NamedTuple

import numpy as np

from sentinel.analytics.forecast_band import HORIZON, Band, Floats, VolatilityClass

Direction = Literal["bullish", "bearish", "neutral"]

WINDOW = timedelta(minutes=60)
# A window is too sparse with fewer points (more than six minutes apart on average) or a longer gap.
MIN_POINTS = 9
MAX_GAP = timedelta(minutes=12)
# The line has a direction if it predicts a move of more than this share of the band's radius. On
# recorded 5-minute prices that is 7 % of the forecasts, and 46 % of the calls were right.
DIRECTION_SHARE = 0.5


class Forecast(NamedTuple):
    """The forecast of one coin. Prices in USD."""

    price_usd: float
    # Of the logarithm of the price.
    slope_per_minute: float
    predicted_usd: float
    # Root mean square change of the logarithm within HORIZON, in the last hour.
    volatility: float
    # The band around the price, the radius of a band of constant width in logarithms, and the
    # third of the day's volatilities. None while too few changes are known.
    low_usd: float | None
    high_usd: float | None
    constant_radius: float | None
    volatility_class: VolatilityClass | None
    # Neutral without a band, or if the line moves less than DIRECTION_SHARE of its radius.
    direction: Direction


def build_time_grid(start: float, stop: float, cadence: timedelta) -> Floats:
    """Return the UNIX seconds at which a window is sampled: from `stop` back to `start`."""
    step = cadence.total_seconds()
    count = max(2, math.floor((stop - start) / step) + 1)
    return stop - step * np.arange(count - 1, -1, -1, dtype=np.float64)


def is_too_sparse(times: Sequence[float], stop: float) -> bool:
    """Return whether the observations (ascending UNIX seconds) are too few for a fit to `stop`."""
    if len(times) < MIN_POINTS:
        return True
    edges = np.array([stop - WINDOW.total_seconds(), *times, stop])
    return float(np.diff(edges).max()) > MAX_GAP.total_seconds()


def fit_slopes(at: Floats, logs: Floats) -> Floats:
    """Return each coin's slope per minute; `logs` has a row per time and a column per coin."""
    from sklearn.linear_model import LinearRegression  # takes two seconds and 150 MB

    minutes = ((at - at[-1]) / 60).reshape(-1, 1)
    model = LinearRegression().fit(minutes, logs)
    return np.asarray(model.coef_, dtype=np.float64).reshape(-1)


def make_forecast(price: float, slope: float, volatility: float, band: Band | None) -> Forecast:
    """Return the forecast of one coin from its price, its slope, its volatility and its band."""
    predicted = price * math.exp(slope * (HORIZON / timedelta(minutes=1)))
    if band is None:
        return Forecast(price, slope, predicted, volatility, None, None, None, None, "neutral")
    return Forecast(
        price,
        slope,
        predicted,
        volatility,
        price * math.exp(-band.radius),
        price * math.exp(band.radius),
        band.constant_radius,
        band.volatility_class,
        find_direction(price, predicted, band.radius),
    )


def find_direction(price: float, predicted: float, radius: float) -> Direction:
    """Return the direction of a line, which is neutral within DIRECTION_SHARE of the radius."""
    threshold = price * math.exp(DIRECTION_SHARE * radius)
    if predicted > threshold:
        return "bullish"
    return "bearish" if predicted < price**2 / threshold else "neutral"
