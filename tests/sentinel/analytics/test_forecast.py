"""The straight line and its band, and what the scoreboard says of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pytest

from sentinel.analytics import forecast
from sentinel.analytics.forecast_band import (
    COVERAGE,
    MIN_CHANGES,
    MIN_VOLATILITY,
    Band,
    Floats,
    PastChanges,
    compute_band,
    compute_interval_score,
    compute_volatilities,
    replay_bands,
)
from sentinel.analytics.forecast_scores import ScoreSums
from services.api.schemas.forecasts import ForecastScoreResponse, score_forecasts
from services.ingestion.forecast_storage import CoinHour
from services.ingestion.forecasting import forecast_all

CADENCE = timedelta(minutes=5)
STEP, POINTS, AHEAD = 300.0, 13, 2


def _hour(stop: float, price: Callable[[float], float]) -> CoinHour:
    times = [stop - STEP * n for n in reversed(range(POINTS))]
    return CoinHour(times, [price(at) for at in times])


def _past(change: float, count: int = 100) -> PastChanges:
    """Return changes of one size, made at one volatility, whose bands kept their promise."""
    same = np.full(count, change)
    return PastChanges(same, same, count, round(count * (1 - COVERAGE)))


def test_a_straight_trend_is_carried_on_and_the_band_surrounds_the_price() -> None:
    hour = _hour(0.0, lambda at: 100 * math.exp(0.0001 * at / 60))
    [found] = forecast_all({7: hour}, {7: _past(0.0005)}, 0.0, CADENCE).values()
    assert found.slope_per_minute == pytest.approx(0.0001)
    assert found.predicted_usd == pytest.approx(100 * math.exp(0.001))
    assert found.low_usd is not None
    assert found.high_usd is not None
    assert found.low_usd * found.high_usd == pytest.approx(100.0**2)


def test_a_line_that_moves_less_than_half_the_band_is_neutral_and_so_is_no_band() -> None:
    directions = [
        forecast.find_direction(100.0, 100 * math.exp(move), 0.002)
        for move in (0.0011, 0.0009, -0.0009, -0.0011)
    ]
    assert directions == ["bullish", "neutral", "neutral", "bearish"]
    assert forecast.find_direction(100.0, 100 * math.exp(1e-18), 0.0) == "neutral"
    assert forecast.make_forecast(100.0, 0.01, 0.001, None).direction == "neutral"


def test_all_coins_are_fitted_at_once_and_each_as_if_alone() -> None:
    dice = np.random.default_rng(5)
    hours = {
        key: _hour(0.0, lambda at, s=slope: 50 * math.exp(s * at / 60) + dice.normal(0, 0.001))  # type: ignore[misc]
        for key, slope in enumerate((0.0002, -0.0001, 0.0))
    }
    together = forecast_all(hours, {}, 0.0, CADENCE)
    for key, hour in hours.items():
        assert forecast_all({key: hour}, {}, 0.0, CADENCE)[key].slope_per_minute == pytest.approx(
            together[key].slope_per_minute, abs=1e-12
        )


@pytest.mark.parametrize("lost", [range(5), range(4, 7), range(10, 13), range(0, 13, 2)], ids=str)
def test_a_thin_window_is_refused(lost: range) -> None:
    whole = _hour(0.0, lambda _: 1.0)
    kept = [n for n in range(POINTS) if n not in lost]
    thin = CoinHour([whole.times[n] for n in kept], [1.0] * len(kept))
    assert set(forecast_all({1: whole, 2: thin}, {}, 0.0, CADENCE)) == {1}


def test_one_missing_observation_is_borne() -> None:
    whole = _hour(0.0, lambda at: 100 * math.exp(0.0001 * at / 60))
    kept = [n for n in range(POINTS) if n != 6]
    [found] = forecast_all(
        {1: CoinHour([whole.times[n] for n in kept], [whole.prices_usd[n] for n in kept])},
        {},
        0.0,
        CADENCE,
    ).values()
    assert found.slope_per_minute == pytest.approx(0.0001, rel=0.01)


def test_few_changes_give_no_band() -> None:
    assert compute_band(_past(0.001, MIN_CHANGES - 1), 0.001) is None
    assert compute_band(_past(0.001, MIN_CHANGES), 0.001) is not None


def test_the_constant_band_is_the_conformal_quantile_of_the_changes() -> None:
    changes = np.arange(1, 100) / 1000
    band = compute_band(PastChanges(changes, np.full(99, 0.01), 0, 0), 0.01)
    assert band is not None
    assert band.constant_radius == pytest.approx(0.080)


def test_the_band_grows_with_the_volatility_of_the_hour_and_with_the_misses_of_the_day() -> None:
    dice = np.random.default_rng(1)
    volatilities = np.repeat([0.001, 0.002, 0.004], 96)
    day = PastChanges(np.abs(dice.normal(0, volatilities)), volatilities, 288, 58)
    bands = [compute_band(day, volatility) for volatility in (0.0005, 0.002, 0.008)]
    assert [band and band.volatility_class for band in bands] == ["calm", "middle", "wild"]
    calm, middle, wild = (band.radius for band in bands if band)
    assert calm < 0.7 * middle < 0.35 * wild
    too_narrow = compute_band(day._replace(missed=100), 0.002)
    assert too_narrow is not None
    assert too_narrow.radius > middle


def test_a_coin_whose_price_stands_still_has_a_band_and_no_direction() -> None:
    hour = _hour(0.0, lambda _: 1.0)
    [found] = forecast_all(
        {1: hour}, {1: _past(0.0)._replace(volatilities=np.full(100, 1e-6))}, 0.0, CADENCE
    ).values()
    assert (found.volatility, found.volatility_class) == (MIN_VOLATILITY, "middle")
    assert (found.low_usd, found.high_usd, found.direction) == (1.0, 1.0, "neutral")


def test_volatility_does_not_depend_on_the_pauses_between_prices() -> None:
    """A random walk has the same volatility if prices are missing."""
    dice = np.random.default_rng(2)
    logs = dice.normal(0, 0.001, 20_000).cumsum()
    times = STEP * np.arange(20_000, dtype=np.float64)
    kept = np.sort(dice.choice(20_000, 9_000, replace=False))
    [whole] = compute_volatilities(times, logs, [0], [-1], 600.0)
    [thin] = compute_volatilities(times[kept], logs[kept], [0], [-1], 600.0)
    assert whole == pytest.approx(0.001 * math.sqrt(2), rel=0.03)
    assert thin == pytest.approx(whole, rel=0.03)


class _Replay(NamedTuple):
    """The forecasts of a walk that had a band."""

    # Numbers of the points at which they were made.
    made: list[int]
    changes: Floats
    volatilities: Floats
    bands: list[Band]


def _replay(walk: Floats) -> _Replay:
    """Replay the bands along a walk of logarithms in 5-minute steps."""
    times = STEP * np.arange(len(walk), dtype=np.float64)
    made = np.arange(POINTS, len(walk) - AHEAD)
    changes = np.abs(walk[made + AHEAD] - walk[made])
    volatilities = compute_volatilities(times, walk, made - POINTS + 1, made, 600.0)
    bands = replay_bands(times[made], times[made + AHEAD], changes, volatilities)
    kept = [n for n, band in enumerate(bands) if band is not None]
    return _Replay(
        made[kept].tolist(),
        changes[kept],
        volatilities[kept],
        [band for band in bands if band is not None],
    )


def _simulate_clusters(count: int) -> Floats:
    """Return a GARCH(1,1) walk with fat tails: Student's t with 3.5 degrees of freedom."""
    shocks = np.random.default_rng(3).standard_t(3.5, count) * math.sqrt(1.5 / 3.5)
    changes, variance = np.empty(count), 1.0
    for n, shock in enumerate(shocks.tolist()):
        changes[n] = 0.0015 * math.sqrt(variance) * shock
        variance = 0.01 + 0.05 * variance * shock**2 + 0.94 * variance
    return changes.cumsum()


