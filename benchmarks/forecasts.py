"""Forecast 500 coins: one fit for all coins, beside one fit per coin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
from sklearn.linear_model import LinearRegression

from benchmarks.results import Result
from benchmarks.scale import measure_median_seconds
from sentinel.analytics.forecast_band import PastChanges
from services.ingestion.forecast_storage import CoinHour
from services.ingestion.forecasting import forecast_all

COINS, SMOKE_COINS = 500, 20


def measure(is_smoke: bool) -> Iterator[Result]:
    coins = SMOKE_COINS if is_smoke else COINS
    for minutes in (1, 5):
        yield from _measure_interval(coins, minutes)


def _measure_interval(coins: int, minutes: int) -> Iterator[Result]:
    dice = np.random.default_rng(1)
    times = [-60.0 * minutes * n for n in reversed(range(60 // minutes + 1))]
    walks = 100 * np.exp(dice.normal(0, 0.001, (coins, len(times))).cumsum(axis=1))
    hours = {n: CoinHour(times, walk.tolist()) for n, walk in enumerate(walks)}
    day = np.abs(dice.normal(0, 0.002, 288))
    past = dict.fromkeys(hours, PastChanges(day, day + 0.001, 288, 57))
    cadence = timedelta(minutes=minutes)
    at, logs = np.array(times).reshape(-1, 1), np.log(walks).T
    floor = measure_median_seconds(lambda: LinearRegression().fit(at, logs), 50)
    taken = measure_median_seconds(lambda: forecast_all(hours, past, 0.0, cadence), 50)
    each = measure_median_seconds(
        lambda: [LinearRegression().fit(at, logs[:, n]) for n in range(coins)], 3
    )
    what = f"{coins} coins, a point every {minutes} min"
    yield Result(
        what, taken * 1e3, "ms", at_most=50, floor=floor * 1e3, note="the fit of all coins alone"
    )
    yield Result(f"{what}, a fit per coin", each * 1e3, "ms")
