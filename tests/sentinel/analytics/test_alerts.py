"""The trackers: what they announce, how calm they are, and that nothing is forgotten."""

from __future__ import annotations

import dataclasses
import math
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.alerting.alert_storage import TRACKER_JSON
from sentinel.analytics import calibration
from sentinel.analytics.alerts import AlertRules, Tracker
from sentinel.analytics.crossings import Alert
from sentinel.analytics.peg import Peg

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


def test_the_opposite_turn_ends_the_silence_of_a_kind() -> None:
    prices = [100, 94, 94, 99, 99, 93.9, 93.9]
    assert said(prices) == [("panic", 94, 1), ("reversal", 99, 1), ("panic", 93.9, 1)]


@given(st.lists(st.floats(0.9, 1.1), max_size=80))
def test_no_panic_is_called_above_the_last_one_without_a_reversal_between(
    factors: list[float],
) -> None:
    tracker, price, last = Tracker(), 100.0, math.inf
    for n, factor in enumerate(factors):
        price *= factor
        for alert in tracker.observe(n * 300.0, price, FIVE):
            if alert.kind == "panic":
                assert alert.price_usd < last
            last = alert.price_usd if alert.kind == "panic" else math.inf


def test_a_stale_recovery_ends_what_was_waiting_for_its_second_observation() -> None:
    tracker = Tracker()
    for n, (price, may_alert) in enumerate(
        [(100, True), (94.9, True), (99, False), (94.9, True), (99, True)]
    ):
        assert tracker.observe(n * 300.0, price, FIVE, may_alert=may_alert) == []


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


def test_the_threshold_does_not_depend_on_the_polling_interval() -> None:
    dice, price, walk = random.Random(8), 100.0, []
    for n in range(6000):
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


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("per_week", [None, 2.0])
def test_a_restart_after_every_observation_gives_the_same_alerts(
    seed: int, per_week: float | None
) -> None:
    rules, walk = dataclasses.replace(OWN, target_rate=per_week), _walk(seed, 800)
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
def test_a_kind_repeats_only_after_a_turn_or_at_the_next_level(
    moves: list[tuple[float, float]],
) -> None:
    at, price = 0.0, 100.0
    tracker = Tracker()
    for pause, factor in moves:
        at, price = at + pause, price * factor
        before = {"panic": tracker.panic.last_alert, "reversal": tracker.reversal.last_alert}
        for alert in tracker.observe(at, price, FIVE):
            last = before[alert.kind]
            if alert.level > 1:
                assert last
                assert (alert.level, alert.reference_at) == (last.level + 1, last.reference_at)
                further = max(alert.price_usd / last.price_usd, last.price_usd / alert.price_usd)
                assert abs(alert.move) >= 2.5 * abs(last.move) or further >= 1.125 - 1e-12


def test_the_next_level_is_2_5_times_the_move_or_a_price_2_5_thresholds_further() -> None:
    slide = [100.0 - n for n in range(40)]
    assert [price for _, price, _ in said(slide)] == [95, 87, 76, 66]
    assert said([100, 90, 90, 79, 78]) == [("panic", 90, 1), ("panic", 78, 2)]


@pytest.mark.parametrize(("hours", "raised"), [(0.25, []), (6.0, [("panic", 94.5)])])
def test_a_step_that_its_time_explains_needs_no_confirmation(
    hours: float, raised: list[tuple[str, float]]
) -> None:
    tracker = Tracker()
    tracker.observe(0, 100, FIVE)
    alerts = tracker.observe(hours * 3600, 94.5, FIVE)
    assert [(alert.kind, alert.price_usd) for alert in alerts] == raised


def test_two_wrong_prices_on_both_sides_confirm_nothing() -> None:
    assert said([100, 100, 150, 50, 100, 100]) == []


@pytest.mark.parametrize(
    "path",
    [
        [(0.1, 100), (13.1, 97), (13.2, 97), (25.5, 94.9), (25.6, 94.9)],
        [
            (0.1, 97),
            (26.1, 97),
            (40, 97),
            (52, 100),
            (52.1, 100),
            (66, 97.5),
            (80, 94.9),
            (81, 94.9),
        ],
    ],
    ids=["a pause of 13 hours", "long after an outage"],
)
def test_only_a_recent_outage_makes_marks_last_longer(path: list[tuple[float, float]]) -> None:
    tracker = Tracker()
    assert [a for hour, price in path for a in tracker.observe(hour * 3600, price, FIVE)] == []


def test_a_peg_needs_a_week_without_a_break_and_ends_after_a_week_without_one() -> None:
    def is_held(*days_near_and_away: float) -> bool:
        peg, at = Peg(), 0.0
        for n, days in enumerate(days_near_and_away):
            for _ in range(round(days * 24)):
                at += 3600.0
                peg.observe(at, (1.0, 0.95)[n % 2])
        return peg.is_held

    assert is_held(8)
    assert not is_held(5, 1, 5)
    assert is_held(8, 4, 1, 4)
    assert not is_held(8, 8)


def test_a_kind_starts_anew_when_half_of_the_move_is_regained() -> None:
    assert said([100, 98, 96, 94.9, 96, 97, 98, 96, 94, 93]) == [
        ("panic", 94.9, 1),
        ("panic", 93, 1),
    ]


