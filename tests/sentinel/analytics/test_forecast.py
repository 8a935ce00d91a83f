"""The straight line and its band, and what the scoreboard says of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from sentinel.analytics import forecast
from sentinel.analytics.forecast import Floats
from services.api.schemas.forecasts import ForecastScoreResponse, score_forecasts
from services.ingestion.forecast_storage import CoinHour
from services.ingestion.forecasting import forecast_all

CADENCE = timedelta(minutes=5)
STEP, POINTS, AHEAD = 300.0, 13, 2


def _hour(stop: float, price: Callable[[float], float]) -> CoinHour:
    times = [stop - STEP * n for n in reversed(range(POINTS))]
    return CoinHour(times, [price(at) for at in times])


def test_a_straight_trend_is_carried_on() -> None:
    hour = _hour(0.0, lambda at: 100 * math.exp(0.0001 * at / 60))
    [found] = forecast_all({7: hour}, {7: 0.0001}, 0.0, CADENCE).values()
    assert found.slope_per_minute == pytest.approx(0.0001)
    assert found.predicted_usd == pytest.approx(100 * math.exp(0.001))
    assert found.direction == "bullish"
    assert found.low_usd is not None
    assert found.low_usd < found.predicted_usd


def test_a_band_that_holds_no_change_is_neutral_and_so_is_none() -> None:
    hour = _hour(0.0, lambda at: 100 * math.exp(-0.0001 * at / 60))
    directions = [
        forecast_all({7: hour}, {7: band}, 0.0, CADENCE)[7].direction
        for band in (0.0005, 0.002, None)
    ]
    assert directions == ["bearish", "neutral", "neutral"]


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


def test_the_band_is_the_conformal_quantile_of_known_errors() -> None:
    errors = np.arange(1, 100) / 1000.0
    assert forecast.compute_interval_radius(
        errors * np.where(errors > 0.05, -1, 1)
    ) == pytest.approx(0.080)
    assert forecast.compute_interval_radius(errors[: forecast.MIN_RESIDUALS - 1]) is None


def _simulate(walk: np.ndarray[tuple[int], np.dtype[np.float64]]) -> ForecastScoreResponse:
    """Forecast along a walk of logarithms in 5-minute steps, each scored when its time has come.

    One fit covers all windows of the walk, because a fit for each would take most of the time.
    """
    windows = np.lib.stride_tricks.sliding_window_view(walk, POINTS).T
    slopes = forecast.fit_slopes(STEP * np.arange(POINTS, dtype=np.float64), windows)
    errors: list[float] = []
    made: list[tuple[float, float, float | None, float | None, str]] = []
    sums = [0.0, 0.0, 0, 0, 0, 0, 0]
    prices = np.exp(walk)
    for n in range(POINTS, len(walk)):
        if len(made) > AHEAD:
            price, predicted, low, high, direction = made[-AHEAD]
            error = math.log(prices[n] / predicted)
            errors.append(error)
            sums[0] += abs(error)
            sums[1] += abs(math.log(prices[n] / price))
            sums[2] += 1
            sums[3] += direction != "neutral"
            sums[4] += (direction == "bullish" and prices[n] > price) or (
                direction == "bearish" and prices[n] < price
            )
            sums[5] += low is not None
            sums[6] += low is not None and high is not None and low <= prices[n] <= high
        stop = n * STEP
        hour = _hour(stop, lambda at: float(prices[round(at / STEP)]))
        band = forecast.compute_interval_radius(np.asarray(errors[-288:]))
        window = n - POINTS + 1

        def take_slope(_at: Floats, logs: Floats, window: int = window) -> Floats:
            assert np.allclose(logs[:, 0], windows[:, window])
            return slopes[[window]]

        one = forecast_all({1: hour}, {1: band}, stop, CADENCE, take_slope)[1]
        made.append((one.price_usd, one.predicted_usd, one.low_usd, one.high_usd, one.direction))
    return score_forecasts(24, *sums)  # type: ignore[arg-type]


@pytest.mark.slow
def test_on_a_random_walk_the_scoreboard_says_no_edge_and_the_band_keeps_its_promise() -> None:
    dice = np.random.default_rng(3)
    score = _simulate(dice.normal(0, 0.002, 4000).cumsum())
    assert score.result == "no edge"
    assert score.mase is not None
    assert score.mase > 1
    assert score.coverage == pytest.approx(0.80, abs=0.03)


def test_on_a_straight_trend_mase_is_far_below_one() -> None:
    dice = np.random.default_rng(3)
    score = _simulate(np.arange(1500) * 0.001 + dice.normal(0, 0.0001, 1500))
    assert score.mase is not None
    assert score.mase < 0.2
    assert score.result == "edge"
    assert score.hit_rate == 1.0


def test_few_scored_forecasts_are_too_early_to_judge() -> None:
    assert score_forecasts(24, 0.1, 1.0, 99, 0, 0, 0, 0).result == "too early"
    assert score_forecasts(24, 0.1, 1.0, 100, 0, 0, 0, 0).result == "edge"
    assert score_forecasts(24, 0.0, 0.0, 500, 0, 0, 0, 0).result == "too early"
