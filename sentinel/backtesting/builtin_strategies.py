"""The built-in strategies. Pure.

Each strategy computes a signal: one number for each point of a series, from that point and the
points before it. Above 0 it wants to buy, below 0 to sell.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

from sentinel.analytics import forecast
from sentinel.analytics.alerts import AlertRules, Tracker
from sentinel.analytics.forecast_band import HORIZON, compute_volatilities, replay_bands
from sentinel.backtesting.portfolio import Portfolio
from sentinel.backtesting.price_series import Floats, PriceSeries

Numbers = Mapping[str, float]
# (series, start of trading in UNIX seconds, parameters) -> one number for each point.
ComputeSignal = Callable[[PriceSeries, float, Numbers], Floats]

HOUR_SECONDS = 3600.0
MINUTE_SECONDS = 60.0
EPSILON = 1e-12  # two means closer than this share of them are equal
POINTS_OF_WINDOW = 13  # at which the forecast reads a window of prices
# An observation scores a forecast if it lies within this share of the horizon around its end.
SCORING_TOLERANCE = 0.3


def _accept(_parameters: Numbers) -> str | None:
    return None


class BuiltInStrategy(NamedTuple):
    """A built-in strategy."""

    description: str
    # The parameters with their defaults.
    parameters: Numbers
    compute_signal: ComputeSignal
    # Returns the share of cash or coins to order, from a number of the signal. None: the number.
    size_order: Callable[[float, Portfolio], float] | None = None
    # Whether the signal says how much to buy, not whether to.
    sizes: bool = False
    # Whether the signal is the same whenever trading starts. A sweep then computes it once.
    is_timeless: bool = True
    # Returns what is wrong with a combination of parameters, or None.
    validate: Callable[[Numbers], str | None] = _accept


def _compute_hold(series: PriceSeries, _start: float, _parameters: Numbers) -> Floats:
    """Buy at once and hold."""
    return np.ones(len(series))


def _compute_dca(series: PriceSeries, start: float, parameters: Numbers) -> Floats:
    """Return the share of all cash that should be spent by then; one more part each interval."""
    number = np.floor((series.times - start) / (parameters["hours"] * HOUR_SECONDS)) + 1
    return np.clip(number / round(parameters["parts"]), 0.0, 1.0)


def _spend_up_to(target: float, portfolio: Portfolio) -> float:
    """Return the share of the cash to spend until `target` of all cash is spent.

    A part whose fill was rejected is therefore bought later.
    """
    if target >= 1:
        return 1.0
    cash, spent = float(portfolio.cash), float(portfolio.cost_basis)
    total = float(portfolio.cash + portfolio.cost_basis)
    return max(0.0, target * total - spent) / cash if portfolio.cash else 0.0


def _compute_sma_cross(series: PriceSeries, _start: float, parameters: Numbers) -> Floats:
    """Return 1 while the mean of the last `fast` prices is above that of the last `slow` ones."""
    fast = _moving_average(series, round(parameters["fast"]))
    slow = _moving_average(series, round(parameters["slow"]))
    differ = np.abs(fast - slow) > EPSILON * slow
    return np.where(differ, np.sign(np.nan_to_num(fast - slow)), 0.0)


def _validate_averages(parameters: Numbers) -> str | None:
    fast, slow = parameters["fast"], parameters["slow"]
    return f"fast {fast:g} must be smaller than slow {slow:g}" if fast >= slow else None


def _moving_average(series: PriceSeries, window: int) -> Floats:
    """Return the mean of the last `window` prices at each point; NaN where there are fewer.

    Each mean uses its own prices only: running sums would carry the rounding errors of all earlier
    prices, which matters for a coin that has lost nearly everything.
    """
    means = np.full(len(series), np.nan)
    if window <= len(series):
        means[window - 1 :] = _sum_windows(series, window) / window
    return means


# Cached: the windows of a sweep's averages share most of their halves.
@functools.lru_cache(maxsize=64)
def _sum_windows(series: PriceSeries, window: int) -> Floats:
    """Return the sum of every `window` prices in a row, as the sum of its two halves.

    This takes few additions for a long window, and rounds the sum less often than one by one.
    """
    if window == 1:
        return series.prices
    half = window // 2
    first, second = _sum_windows(series, half), _sum_windows(series, window - half)
    count = len(series) - window + 1
    return first[:count] + second[half:]


def _compute_dip(series: PriceSeries, _start: float, parameters: Numbers) -> Floats:
    """Buy when the tracker reports a reversal; sell `hours` later."""
    alerts = _find_alerts(series, *(parameters[key] for key in TRACKER_PARAMETERS))
    latest = _latest_before(series, [at for at, kind in alerts if kind == "reversal"])
    return np.where(series.times - latest < parameters["hours"] * HOUR_SECONDS, 1.0, -1.0)


def _compute_trailing_stop(series: PriceSeries, _start: float, parameters: Numbers) -> Floats:
    """Hold until the tracker reports a panic; buy again at a reversal."""
    alerts = _find_alerts(series, *(parameters[key] for key in TRACKER_PARAMETERS))
    panic = _latest_before(series, [at for at, kind in alerts if kind == "panic"])
    reversal = _latest_before(series, [at for at, kind in alerts if kind == "reversal"])
    return np.where((panic > -np.inf) & (panic >= reversal), -1.0, 1.0)


def _validate_thresholds(parameters: Numbers) -> str | None:
    low, high = parameters["min_threshold"], parameters["max_threshold"]
    return f"min_threshold {low:g} is above max_threshold {high:g}" if low > high else None


# Cached: a sweep asks for the same alerts with many other parameters.
@functools.lru_cache(maxsize=16)
def _find_alerts(
    series: PriceSeries,
    multiplier: float,
    window_hours: float,
    min_threshold: float,
    max_threshold: float,
) -> list[tuple[float, str]]:
    """Return the alerts, as (UNIX seconds, kind), of the monitor's tracker on observed prices."""
    rules = AlertRules(
        multiplier=multiplier,
        window=timedelta(hours=window_hours),
        horizon=timedelta(hours=24),
        volatility_half_life=timedelta(hours=72),
        min_threshold=min_threshold,
        max_threshold=max_threshold,
    )
    tracker = Tracker()
    times, prices = series.times[series.is_observed], series.prices[series.is_observed]
    return [
        (at, alert.kind)
        for at, price in zip(times.tolist(), prices.tolist(), strict=True)
        for alert in tracker.observe(at, price, rules)
    ]