def test_a_kind_starts_anew_when_its_mark_has_expired() -> None:
    tracker = Tracker()
    prices = [100, 98, 96, 94.9, *[94.9] * 30, 93, 91, 90.2, 90]
    alerts = [a for n, p in enumerate(prices) for a in tracker.observe(n * 3600.0, p, FIVE)]
    assert [(alert.price_usd, alert.level) for alert in alerts] == [(94.9, 1), (90, 1)]


def test_a_mark_older_than_the_window_has_expired() -> None:
    slide = [100 * (1 - 0.0008) ** n for n in range(100)]  # 2 % a day
    assert fed(slide, every=3600.0) == []
    assert fed(slide, dataclasses.replace(FIVE, window=timedelta(days=7)), every=3600.0)


def test_a_slow_slide_is_announced_by_the_mark_of_the_week() -> None:
    slide = [100 * (1 - 0.0012) ** n for n in range(140)]  # 3 % a day
    [alert] = fed(slide, every=3600.0)
    assert (alert.kind, alert.basis, alert.reference_usd) == ("panic", "week", 100)
    assert alert.move == pytest.approx(-0.125, abs=0.002)


def test_a_stale_observation_moves_the_marks_and_sends_no_alert() -> None:
    tracker = Tracker()
    for n, price in enumerate([100, 103, 106, 109, 103, 106]):
        assert tracker.observe(n * 300, price, FIVE, may_alert=False) == []
    [alert] = tracker.observe(1800, 103, FIVE)
    assert (alert.kind, alert.reference_usd) == ("panic", 109)


def test_a_crash_does_not_raise_its_own_threshold() -> None:
    tracker = Tracker()
    for n in range(500):
        tracker.observe(n * 1800.0, 100 * (1 + 0.0005 * (-1) ** n), OWN)
    before = tracker.compute_threshold(OWN)
    assert tracker.observe(500 * 1800.0, 80, OWN) == []
    [alert] = tracker.observe(501 * 1800.0, 80, OWN)
    assert alert.threshold == before
    assert before < tracker.compute_threshold(OWN) < 1.2 * before


def test_the_threshold_follows_the_coins_volatility_within_its_limits() -> None:
    rules = dataclasses.replace(OWN, min_threshold=0.03, max_threshold=0.08)

    def after(daily: float) -> float:
        tracker, dice, price = Tracker(), random.Random(4), 100.0
        for n in range(1500):
            price *= math.exp(dice.gauss(0, daily / math.sqrt(48)))
            tracker.observe(n * 1800.0, price, rules)
        return tracker.compute_threshold(rules)

    assert after(0.0001) == 0.03
    assert after(0.02) == pytest.approx(1.5 * 0.02**0.25 * 0.0333**0.75, rel=0.05)
    assert after(0.05) == pytest.approx(1.5 * 0.05**0.25 * 0.0333**0.75, rel=0.05)
    assert after(0.5) == 0.08


@pytest.mark.parametrize("wild", [0.04, 0.08])
def test_the_rate_stays_near_the_target_rate_or_below(wild: float) -> None:
    dice, price, walk = random.Random(11), 100.0, []
    for n in range(90 * 24):
        price *= math.exp(dice.gauss(0, wild / math.sqrt(24)))
        walk.append((n * 3600.0, price))
    early, later = walk[: 30 * 24], walk[30 * 24 :]
    rules = dataclasses.replace(OWN, target_rate=2.0)
    found = calibration.calibrate({"a": early}, 2.0, rules)
    own = dataclasses.replace(rules, multiplier=found.multipliers["a"])
    rate = len(calibration.replay_series(later, own)) / calibration.length_weeks(later)
    assert 0 < rate < 2.5


def test_alerts_far_above_the_target_rate_raise_the_multiplier_for_a_time() -> None:
    rules, tracker = dataclasses.replace(FIVE, target_rate=2.0), Tracker()
    for n in range(200):
        tracker.observe(n * 300.0, 100 + abs(n % 20 - 10), rules)
    assert tracker.effective_multiplier(rules) > 2
    for n in range(60 * 24):
        tracker.observe(DAY + n * 3600.0, 100, rules)
    assert tracker.effective_multiplier(rules) == rules.multiplier


def test_a_calibration_never_lowers_the_multiplier() -> None:
    calm = {"a": _walk(1, 1200, wild=0.0001)}
    found = calibration.calibrate(calm, 4.0, OWN)
    assert found.multipliers == {"a": OWN.multiplier}
    common = calibration.calibrate(calm, 4.0, OWN, OWN.multiplier / 3)
    assert common.multipliers == found.multipliers
    assert found.actual_rate is not None
    assert found.actual_rate < 4.0


def test_each_coin_gets_a_multiplier_between_its_own_and_the_common_one() -> None:
    histories = {name: _walk(n, 450, wild=0.004 + 0.004 * n) for n, name in enumerate("abc")}
    histories["young"] = histories["a"][:60]
    found = calibration.calibrate(histories, 1.0, OWN)
    assert found.multipliers["a"] < found.multipliers["young"] < found.multipliers["c"]
    assert found.actual_rate == pytest.approx(1.0, rel=0.3)
    [alone] = calibration.calibrate({"c": histories["c"]}, 1.0, OWN).multipliers.values()
    [shared] = calibration.calibrate({"c": histories["c"]}, 1.0, OWN, 1.5).multipliers.values()
    assert 1.5 < shared < found.multipliers["c"] < alone


def test_a_history_without_length_calibrates_nothing() -> None:
    found = calibration.calibrate({"a": [(0.0, 1.0)]}, 2.0, OWN)
    assert found.actual_rate is None
    assert found.multipliers == {"a": OWN.multiplier}
