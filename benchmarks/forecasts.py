"""Forecast 500 coins: one fit for all coins, beside one fit per coin."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from sklearn.linear_model import LinearRegression

from benchmarks.scale import measure_median_seconds, print_heading, print_result
from services.ingestion.forecast_storage import CoinHour
from services.ingestion.forecasting import forecast_all

COINS = 500


def main() -> None:
    print_heading(f"Forecast: {COINS} coins, the last 60 minutes")
    for minutes in (1, 5):
        _measure(minutes)


def _measure(minutes: int) -> None:
    dice = np.random.default_rng(1)
    times = [-60.0 * minutes * n for n in reversed(range(60 // minutes + 1))]
    walks = 100 * np.exp(dice.normal(0, 0.001, (COINS, len(times))).cumsum(axis=1))
    hours = {n: CoinHour(times, walk.tolist()) for n, walk in enumerate(walks)}
    radii: dict[int, float | None] = dict.fromkeys(hours, 0.002)
    cadence = timedelta(minutes=minutes)
    at, logs = np.array(times).reshape(-1, 1), np.log(walks).T
    floor = measure_median_seconds(lambda: LinearRegression().fit(at, logs), 50)
    taken = measure_median_seconds(lambda: forecast_all(hours, radii, 0.0, cadence), 50)
    each = measure_median_seconds(
        lambda: [LinearRegression().fit(at, logs[:, n]) for n in range(COINS)], 3
    )
    bound = f"under 50 ms; the fit alone {floor * 1e3:.1f}, one by one {each * 1e3:.0f} ms"
    what = f"forecast, a point every {minutes} min"
    print_result(what, f"{taken * 1e3:.1f} ms", bound, is_reached=taken < 0.05)
