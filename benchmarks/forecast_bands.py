"""The bands of forecasts: how often they hold the price in calm and in wild hours, and their score.

FORECAST_PRICES=FILE[:FILE] adds recorded series: responses of CoinGecko's `/market_chart` for one
day (JSON, a price about every five minutes) or price files (timestamp,coin_id,price). The files of
one coin that overlap are joined.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Result, Unavailable
from benchmarks.scale import measure_seconds
from sentinel.analytics import forecast_band
from sentinel.analytics.forecast import WINDOW
from sentinel.analytics.forecast_band import COVERAGE, HORIZON, Band, Floats
from sentinel.backtesting import price_csv
from services.ingestion.forecast_storage import SCORING_TOLERANCE

STEP_SECONDS = 300.0
DAYS, SMOKE_DAYS = 30, 2
SEEDS = (1, 2, 3)
# Of the GARCH(1,1) process: its constant, and the weights of the last change and variance.
OMEGA, ALPHA, BETA = 0.01, 0.05, 0.94
DEGREES_OF_FREEDOM = 3.5
# Standard deviation of a simulated change.
SCALE = 0.0015
MAX_DEVIATION, MAX_CLASS_DEVIATION = 0.03, 0.05


class Series(NamedTuple):
    """Prices of one coin."""

    name: str
    # UNIX seconds, ascending.
    times: Floats
    # Logarithms of the prices.
    logs: Floats


class Forecasts(NamedTuple):
    """What the forecasts of a series would have been; one element per forecast with a band."""

    volatilities: Floats
    # Absolute changes of the logarithm that came.
    changes: Floats
    bands: list[Band]


def measure(is_smoke: bool) -> Iterator[Result]:
    days = SMOKE_DAYS if is_smoke else DAYS
    simulated = [simulate(seed, days) for seed in SEEDS]
    for series in simulated:
        yield from _measure_series(series)
    for series in _read_recorded():
        yield from _measure_series(series)
    taken = measure_seconds(lambda: replay(simulated[0])) / len(simulated[0].times)
    yield Result("one band", taken * 1e6, "µs")


def simulate(seed: int, days: int) -> Series:
    """Return a GARCH(1,1) series with Student's t: fat tails and clusters of volatility."""
    dice = np.random.default_rng(seed)
    count = round(days * 86_400 / STEP_SECONDS)
    shocks = dice.standard_t(DEGREES_OF_FREEDOM, count)
    shocks /= math.sqrt(DEGREES_OF_FREEDOM / (DEGREES_OF_FREEDOM - 2))
    changes, variance = np.empty(count), 1.0
    for n in range(count):
        changes[n] = math.sqrt(variance) * shocks[n]
        variance = OMEGA + ALPHA * changes[n] ** 2 + BETA * variance
    name = f"GARCH, t({DEGREES_OF_FREEDOM}), {days} days, seed {seed}"
    return Series(
        name, STEP_SECONDS * np.arange(count, dtype=np.float64), SCALE * np.cumsum(changes)
    )


def replay(series: Series) -> Forecasts:
    """Return the forecasts that the monitor would have made, one after each price."""
    times, logs = series.times, series.logs
    horizon, tolerance = HORIZON.total_seconds(), SCORING_TOLERANCE.total_seconds()
    firsts = np.searchsorted(times, times - WINDOW.total_seconds(), side="right")
    made = np.flatnonzero(times - times[0] >= WINDOW.total_seconds())
    volatilities = forecast_band.compute_volatilities(times, logs, firsts[made], made, horizon)
    due = times[made] + horizon
    nearest = np.searchsorted((times[1:] + times[:-1]) / 2, due)
    is_scored = np.abs(times[nearest] - due) <= tolerance
    changes = np.where(is_scored, np.abs(logs[nearest] - logs[made]), np.nan)
    bands = forecast_band.replay_bands(times[made], due + tolerance, changes, volatilities)
    kept = [n for n, band in enumerate(bands) if band is not None and is_scored[n]]
    return Forecasts(volatilities[kept], changes[kept], [b for n in kept if (b := bands[n])])


def _measure_series(series: Series) -> Iterator[Result]:
    found = replay(series)
    if not found.bands:
        raise Unavailable(f"{series.name}: fewer than four hours of prices about 5 minutes apart")
    radii = np.array([band.radius for band in found.bands])
    classes = np.array([band.volatility_class for band in found.bands])
    is_within = found.changes <= radii
    thirds = np.argsort(np.argsort(found.volatilities)) * 3 // len(radii)
    yield _coverage(series.name, is_within, MAX_DEVIATION)
    for number, name in ((0, "calm"), (2, "wild")):
        what = f"{series.name}, {name}"
        yield _coverage(f"{what} by the day's thirds", is_within[classes == name])
        yield _coverage(f"{what} by the whole series' thirds", is_within[thirds == number])
    constant = np.array([band.constant_radius for band in found.bands])
    for name, width in (("the band", radii), ("a constant band", constant)):
        score = forecast_band.compute_interval_score(width, found.changes).mean()
        yield Result(f"{series.name}, interval score of {name}", 1e4 * float(score), "bp")


def _coverage(
    name: str, is_within: NDArray[np.bool_], deviation: float = MAX_CLASS_DEVIATION
) -> Result:
    low, high = 100 * (COVERAGE - deviation), 100 * (COVERAGE + deviation)
    held = 100 * float(is_within.mean())
    return Result(f"{name} ({len(is_within)})", held, "%", at_least=low, at_most=high)


def _read_recorded() -> Iterator[Series]:
    """Return the recorded series that the environment names."""
    found: dict[str, dict[float, float]] = {}
    for path in map(Path, filter(None, os.environ.get("FORECAST_PRICES", "").split(":"))):
        if path.suffix == ".json":
            rows = json.loads(path.read_text(encoding="utf-8"))["prices"]
            name = path.name.partition("_usd")[0]
            found.setdefault(name, {}).update((ms / 1000, price) for ms, price in rows)
        else:
            for coin_id, points in price_csv.read_points(path).items():
                found.setdefault(coin_id, {}).update(points)
    for name, prices in found.items():
        times = np.array(sorted(prices))
        yield Series(name, times, np.log([prices[at] for at in times.tolist()]))