def test_the_band_keeps_its_promise_in_calm_and_wild_hours_and_a_constant_one_does_not() -> None:
    found = _replay(_simulate_clusters(2500))
    thirds = np.argsort(np.argsort(found.volatilities)) * 3 // len(found.bands)
    classes = np.array([band.volatility_class for band in found.bands])
    radii = np.array([band.radius for band in found.bands])
    constant = np.array([band.constant_radius for band in found.bands])
    is_within = found.changes <= radii
    assert is_within.mean() == pytest.approx(COVERAGE, abs=0.03)
    for number, name in ((0, "calm"), (2, "wild")):
        assert is_within[thirds == number].mean() == pytest.approx(COVERAGE, abs=0.05)
        assert is_within[classes == name].mean() == pytest.approx(COVERAGE, abs=0.05)
    assert (found.changes <= constant)[thirds == 2].mean() < COVERAGE - 0.05
    scores = [compute_interval_score(width, found.changes).mean() for width in (radii, constant)]
    assert scores[0] < scores[1]


def _score(walk: Floats) -> ForecastScoreResponse:
    """Score the lines of a walk; one fit covers all windows, because each fit takes a while."""
    windows = np.lib.stride_tricks.sliding_window_view(walk, POINTS).T
    slopes = forecast.fit_slopes(STEP * np.arange(POINTS, dtype=np.float64), windows)
    found = _replay(walk)
    sums = ScoreSums(0.0, 0.0, 0, 0, 0, 0, 0)
    for made, change, band in zip(found.made, found.changes, found.bands, strict=True):
        slope = float(slopes[made - POINTS + 1])
        one = forecast.make_forecast(math.exp(walk[made]), slope, 0.001, band)
        rise = walk[made + AHEAD] - walk[made]
        is_hit = {"bullish": rise > 0, "bearish": rise < 0, "neutral": False}[one.direction]
        sums = sums._replace(
            abs_error=sums.abs_error + abs(rise - slope * 10),
            abs_no_change=sums.abs_no_change + change,
            scored=sums.scored + 1,
            directional=sums.directional + (one.direction != "neutral"),
            hits=sums.hits + is_hit,
        )
    return score_forecasts(24, sums)


