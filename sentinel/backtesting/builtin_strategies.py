"""What the strategies that come along wish: for each point of a series, from that point and those
before it. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

from sentinel.analytics import forecast
from sentinel.analytics.alerts import AlertRules, Tracker
from sentinel.backtesting.portfolio import Portfolio
from sentinel.backtesting.price_series import Floats, Series

Parameters = Mapping[str, float]
Signal = Callable[[Series, float, Parameters], Floats]

HOUR = 3600.0
MINUTE = 60.0
ROUNDING = 1e-12  # of a mean; less is no difference
POINTS_OF_WINDOW = 13  # at which a window is read off
TOLERANCE = 0.3  # of the horizon, between it and the observation that a forecast is scored by


def _as_said(share: float, _purse: Portfolio) -> float:
    return share


def _nothing_amiss(_parameters: Parameters) -> str | None:
    return None


class BuiltIn(NamedTuple):
    """A strategy that comes along: what it does, its parameters' defaults, its signal, what is
    ordered for a value of that, whether it is the same whenever the strategy begins, and what is
    wrong with parameters that do not go together, in words."""

    does: str
    parameters: Parameters
    signal: Signal
    order: Callable[[float, Portfolio], float] = _as_said
    is_timeless: bool = True
    amiss: Callable[[Parameters], str | None] = _nothing_amiss


def hold(series: Series, _since: float, _parameters: Parameters) -> Floats:
    """Buy at once and hold."""
    return np.ones(len(series))


def dca(series: Series, since: float, parameters: Parameters) -> Floats:
    """Dollar-cost averaging: the share of the money that is to be spent by then, a part more each
    interval."""
    number = np.floor((series.times - since) / (parameters["hours"] * HOUR)) + 1
    return np.clip(number / round(parameters["parts"]), 0.0, 1.0)


def _up_to(target: float, purse: Portfolio) -> float:
    """What to spend of the cash for the share `target` of all money to be spent; so a part that
    could not be bought in time is bought later."""
    if target >= 1:
        return 1.0
    money = float(purse.cash + purse.spent)
    return max(0.0, target * money - float(purse.spent)) / float(purse.cash) if purse.cash else 0.0


def sma_cross(series: Series, _since: float, parameters: Parameters) -> Floats:
    """In while the mean of the last `fast` prices is above that of the last `slow` ones."""
    fast = _means(series.prices, round(parameters["fast"]))
    slow = _means(series.prices, round(parameters["slow"]))
    differ = np.abs(fast - slow) > ROUNDING * slow
    return np.where(differ, np.sign(np.nan_to_num(fast - slow)), 0.0)


def _crossed(parameters: Parameters) -> str | None:
    fast, slow = parameters["fast"], parameters["slow"]
    return f"fast {fast:g} must be smaller than slow {slow:g}" if fast >= slow else None


def _means(prices: Floats, window: int) -> Floats:
    """The mean of the last `window` prices at each point; NaN before there are so many. Each from
    its own prices alone: running sums would carry the errors of all before."""
    means = np.full(len(prices), np.nan)
    if window <= len(prices):
        means[window - 1 :] = np.convolve(prices, np.full(window, 1.0 / window), "valid")
    return means


def dip(series: Series, _since: float, parameters: Parameters) -> Floats:
    """Buy when the reversal tracker sees a rise from the session's low; sell `hours` later."""
    turns = _alerts(series, *(parameters[key] for key in _TRACKER))
    bought = [at for at, kind in turns if kind == "reversal"]
    last = _latest(series, bought)
    return np.where(series.times - last < parameters["hours"] * HOUR, 1.0, -1.0)


def trailing_stop(series: Series, _since: float, parameters: Parameters) -> Floats:
    """Hold until the panic tracker sees a fall from the session's high; back at a reversal."""
    turns = _alerts(series, *(parameters[key] for key in _TRACKER))
    out = _latest(series, [at for at, kind in turns if kind == "panic"])
    back = _latest(series, [at for at, kind in turns if kind == "reversal"])
    return np.where((out > -np.inf) & (out >= back), -1.0, 1.0)


def _upside_down(parameters: Parameters) -> str | None:
    floor, ceiling = parameters["floor"], parameters["ceiling"]
    return f"floor {floor:g} is above ceiling {ceiling:g}" if floor > ceiling else None


@functools.lru_cache(maxsize=16)
def _alerts(
    series: Series, k: float, session: float, floor: float, ceiling: float
) -> list[tuple[float, str]]:
    """What the monitor's tracker would have said, of observed prices. Remembered, because a sweep
    asks for the same with many other parameters."""
    rules = AlertRules(
        multiplier=k,
        window=timedelta(hours=session),
        horizon=timedelta(hours=24),
        volatility_half_life=timedelta(hours=72),
        min_threshold=floor,
        max_threshold=ceiling,
    )
    tracker = Tracker()
    times, prices = series.times[series.observed], series.prices[series.observed]
    return [
        (at, alert.kind)
        for at, price in zip(times.tolist(), prices.tolist(), strict=True)
        for alert in tracker.observe(at, price, rules)
    ]


