"""The fixed percentage, the reference of every alert rule."""

from __future__ import annotations

import math
import random

import pytest

from sentinel.analytics.calibration import Series, length_weeks
from sentinel.analytics.falls import score
from sentinel.analytics.fixed_percentage import (
    judge_percentages,
    match_percentages,
    replay_percentage,
)


def hourly(*prices: float) -> list[tuple[float, float]]:
    return [(n * 3600.0, price) for n, price in enumerate(prices)]


def kinds(series: Series, percentage: float) -> list[tuple[str, int]]:
    return [(alert.kind, int(alert.at / 3600)) for alert in replay_percentage(series, percentage)]


def random_walk(seed: int, days: int, sigma: float = 0.01) -> list[tuple[float, float]]:
    dice, price, walk = random.Random(seed), 100.0, []
    for n in range(days * 24):
        price *= math.exp(dice.gauss(0, sigma))
        walk.append((n * 3600.0, price))
    return walk


def test_a_kind_stays_silent_until_half_of_its_move_is_regained() -> None:
    assert kinds(hourly(100, 94.9, 90, 93, 89), 0.05) == [("panic", 1)]
    regained = hourly(100, 94, 90, 95, 94, 89)
    assert kinds(regained, 0.06) == [("panic", 1), ("panic", 5)]


def test_the_other_kind_ends_the_silence_and_starts_the_marks_anew() -> None:
    series = hourly(100, 95, 99.75, 95.5, 94.7)
    assert kinds(series, 0.05) == [("panic", 1), ("reversal", 2), ("panic", 4)]


def test_a_maximum_expires_after_a_day() -> None:
    assert kinds(hourly(100, *[97] * 24, 94.9), 0.05) == []
    assert kinds(hourly(100, *[97] * 23, 94.9), 0.05) == [("panic", 24)]


def test_after_a_gap_the_last_price_is_the_reference() -> None:
    [alert] = replay_percentage([(0.0, 100.0), (27 * 3600.0, 94.0)], 0.05)
    assert (alert.kind, alert.reference_usd) == ("panic", 100.0)


def rate(series: Series, percentage: float) -> float:
    return len(replay_percentage(series, percentage)) / length_weeks(series)


def test_each_coin_gets_a_percentage_of_its_own_for_the_rate() -> None:
    fit = {"calm": random_walk(1, 40, 0.003), "wild": random_walk(2, 40, 0.02)}
    found = match_percentages(fit, {**fit, "new": hourly(100, 101)}, 2.0)
    for coin, series in fit.items():
        assert rate(series, found[coin]) == pytest.approx(2, rel=0.2)
    assert found["calm"] < found["new"] < found["wild"], "a new coin gets the common percentage"


def test_the_percentages_are_scaled_until_the_rate_on_the_judged_history_matches() -> None:
    calm = {"coin": random_walk(1, 40, 0.003)}
    wild = {"coin": random_walk(2, 40, 0.01)}
    assert rate(wild["coin"], match_percentages(calm, calm, 2.0)["coin"]) > 4
    found = judge_percentages(calm, wild, 2.0)["coin"]
    assert found.score.alerts_per_coin_week == pytest.approx(2, rel=0.2)
    assert found.score == score(wild["coin"], replay_percentage(wild["coin"], found.percentage))
