"""What the alert rule must and must not announce, with a budget and without: whole price paths."""

from __future__ import annotations

import copy
import functools
import itertools
import math
import random
from collections.abc import Callable

import pytest

from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.stage import make_rules
from sentinel.analytics.alerts import AlertRules, Tracker
from sentinel.analytics.crossings import Alert

HOUR, DAY = 3600.0, 86_400.0
BUDGETS = pytest.mark.parametrize("budget", [None, 2.0])
GLITCHES = pytest.mark.parametrize(
    ("every", "factor"),
    [(900.0, factor) for factor in (1000, 1 / 1000, 1.5, 1 / 1.5, 1.1, 1 / 1.1)] + [(300.0, 1.1)],
)
CADENCES = pytest.mark.parametrize("every", [300.0, 900.0])


def rules_of(budget: float | None) -> AlertRules:
    return make_rules(MonitorOptions(alerts_per_coin_week=budget))


class Path:
    """A tracker on a random walk; `shape` changes the prices, by the days since now."""

    def __init__(self, rules: AlertRules, daily: float, *, price: float = 100.0) -> None:
        self.rules, self.daily, self.price = rules, daily, price
        self.tracker, self.dice, self.at = Tracker(), random.Random(7), 0.0

    def walk(
        self, days: float, every: float, shape: Callable[[float], float] = lambda _: 1.0
    ) -> list[Alert]:
        """Return the alerts of the next days."""
        found, begin = list[Alert](), self.at
        step = self.daily * math.sqrt(every / DAY)
        while self.at < begin + days * DAY:
            self.at += every
            self.price *= math.exp(self.dice.gauss(0, step))
            price = self.price * shape((self.at - begin) / DAY)
            found += self.tracker.observe(self.at, price, self.rules)
        return found


@functools.cache
def _calm_path(budget: float | None, every: float) -> Path:
    """Return a path at 3 % a day after two weeks, just after its own last alert."""
    path = Path(rules_of(budget), 0.03)
    path.walk(14, every)
    return path


def calm_path(budget: float | None, every: float) -> Path:
    return copy.deepcopy(_calm_path(budget, every))


@BUDGETS
@GLITCHES
def test_a_wrong_price_is_not_announced_and_leaves_nothing_behind(
    budget: float | None, factor: float, every: float
) -> None:
    with_glitch, without = calm_path(budget, every), calm_path(budget, every)

    def glitch(days: float) -> float:
        return factor if days * DAY <= every else 1.0

    raised = [
        [(alert.kind, alert.at, alert.level) for alert in alerts]
        for alerts in (with_glitch.walk(0.5, every, glitch), without.walk(0.5, every))
    ]
    assert raised[0] == raised[1]
    rules = with_glitch.rules
    threshold = without.tracker.compute_threshold(rules)
    assert with_glitch.tracker.compute_threshold(rules) == pytest.approx(threshold, rel=0.02)
    for with_, clean in (
        (with_glitch.tracker.panic, without.tracker.panic),
        (with_glitch.tracker.reversal, without.tracker.reversal),
    ):
        assert with_.marks[0][1] == pytest.approx(clean.marks[0][1], rel=0.005)
    for later in (0.5, 3, 7):
        with_glitch.walk(later, every)
        branch = copy.deepcopy(with_glitch)
        alerts = branch.walk(1 / 24, every, lambda _: 0.85)
        assert [alert.kind for alert in alerts] == ["panic"]


@BUDGETS
@pytest.mark.parametrize(
    ("every", "low", "days"),
    [(900.0, 0.90, 14), (900.0, 0.97, 10), (900.0, 0.995, 0.1), (300.0, 0.97, 1)],
)
def test_a_stablecoin_that_leaves_its_peg_is_announced(
    budget: float | None, every: float, low: float, days: float
) -> None:
    path = Path(rules_of(budget), 0.0, price=1.0)

    def noise() -> float:
        return math.exp(path.dice.gauss(0, 0.0004))

    assert path.walk(10, every, lambda _: noise()) == []
    alerts = path.walk(days + 0.2, every, lambda at: noise() * (1 - (1 - low) * min(1, at / days)))
    assert {(alert.kind, alert.basis, alert.reference_usd) for alert in alerts} <= {
        ("panic", "peg", 1.0),
        ("reversal", "peg", min(alert.reference_usd for alert in alerts)),
    }
    assert alerts[0].kind == "panic"
    assert -0.007 < alerts[0].move <= -0.004
    assert alerts[-1].price_usd < (1 + low) / 2
    assert len(alerts) <= 6


