"""When a price target fires: crossings, their confirmation, and the return before the next one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

import pytest

from sentinel.analytics.price_targets import Crossing, Direction, Line, choose_direction
from tests.conftest import NOW


def _fire(
    prices: Iterable[str | float], *, direction: Direction = "above", step_minutes: float = 15
) -> list[int]:
    """Return at which prices a target of 100 fires, as positions."""
    crossing, line = Crossing(), Line(direction, Decimal(100))
    step = timedelta(minutes=step_minutes)
    return [
        n
        for n, price in enumerate(prices)
        if crossing.observe(NOW + n * step, Decimal(str(price)), line)
    ]


@pytest.mark.parametrize("step_minutes", [1, 5, 15, 1440])
def test_a_target_fires_at_the_second_observation_beyond_its_line(step_minutes: float) -> None:
    assert _fire([98, 99, 101, 102, 103], step_minutes=step_minutes) == [3]
    falling = [102, 101, 99, 98, 97]
    assert _fire(falling, direction="below", step_minutes=step_minutes) == [3]


def test_a_price_exactly_at_the_line_has_reached_it() -> None:
    assert _fire([99, "100", "100.000"]) == [2]
    assert _fire([99, "99.99999999999999999999999999", "99.9999"]) == []


@pytest.mark.parametrize("tick", [99_000, 0.099, 150, 101])
def test_a_single_wrong_price_fires_nothing(tick: float) -> None:
    assert _fire([99, 98, tick, 98, 99, tick, 98]) == []
    assert _fire([101, 102, tick, 102, 101, tick, 102], direction="below") == []


def test_a_price_that_was_beyond_the_line_from_the_start_has_to_return_first() -> None:
    assert _fire([105, 106, 107]) == []
    assert _fire([105, 98, 98, 105, 105]) == [4]


def test_noise_around_the_line_fires_once() -> None:
    assert _fire([99.5, *[100.3, 100.2, 99.7, 99.4] * 20]) == [2]


def test_a_single_wrong_price_is_no_return() -> None:
    assert _fire([99, 101, 101, *[102] * 9, 0.1, 102, 102, 102]) == [2]


def test_a_return_of_one_percent_arms_the_target_again() -> None:
    assert _fire([98, 101, 101, 99.01, 99.01, 101, 101]) == [2]
    assert _fire([98, 101, 101, 105, 105, 105, 99, 99, 101, 101]) == [2, 9]


def test_a_target_does_not_fire_twice_within_an_hour() -> None:
    swings = [90, 90, 110, 110] * 60
    fired = _fire(swings, step_minutes=1)
    assert all(later - before >= 60 for before, later in itertools.pairwise(fired))
    assert len(fired) == 4


def test_a_day_on_the_other_side_arms_a_stablecoins_target_again() -> None:
    dips = [100.5, 99.9, 99.9, *[100.5] * 97, 99.9, 99.9]
    assert _fire(dips, direction="below") == [2]
    dips = [100.5, 99.9, 99.9, *[100.5] * 98, 99.9, 99.9]
    assert _fire(dips, direction="below") == [2, 102]


def test_the_direction_follows_from_the_current_price() -> None:
    assert choose_direction(Decimal(100), Decimal("99.9")) == "above"
    assert choose_direction(Decimal(100), Decimal("100.1")) == "below"
