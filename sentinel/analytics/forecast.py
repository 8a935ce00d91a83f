"""The next ten minutes of every coin by a straight line through its last hour, pure.

One least-squares fit for all coins. The forecast carries the fitted slope on from the last price.
Around it stands an 80 % band by split conformal prediction (Lei et al. 2018, algorithm 2,
https://arxiv.org/abs/1604.04173): the quantile of the errors that forecasts of the last day turned
out to have. All of it in logarithms of prices, so that coins compare.
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
COVERAGE = 0.8  # of the prices that a band shall hold
LEAST_POINTS = 9  # of the window: a pause of more than six minutes between points is too thin …
LARGEST_HOLE = timedelta(minutes=12)  # … and so is a hole longer than this
LEAST_RESIDUALS = 30  # fewer known errors make no band


class Forecast(NamedTuple):
    """What is said of one coin. Prices in USD; `slope` of the logarithm per minute. The band is
    None while too few errors are known; the direction is neutral then, as where it holds no change.
    """

    price: float
    slope: float
    predicted: float
    low: float | None
    high: float | None
    direction: Direction


def grid(start: float, stop: float, cadence: timedelta) -> Floats:
    """The times, UNIX seconds, that a window is read at: from `stop` back to `start` at most."""
    step = cadence.total_seconds()
    count = max(2, math.floor((stop - start) / step) + 1)
    return stop - step * np.arange(count - 1, -1, -1, dtype=np.float64)


def is_thin(times: Sequence[float], stop: float) -> bool:
    """Whether observations at these times (UNIX seconds, ascending) carry no line until `stop`."""
    if len(times) < LEAST_POINTS:
        return True
    edges = np.array([stop - WINDOW.total_seconds(), *times, stop])
    return float(np.diff(edges).max()) > LARGEST_HOLE.total_seconds()


def align(times: Sequence[float], prices: Sequence[float], at: Floats) -> Floats:
    """The logarithm of a price read off at the times `at`: between two observations, in between."""
    return np.interp(at, times, np.log(prices))


def fit(at: Floats, logs: Floats) -> Floats:
    """Slopes per minute of lines through `logs` (a row a time in `at`, a column a coin)."""
    from sklearn.linear_model import LinearRegression  # two seconds of import

    minutes = ((at - at[-1]) / 60).reshape(-1, 1)
    model = LinearRegression().fit(minutes, logs)
    return np.asarray(model.coef_, dtype=np.float64).reshape(-1)


def radius(residuals: Floats) -> float | None:
    """Half the width of the band, in logarithms: the conformal quantile of absolute errors.

    None where fewer than LEAST_RESIDUALS are known.
    """
    known = len(residuals)
    if known < LEAST_RESIDUALS:
        return None
    rank = min(known, math.ceil((known + 1) * COVERAGE))
    return float(np.partition(np.abs(residuals), rank - 1)[rank - 1])


def forecast(price: float, slope: float, band: float | None) -> Forecast:
    """The forecast of one coin from its last price, its slope and the radius of its band."""
    move = slope * (HORIZON / timedelta(minutes=1))
    predicted = price * math.exp(move)
    if band is None:
        return Forecast(price, slope, predicted, None, None, "neutral")
    low, high = price * math.exp(move - band), price * math.exp(move + band)
    direction: Direction = "neutral"
    if low > price:
        direction = "bullish"
    elif high < price:
        direction = "bearish"
    return Forecast(price, slope, predicted, low, high, direction)