def test_on_a_random_walk_the_scoreboard_says_no_edge_for_line_and_directions() -> None:
    score = _score(np.random.default_rng(3).normal(0, 0.002, 2000).cumsum())
    assert (score.result, score.direction_result) == ("no edge", "no edge")
    assert score.mase is not None
    assert score.mase > 1


def test_on_a_straight_trend_mase_is_far_below_one_and_each_direction_is_right() -> None:
    dice = np.random.default_rng(3)
    score = _score(np.arange(1000) * 0.001 + dice.normal(0, 0.0001, 1000))
    assert score.mase is not None
    assert score.mase < 0.2
    assert (score.result, score.direction_result, score.hit_rate) == ("edge", "edge", 1.0)


def test_few_scored_forecasts_are_too_early_to_judge() -> None:
    early = score_forecasts(24, ScoreSums(0.1, 1.0, 99, 99, 99, 0, 0))
    assert (early.result, early.direction_result) == ("too early", "too early")
    assert score_forecasts(24, ScoreSums(0.1, 1.0, 100, 0, 0, 0, 0)).result == "edge"
    assert score_forecasts(24, ScoreSums(0.0, 0.0, 500, 0, 0, 0, 0)).result == "too early"


def test_directions_need_clearly_more_hits_than_coin_tosses() -> None:
    results = [
        score_forecasts(24, ScoreSums(1.0, 1.0, 400, 400, hits, 0, 0)).direction_result
        for hits in (180, 220, 231)
    ]
    assert results == ["no edge", "no edge", "edge"]


def test_without_classified_forecasts_scores_of_the_band_are_unknown() -> None:
    old = score_forecasts(24, ScoreSums(1.0, 1.0, 400, 0, 0, 300, 240))
    assert (old.coverage, old.calm.coverage, old.wild.forecasts) == (0.8, None, 0)
    assert old.interval_score is old.no_change_interval_score is None
