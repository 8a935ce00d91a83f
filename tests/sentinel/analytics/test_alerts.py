"""The trackers: what they announce, how calm they are, and that nothing is forgotten."""

from __future__ import annotations

import dataclasses
import math
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.analytics import calibration
from sentinel.analytics.alerts import TRACKER_JSON, AlertRules, Tracker
from sentinel.analytics.crossings import Alert

MINUTE = 60.0
DAY = 86_400.0
# A threshold of exactly five per cent, whatever the prices do.
FIVE = AlertRules(
    multiplier=1.0,
    window=timedelta(hours=24),
    horizon=timedelta(hours=24),
    volatility_half_life=timedelta(hours=72),
    min_threshold=0.05,
    max_threshold=0.05,
)
OWN = dataclasses.replace(FIVE, multiplier=1.5, min_threshold=0.005, max_threshold=0.5)


def fed(
    prices: list[float], rules: AlertRules = FIVE, *, every: float = 5 * MINUTE, start: float = 0.0
) -> list[Alert]:
    tracker = Tracker()
    return [
        alert
        for n, price in enumerate(prices)
        for alert in tracker.observe(start + n * every, price, rules)
    ]


def said(prices: list[float], rules: AlertRules = FIVE) -> list[tuple[str, float, int]]:
    return [(alert.kind, alert.price_usd, alert.level) for alert in fed(prices, rules)]


def test_a_fall_of_the_threshold_that_holds_for_two_observations_is_a_panic() -> None:
    [alert] = fed([100, 101, 95.5, 95.4])
    assert alert.kind == "panic"
    assert (alert.reference_usd, alert.reference_at, alert.at) == (101, 300, 900)
    assert alert.move == pytest.approx(95.4 / 101 - 1)
    assert alert.threshold == 0.05


def test_a_rise_of_the_threshold_from_the_low_is_a_reversal() -> None:
    assert said([100, 99, 104.1, 104.2]) == [("reversal", 104.2, 1)]


def test_a_crossing_that_does_not_hold_is_not_announced() -> None:
    assert said([100, 94.9, 97, 94.9, 97]) == []


def test_a_crossing_of_two_thresholds_goes_at_once() -> None:
    assert said([100, 89]) == [("panic", 89, 1)]


def test_after_an_alert_the_kind_is_silent_until_a_further_full_threshold() -> None:
    assert said([100, 94, 94, 93, 92, 91, 90, 89.1, 88.9]) == [("panic", 94, 1), ("panic", 88.9, 2)]


def test_each_further_alert_level_is_its_own_message() -> None:
    assert [step for _, _, step in said([100, 94, 94, 88, 82, 76])] == [1, 2, 3, 4]


def test_the_opposite_turn_ends_the_silence_of_a_kind() -> None:
    prices = [100, 94, 94, 99, 99, 93.9, 93.9]
    assert said(prices) == [("panic", 94, 1), ("reversal", 99, 1), ("panic", 93.9, 1)]


def test_a_recovery_from_a_crash_is_a_reversal_and_no_panic() -> None:
    crash = [100, 94, 94, 88, 88, 82, 82, 78, 78]
    assert said([*crash, 82.5, 82.6, 83])[3:] == [("reversal", 82.6, 1)]
    rise = [100, 106, 106, 113, 120, 128, 128]
    assert said([*rise, 121, 121])[-1] == ("panic", 121, 1)


@given(st.lists(st.floats(0.9, 1.1), max_size=80))
def test_no_panic_is_called_while_the_price_is_up_since_the_last(factors: list[float]) -> None:
    tracker, price, low = Tracker(), 100.0, math.inf
    for n, factor in enumerate(factors):
        price *= factor
        # Only lows behind a panic count: a dip that did not hold was none.
        low = min(low, price) if math.isfinite(low) else low
        kinds = [alert.kind for alert in tracker.observe(n * 300.0, price, FIVE)]
        if "reversal" in kinds:
            low = math.inf
        elif "panic" in kinds:
            assert price < low * 1.05
            low = price


def test_a_stale_recovery_ends_what_was_waiting_for_its_second_observation() -> None:
    tracker = Tracker()
    for n, (price, may_alert) in enumerate(
        [(100, True), (94.9, True), (99, False), (94.9, True), (99, True)]
    ):
        assert tracker.observe(n * 300.0, price, FIVE, may_alert=may_alert) == []


