"""The 80 % band of a forecast, which is wider after a wild hour. Pure.

The band surrounds the current price. Its radius is a quantile of the last day's absolute changes,
each divided by the volatility when its forecast was made, times the current volatility:
locally-weighted split conformal prediction (Lei et al. 2018, section 5.2,
https://arxiv.org/abs/1604.04173). Three refinements keep the promise in calm and in wild hours:

- An hour has few prices. Its volatility is averaged with the mean volatility of the day. The mean
  is also the floor: an hour without any change counts half of it.
- Only the half of the changes counts whose volatility was nearest to the current one (localized
  conformal prediction, Guan 2023, https://arxiv.org/abs/2106.08460).
- The quantile's level rises if the last day's bands missed more often than promised, and falls if
  they missed less often (adaptive conformal inference, Gibbs & Candes 2021,
  https://arxiv.org/abs/2106.00170).

All changes are of the natural logarithm of the price, so that coins are comparable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = Sequence[int] | NDArray[np.integer[Any]]
VolatilityClass = Literal["calm", "middle", "wild"]

HORIZON = timedelta(minutes=10)
COVERAGE = 0.8  # share of the later prices that the band should contain
CHANGE_PERIOD = timedelta(days=1)  # the changes that the band is made from
MIN_CHANGES = 30  # with fewer known changes there is no band
NEAREST_SHARE = 0.5  # of the changes, those whose volatility was nearest to the current one
# The level of the quantile rises by so many times the coverage that the last day's bands lacked. As
# many forecasts with the promised coverage are added to the day, because few say little.
LEVEL_GAIN, ADDED_FORECASTS = 1.5, 50
MIN_LEVEL, MAX_LEVEL = 0.6, 0.98
# The volatility of an hour without any change: a hundredth of a basis point.
MIN_VOLATILITY = 1e-6


class PastChanges(NamedTuple):
    """The scored forecasts of one coin's last day."""

    # Absolute changes of the price's logarithm from each forecast until it was due.
    changes: Floats
    # The volatility when each forecast was made.
    volatilities: Floats
    # Forecasts with a band, and those whose band did not hold the price.
    with_band: int
    missed: int


class Band(NamedTuple):
    """The band of one forecast, in logarithms of the price."""

    radius: float
    # Of a band that does not depend on volatility, for comparison: the plain quantile.
    constant_radius: float
    # The third of the day's volatilities that the current one belongs to.
    volatility_class: VolatilityClass


def compute_band(past: PastChanges, volatility: float) -> Band | None:
    """Return the band at a volatility; None with fewer than MIN_CHANGES changes."""
    known = len(past.changes)
    if known < MIN_CHANGES:
        return None
    average = past.volatilities.mean()
    scales, scale = (past.volatilities + average) / 2, (volatility + average) / 2
    count = max(MIN_CHANGES, math.ceil(known * NEAREST_SHARE))
    nearest = np.argpartition(np.abs(np.log(scales / scale)), count - 1)[:count]
    level = _compute_level(past.with_band, past.missed)
    return Band(
        radius=scale * _compute_quantile(past.changes[nearest] / scales[nearest], level),
        constant_radius=_compute_quantile(past.changes, COVERAGE),
        volatility_class=_classify(past.volatilities, volatility),
    )


def compute_volatilities(
    times: Floats, logs: Floats, firsts: Indices, lasts: Indices, horizon: float
) -> Floats:
    """Return the volatility between pairs of observations, at least MIN_VOLATILITY.

    It is the root mean square change of the price's logarithm within `horizon` seconds. `times`
    are UNIX seconds of observations, `logs` the logarithms of their prices; `firsts` and `lasts`
    are their numbers. The steps may differ in length.
    """
    squares = np.concatenate([[0.0], np.cumsum(np.diff(logs) ** 2)])
    seconds = np.maximum(times[lasts] - times[firsts], 1.0)
    variances = (squares[lasts] - squares[firsts]) / seconds * horizon
    return np.asarray(np.maximum(np.sqrt(np.maximum(variances, 0.0)), MIN_VOLATILITY))


def compute_interval_score(radius: Floats, changes: Floats) -> Floats:
    """Return the interval score of bands around the price: width plus a penalty for each miss.

    Gneiting & Raftery 2007, equation 43, https://doi.org/10.1198/016214506000001437. A lower score
    is better. `changes` are the absolute changes of the price's logarithm that came.
    """
    return 2 * radius + 2 / (1 - COVERAGE) * np.maximum(changes - radius, 0.0)


def replay_bands(
    made_at: Floats, known_at: Floats, changes: Floats, volatilities: Floats
) -> list[Band | None]:
    """Return the band of each forecast of one coin, from the changes that were known by then.

    The arrays hold one element per forecast: ascending UNIX seconds when it was made and when its
    change was known, the absolute change (NaN if no price was observed), the volatility.
    """
    bands: list[Band | None] = []
    radii = np.full(len(changes), np.nan)
    starts = np.searchsorted(made_at, made_at - CHANGE_PERIOD.total_seconds(), side="right")
    stops = np.searchsorted(known_at, made_at, side="right")
    for n, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        known = start + np.flatnonzero(np.isfinite(changes[start:stop]))
        came, allowed = changes[known], radii[known]
        with_band, missed = np.isfinite(allowed).sum(), (came > allowed).sum()
        past = PastChanges(came, volatilities[known], int(with_band), int(missed))
        band = compute_band(past, float(volatilities[n]))
        bands.append(band)
        if band is not None:
            radii[n] = band.radius
    return bands


def _compute_level(with_band: int, missed: int) -> float:
    """Return the level of the quantile, given how many of the last day's bands missed."""
    lacking = (missed - (1 - COVERAGE) * with_band) / (with_band + ADDED_FORECASTS)
    level = COVERAGE + LEVEL_GAIN * lacking
    return min(MAX_LEVEL, max(MIN_LEVEL, level))


def _compute_quantile(changes: Floats, level: float) -> float:
    """Return the quantile of split conformal prediction, corrected for few changes."""
    rank = min(len(changes), math.ceil((len(changes) + 1) * level))
    return float(np.partition(changes, rank - 1)[rank - 1])


def _classify(volatilities: Floats, volatility: float) -> VolatilityClass:
    """Return the third of `volatilities` that `volatility` lies in, the middle if all are equal."""
    third = len(volatilities) / 3
    if np.count_nonzero(volatilities <= volatility) < third:
        return "calm"
    return "wild" if np.count_nonzero(volatilities < volatility) > 2 * third else "middle"