@BUDGETS
@pytest.mark.parametrize("every", [300.0, 900.0])
def test_a_noisy_stablecoin_is_announced_when_it_leaves_its_peg_and_not_before(
    budget: float | None, every: float
) -> None:
    path = Path(rules_of(budget), 0.0, price=1.0)

    def noise() -> float:
        return math.exp(path.dice.gauss(0, 0.002))

    assert path.walk(14, every, lambda _: noise()) == []
    alerts = path.walk(10, every, lambda at: noise() * (1 - 0.003 * at))
    assert alerts[0].kind == "panic"
    assert alerts[0].price_usd > 0.985
    assert len(alerts) < 15


def test_a_return_to_the_peg_is_a_reversal_and_the_next_departure_a_panic() -> None:
    path = Path(rules_of(2.0), 0.0, price=1.0)
    path.walk(8, 900.0)
    prices = (0.97, 0.999, 1.0, 0.98, 1.0, 1.02)
    raised = [path.walk(0.1, 900.0, functools.partial(lambda price, _: price, p)) for p in prices]
    assert [[(a.kind, a.level) for a in alerts] for alerts in raised] == [
        [("panic", 1)],
        [("reversal", 1)],
        [],
        [("panic", 1)],
        [("reversal", 1)],
        [("reversal", 1)],
    ]


def test_a_price_that_stays_near_the_peg_for_a_day_has_returned() -> None:
    path = Path(rules_of(2.0), 0.0, price=1.0)
    path.walk(8, 900.0)
    raised = [
        [alert.kind for alert in path.walk(2, 900.0, functools.partial(lambda price, _: price, p))]
        for p in (0.97, 0.998, 0.97)
    ]
    assert raised == [["panic"], ["reversal"], ["panic"]]


@BUDGETS
@CADENCES
@pytest.mark.parametrize("hours", [11, 23, 26, 240])
def test_a_fall_during_an_outage_is_announced(
    budget: float | None, every: float, hours: float
) -> None:
    path = calm_path(budget, every)
    last = path.at
    path.at += hours * HOUR
    [alert] = path.walk(0.5 / 24, every, lambda _: 0.6)
    assert alert.kind == "panic"
    assert alert.move < -0.35
    assert alert.reference_at <= last
    assert alert.basis == ("window" if hours < 12 else "outage")


def test_an_outage_without_a_move_is_not_announced() -> None:
    path = calm_path(2.0, 900.0)
    path.at += 26 * HOUR
    assert path.walk(0.5 / 24, 900.0) == []


@BUDGETS
@pytest.mark.parametrize("every", [300.0, 900.0, 3600.0])
@pytest.mark.parametrize("seed", range(2))
def test_a_slide_of_30_percent_in_a_week_is_announced_in_time(
    budget: float | None, every: float, seed: int
) -> None:
    path = Path(rules_of(budget), 0.01)
    path.walk(8, every)
    path.dice.seed(seed)
    first = next(a for a in path.walk(7, every, lambda at: 0.7 ** (at / 7)) if a.kind == "panic")
    assert (first.at - 8 * DAY) / HOUR < 48
    assert first.move > -0.1


def test_alert_levels_of_a_price_that_multiplies_do_not_come_ever_closer() -> None:
    path = Path(rules_of(None), 0.0)
    path.walk(1, 900.0)
    alerts = path.walk(5, 900.0, lambda at: 9 ** (at / 5))
    steps = [after.price_usd / before.price_usd for before, after in itertools.pairwise(alerts)]
    assert len(steps) > 10
    assert min(steps) > 1.06


@BUDGETS
@CADENCES
def test_a_quiet_fortnight_says_nothing(budget: float | None, every: float) -> None:
    assert Path(rules_of(budget), 0.008).walk(14, every) == []


def test_two_large_steps_confirm_the_smaller_one() -> None:
    path = calm_path(None, 900.0)
    path.daily = 0.0
    steps = iter([0.9, 0.001, 0.9])
    [alert] = path.walk(3 * 900 / DAY, 900.0, lambda _: next(steps))
    assert alert.price_usd == pytest.approx(path.price * 0.9)