def test_observations_that_may_not_alert_leave_the_multiplier_unchanged() -> None:
    rules, tracker = dataclasses.replace(OWN, target_rate=2.0), Tracker()
    for n in range(100):
        tracker.observe(n * 3600.0, 100, rules, may_alert=False)
    assert tracker.adjustment == 0.0


def test_a_slow_turn_over_several_windows_ends_the_silence_too() -> None:
    tracker = Tracker()
    slowly = [100, 94, 94, *(94 + n * 0.02 for n in range(600))]
    alerts = [a for n, p in enumerate(slowly) for a in tracker.observe(n * 3600.0, p, FIVE)]
    assert [alert.kind for alert in alerts] == ["panic"]
    top = slowly[-1]
    later = [tracker.observe((600 + n) * 3600.0, top * 0.94, FIVE) for n in (10, 11)]
    assert [alert.kind for found in later for alert in found] == ["panic"]


def test_a_mark_older_than_the_window_has_expired() -> None:
    slide = [100 * (1 - 0.0008) ** n for n in range(400)]  # 2 % a day
    assert fed(slide, every=3600.0) == []
    assert fed(slide, dataclasses.replace(FIVE, window=timedelta(days=7)), every=3600.0)


def test_a_stale_observation_moves_the_marks_and_sends_no_alert() -> None:
    tracker = Tracker()
    tracker.observe(0, 100, FIVE)
    assert tracker.observe(300, 110, FIVE, may_alert=False) == []
    assert tracker.observe(600, 104, FIVE) == []
    [alert] = tracker.observe(900, 104, FIVE)
    assert (alert.kind, alert.reference_usd) == ("panic", 110)


def test_an_observation_that_is_not_newer_is_skipped() -> None:
    tracker = Tracker()
    tracker.observe(0, 100, FIVE)
    assert tracker.observe(300, 94, FIVE) == []
    assert tracker.observe(300, 94, FIVE) == []
    assert tracker.observe(200, 80, FIVE) == []
    assert [alert.kind for alert in tracker.observe(600, 94, FIVE)] == ["panic"]


def test_missing_data_neither_ends_a_silence_nor_repeats_an_alert() -> None:
    tracker = Tracker()
    for n, price in enumerate([100, 94, 94]):
        tracker.observe(n * 300.0, price, FIVE)
    assert tracker.observe(3 * DAY, 94, FIVE) == []
    assert tracker.observe(3 * DAY + 300, 93, FIVE) == []


def test_a_crash_does_not_raise_its_own_threshold() -> None:
    calm = [100 * (1 + 0.0005 * (-1) ** n) for n in range(2000)]
    tracker = Tracker()
    for n, price in enumerate(calm):
        tracker.observe(n * 300.0, price, OWN)
    before = tracker.compute_threshold(OWN)
    [alert] = tracker.observe(2000 * 300.0, 80, OWN)
    assert alert.threshold == before
    assert tracker.compute_threshold(OWN) > before


def test_the_threshold_follows_the_coins_volatility_within_its_limits() -> None:
    rules = dataclasses.replace(OWN, min_threshold=0.02, max_threshold=0.20)

    def after(step: float) -> float:
        tracker, dice, price = Tracker(), random.Random(4), 100.0
        for n in range(3000):
            price *= math.exp(dice.gauss(0, step))
            tracker.observe(n * 300.0, price, rules)
        return tracker.compute_threshold(rules)

    daily = 0.001 * math.sqrt(288)
    assert after(0.00001) == 0.02
    assert after(0.001) == pytest.approx(1.5 * daily, rel=0.2)
    assert after(0.1) == 0.20


def test_the_threshold_does_not_depend_on_the_polling_interval() -> None:
    dice, price, walk = random.Random(8), 100.0, []
    for n in range(12_000):
        price *= math.exp(dice.gauss(0, 0.001))
        walk.append((n * 60.0, price))
    often, seldom = Tracker(), Tracker()
    for n, (at, price) in enumerate(walk):
        often.observe(at, price, OWN)
        if n % 30 == 0:
            seldom.observe(at, price, OWN)
    assert often.compute_threshold(OWN) == pytest.approx(seldom.compute_threshold(OWN), rel=0.25)


