"""The next ten minutes of every coin: a straight line through its last hour. Pure.

One least-squares fit covers all coins. The forecast extends the fitted slope from the last price.
The 80 % prediction interval comes from split conformal prediction (Lei et al. 2018, algorithm 2,
https://arxiv.org/abs/1604.04173): a quantile of the absolute errors of the last day's forecasts.
All calculations use logarithms of prices, so that coins are comparable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Direction = Literal["bullish", "bearish", "neutral"]
Floats = NDArray[np.float64]

WINDOW = timedelta(minutes=60)
HORIZON = timedelta(minutes=10)
COVERAGE = 0.8  # share of the later prices that the interval should contain
# A window is too sparse with fewer points (more than six minutes apart on average) or a longer gap.
MIN_POINTS = 9
MAX_GAP = timedelta(minutes=12)
MIN_RESIDUALS = 30  # with fewer known errors there is no interval


class Forecast(NamedTuple):
    """The forecast of one coin. Prices in USD."""

    price_usd: float
    # Of the logarithm of the price.
    slope_per_minute: float
    predicted_usd: float
    # The prediction interval. None while fewer than MIN_RESIDUALS errors are known.
    low_usd: float | None
    high_usd: float | None
    # Neutral without an interval, or if the interval contains the current price.
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


def compute_interval_radius(residuals: Floats) -> float | None:
    """Return half the width of the interval, in logarithms: a quantile of the absolute errors.

    None with fewer than MIN_RESIDUALS errors.
    """
    known = len(residuals)
    if known < MIN_RESIDUALS:
        return None
    rank = min(known, math.ceil((known + 1) * COVERAGE))
    return float(np.partition(np.abs(residuals), rank - 1)[rank - 1])


def make_forecast(price: float, slope: float, radius: float | None) -> Forecast:
    """Return the forecast of one coin from its price, its slope and the radius of its interval."""
    move = slope * (HORIZON / timedelta(minutes=1))
    predicted = price * math.exp(move)
    if radius is None:
        return Forecast(price, slope, predicted, None, None, "neutral")
    low, high = price * math.exp(move - radius), price * math.exp(move + radius)
    direction: Direction = "neutral"
    if low > price:
        direction = "bullish"
    elif high < price:
        direction = "bearish"
    return Forecast(price, slope, predicted, low, high, direction)