def _latest_before(series: PriceSeries, moments: list[float]) -> Floats:
    """Return the latest of `moments` at or before each point; minus infinity if there is none."""
    padded = np.array([-np.inf, *moments])
    return padded[np.searchsorted(padded, series.times, side="right") - 1]


def _compute_forecast(series: PriceSeries, _start: float, parameters: Numbers) -> Floats:
    """Return 1 where the monitor's forecast is bullish, -1 where it is bearish.

    The monitor fits one hour and looks ten minutes ahead. `minutes` scales both for sparser prices:
    the window needs nine points and no gap longer than a fifth of it.
    """
    window = parameters["minutes"] * MINUTE_SECONDS
    horizon = window * (HORIZON / forecast.WINDOW)
    max_gap = window * (forecast.MAX_GAP / forecast.WINDOW)
    times, prices = series.times[series.is_observed], series.prices[series.is_observed]
    signal = np.zeros(len(series))
    dense = _find_dense(times, window, max_gap)
    if not len(dense):
        return signal
    offsets = np.linspace(-window, 0.0, POINTS_OF_WINDOW)
    logs = np.log(prices)
    grid = np.interp(times[dense] + offsets[:, None], times, logs)
    slopes = forecast.fit_slopes(offsets, grid)
    moves = slopes * (horizon / MINUTE_SECONDS)
    firsts = np.searchsorted(times, times[dense] - window)
    volatilities = compute_volatilities(times, logs, firsts, dense, horizon)
    signal[np.flatnonzero(series.is_observed)[dense]] = _find_directions(
        times, logs, dense, moves, volatilities, horizon
    )
    return signal


def _find_dense(times: Floats, window: float, max_gap: float) -> Any:
    """Return the indices whose window holds enough points to fit a line."""
    indices = np.arange(len(times))
    firsts = np.searchsorted(times, times - window)
    counts = indices - firsts + 1
    pauses = np.diff(times, prepend=times[:1])
    # The latest gap must have ended before the first pause of the window begins.
    latest = np.maximum.accumulate(np.where(pauses > max_gap, indices, -1))
    is_covered = times[firsts] - (times - window) <= max_gap
    return np.flatnonzero((counts >= forecast.MIN_POINTS) & (latest <= firsts) & is_covered)


def _find_directions(
    times: Floats, logs: Floats, dense: Any, moves: Floats, volatilities: Floats, horizon: float
) -> Floats:
    """Return 1 (bullish), -1 (bearish) or 0 (neutral) at each dense index.

    A forecast is neutral while the line's move is small against the band. The band comes from the
    changes of the last day that were known by then.
    """
    made = times[dense]
    tolerance = horizon * SCORING_TOLERANCE
    # The observation nearest to the horizon; the earlier one of two equals.
    nearest = np.searchsorted((times[1:] + times[:-1]) / 2, made + horizon)
    is_scored = np.abs(times[nearest] - (made + horizon)) <= tolerance
    changes = np.where(is_scored, np.abs(logs[nearest] - logs[dense]), np.nan)
    # A change is known once no observation nearer to the horizon can follow.
    bands = replay_bands(made, made + horizon + tolerance, changes, volatilities)
    radii = np.array([math.inf if band is None else band.radius for band in bands])
    return np.where(np.abs(moves) > forecast.DIRECTION_SHARE * radii, np.sign(moves), 0.0)


TRACKER_PARAMETERS = {
    "multiplier": 1.5,
    "window_hours": 24.0,
    "min_threshold": 0.01,
    "max_threshold": 0.25,
}
BUILT_IN: Mapping[str, BuiltInStrategy] = {
    "hold": BuiltInStrategy("buy at once and hold", {}, _compute_hold),
    "dca": BuiltInStrategy(
        "dollar-cost averaging: spend the cash in equal parts, one every `hours`",
        {"hours": 24.0, "parts": 30.0},
        _compute_dca,
        _spend_up_to,
        sizes=True,
        is_timeless=False,
    ),
    "sma-cross": BuiltInStrategy(
        "hold while the mean of the last `fast` prices is above the mean of the last `slow` ones",
        {"fast": 12.0, "slow": 48.0},
        _compute_sma_cross,
        validate=_validate_averages,
    ),
    "dip": BuiltInStrategy(
        "buy the dip: buy when the monitor's tracker reports a reversal, sell `hours` later",
        {"hours": 24.0} | TRACKER_PARAMETERS,
        _compute_dip,
        validate=_validate_thresholds,
    ),
    "trailing-stop": BuiltInStrategy(
        "hold, sell when the monitor's tracker reports a panic, buy again at a reversal",
        dict(TRACKER_PARAMETERS),
        _compute_trailing_stop,
        validate=_validate_thresholds,
    ),
    "forecast": BuiltInStrategy(
        "buy when the monitor's forecast is bullish, sell when it is bearish; its window of "
        "`minutes` must hold nine observations",
        {"minutes": 60.0},
        _compute_forecast,
    ),
}