def _walk(seed: int, length: int, *, wild: float = 0.01) -> list[tuple[float, float]]:
    dice, price, at, walk = random.Random(seed), 100.0, 1.7e9, []
    for _ in range(length):
        price *= math.exp(dice.gauss(0, wild) + (dice.random() < 0.01) * dice.gauss(0, 10 * wild))
        at += dice.choice((60.0, 300.0, 3600.0, 7200.0))
        walk.append((at, price))
    return walk


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("per_week", [None, 2.0])
def test_a_restart_after_every_observation_gives_the_same_alerts(
    seed: int, per_week: float | None
) -> None:
    rules, walk = dataclasses.replace(OWN, target_rate=per_week), _walk(seed, 1500)
    steady, restarted = Tracker(), Tracker()
    kept, again = [], []
    for at, price in walk:
        kept += steady.observe(at, price, rules)
        again += restarted.observe(at, price, rules)
        restarted = TRACKER_JSON.validate_json(TRACKER_JSON.dump_json(restarted))
    assert kept == again
    assert kept


@given(
    st.lists(
        st.tuples(st.sampled_from([60.0, 3600.0, 30_000.0]), st.floats(0.8, 1.25)), max_size=80
    )
)
def test_no_kind_repeats_within_an_alert_level(moves: list[tuple[float, float]]) -> None:
    at, price = 0.0, 100.0
    tracker, standing = Tracker(), dict[str, Any]()
    for pause, factor in moves:
        at, price = at + pause, price * factor
        for kind in ("panic", "reversal"):  # a slow turn, which is not announced, ends a silence
            if getattr(tracker, kind).last_alert_usd is None:
                standing.pop(kind, None)
        for alert in tracker.observe(at, price, FIVE):
            before = standing.get(alert.kind)
            if before and getattr(tracker, alert.kind).level > 1:
                assert abs(alert.price_usd / before.price_usd - 1) >= 0.05 - 1e-12
                assert alert.level == before.level + 1
            standing[alert.kind] = alert


@given(st.lists(st.floats(0.85, 1.15), min_size=1, max_size=60))
def test_every_fall_of_two_thresholds_is_announced_at_its_first_observation(
    factors: list[float],
) -> None:
    tracker, price = Tracker(), 100.0
    tracker.observe(0.0, price, FIVE)
    for n, factor in enumerate(factors, start=1):
        price *= factor
        silent_before = tracker.panic.last_alert_usd is not None
        high = max([mark for _, mark in tracker.panic.marks] + [price])
        alerts = tracker.observe(n * 300.0, price, FIVE)
        if price / high - 1 <= -0.10 and not silent_before:
            assert "panic" in [alert.kind for alert in alerts]


def test_a_target_rate_moves_the_multiplier_until_the_rate_matches() -> None:
    dice, price, walk = random.Random(11), 100.0, []
    for n in range(60 * 288):
        wild = 0.0015 if n < 30 * 288 else 0.0030
        price *= math.exp(dice.gauss(0, wild))
        walk.append((n * 300.0, price))
    for multiplier in (0.8, 1.5, 3.0):
        rules = dataclasses.replace(OWN, multiplier=multiplier, target_rate=3.0)
        rate = len(calibration.replay_series(walk, rules)) / calibration.length_weeks(walk)
        assert rate == pytest.approx(3.0, rel=0.35), multiplier


def test_an_outage_saves_up_no_alerts() -> None:
    rules, tracker = dataclasses.replace(OWN, target_rate=2.0), Tracker()
    tracker.observe(0.0, 100, rules)
    tracker.observe(60 * DAY, 100, rules)
    assert tracker.adjustment == pytest.approx(-0.3 * 2 / 7)


def test_the_multiplier_is_calibrated_on_each_coins_own_history() -> None:
    histories = {name: _walk(seed, 2000, wild=0.004) for seed, name in enumerate("abc")}
    histories["young"] = histories["a"][:60]
    found = calibration.calibrate(histories, 2.0, OWN)
    assert found.actual_rate == pytest.approx(2.0, rel=0.2)
    assert len({found.multipliers[name] for name in "abc"}) == 3
    assert (
        min(found.multipliers.values())
        <= found.multipliers["young"]
        <= max(found.multipliers.values())
    )


def test_a_history_without_length_calibrates_nothing() -> None:
    found = calibration.calibrate({"a": [(0.0, 1.0)]}, 2.0, OWN)
    assert found.actual_rate is None
    assert found.multipliers == {"a": OWN.multiplier}