def _latest(series: Series, moments: list[float]) -> Floats:
    """At each point the latest of `moments` until then; minus infinity before the first."""
    padded = np.array([-np.inf, *moments])
    return padded[np.searchsorted(padded, series.times, side="right") - 1]


def by_forecast(series: Series, _since: float, parameters: Parameters) -> Floats:
    """In when the monitor's forecast says bullish, out when it says bearish.

    The monitor fits an hour and looks ten minutes ahead; `minutes` stretches both, for prices that
    come more seldom: nine points in the window are needed, and no hole longer than a fifth of it.
    """
    window = parameters["minutes"] * MINUTE
    horizon = window * (forecast.HORIZON / forecast.WINDOW)
    hole = window * (forecast.MAX_GAP / forecast.WINDOW)
    times, prices = series.times[series.observed], series.prices[series.observed]
    signals = np.zeros(len(series))
    dense = _dense(times, window, hole)
    if not len(dense):
        return signals
    offsets = np.linspace(-window, 0.0, POINTS_OF_WINDOW)
    logs = np.log(prices)
    grid = np.interp(times[dense] + offsets[:, None], times, logs)
    slopes = forecast.fit_slopes(offsets, grid)
    moves = slopes * (horizon / MINUTE)
    shares = _directions(times, logs, dense, moves, horizon)
    signals[np.flatnonzero(series.observed)[dense]] = shares
    return signals


def _dense(times: Floats, window: float, hole: float) -> Any:
    """Places whose window is dense enough to carry a line."""
    places = np.arange(len(times))
    firsts = np.searchsorted(times, times - window)
    counts = places - firsts + 1
    pauses = np.diff(times, prepend=times[:1])
    # The latest pause that is too long must have ended before the window's first pause begins.
    broken = np.where(pauses > hole, places, -1)
    latest = np.maximum.accumulate(broken) if len(broken) else broken
    reaches = times[firsts] - (times - window) <= hole
    sound = (counts >= forecast.MIN_POINTS) & (latest <= firsts) & reaches
    return np.flatnonzero(sound)


def _directions(times: Floats, logs: Floats, dense: Any, moves: Floats, horizon: float) -> Floats:
    """1 bullish, -1 bearish, 0 neutral at each dense place: where the band of errors that were
    known by then, of a day, holds no change."""
    made = times[dense]
    tolerance = horizon * TOLERANCE
    nearest = _nearest(times, made + horizon)
    is_scored = np.abs(times[nearest] - (made + horizon)) <= tolerance
    errors = logs[nearest] - logs[dense] - moves
    # An error is known once nothing nearer to the horizon can come.
    known_at = made + horizon + tolerance
    found = np.zeros(len(dense))
    day = 24 * HOUR
    begins = np.searchsorted(made, made - day, side="right")
    ends = np.searchsorted(known_at, made, side="right")
    for n, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        residuals = errors[begin:end][is_scored[begin:end]]
        band = forecast.compute_interval_radius(residuals)
        if band is not None and abs(moves[n]) > band:
            found[n] = np.sign(moves[n])
    return found


def _nearest(times: Floats, wanted: Floats) -> Any:
    """Places of the times nearest to those wanted; of two alike the earlier."""
    after = np.clip(np.searchsorted(times, wanted), 1, max(len(times) - 1, 1))
    after = np.minimum(after, len(times) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(wanted - times[before] <= times[after] - wanted, before, after)


_TRACKER = {"k": 1.5, "session": 24.0, "floor": 0.01, "ceiling": 0.25}
BUILT_IN: Mapping[str, BuiltIn] = {
    "hold": BuiltIn("buy at once and hold", {}, hold),
    "dca": BuiltIn(
        "dollar-cost averaging: the cash in equal parts, one every so many hours",
        {"hours": 24.0, "parts": 30.0},
        dca,
        _up_to,
        is_timeless=False,
    ),
    "sma-cross": BuiltIn(
        "in while the mean of the last fast prices is above that of the last slow ones",
        {"fast": 12.0, "slow": 48.0},
        sma_cross,
        amiss=_crossed,
    ),
    "dip": BuiltIn(
        "buy the dip: in when the monitor's reversal tracker speaks, out so many hours later",
        {"hours": 24.0} | _TRACKER,
        dip,
        amiss=_upside_down,
    ),
    "trailing-stop": BuiltIn(
        "in, out when the monitor's panic tracker speaks, in again at a reversal",
        dict(_TRACKER),
        trailing_stop,
        amiss=_upside_down,
    ),
    "forecast": BuiltIn(
        "in when the monitor's forecast is bullish, out when it is bearish; its window is so many "
        "minutes, which must hold nine observations",
        {"minutes": 60.0},
        by_forecast,
    ),
}
