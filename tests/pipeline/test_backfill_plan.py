"""Which gaps are worth a credit, and which points fill them. Pure."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pipeline.backfill_plan import (
    BackfillPlan,
    BackfillTask,
    fill_gaps,
    plan_backfill,
)
from sentinel.budget.quotas import BackfillAllowance
from sentinel.models import Gap, MarketRow
from tests.conftest import NOW

SLOT = timedelta(minutes=15)
HOUR = timedelta(hours=1)
COINS = ("bitcoin", "ethereum", "tether", "obscure")


def _gap(
    coin_id: str = "bitcoin", ago: float = 5.0, hours: float = 2.0, slot: timedelta = SLOT
) -> Gap:
    """A gap that began `ago` hours ago and lasted `hours`."""
    start = NOW - ago * HOUR
    return Gap(coin_id, start, start + hours * HOUR, slot, round(hours * HOUR / slot) - 1)


def _plan(
    *gaps: Gap, calls: int = 25, left: int = 100, daily: int = 100, patient: bool = False
) -> BackfillPlan:
    allowance = BackfillAllowance(daily, left, SLOT)
    return plan_backfill(gaps, COINS, NOW, calls=calls, allowance=allowance, should_wait=patient)


def _points(task: BackfillTask, minutes: float = 5.0) -> list[MarketRow]:
    start = NOW - timedelta(days=task.days)
    count = int((NOW - start) / timedelta(minutes=minutes))
    return [
        MarketRow(
            task.coin_id, start + n * timedelta(minutes=minutes), 1.0, None, None, "backfilled"
        )
        for n in range(count)
    ]


# --- planning ----------------------------------------------------------------------------------


def test_one_call_fills_all_gaps_of_a_coins_day() -> None:
    gaps = (_gap(ago=20), _gap(ago=10), _gap(ago=3))
    assert _plan(*gaps).tasks == [BackfillTask("bitcoin", 1, gaps)]


def test_calls_are_ordered_by_expiry_and_then_by_rank() -> None:
    plan = _plan(_gap("tether", 10), _gap("ethereum", 20), _gap("bitcoin", 10))
    assert [task.coin_id for task in plan.tasks] == ["ethereum", "bitcoin", "tether"]


def test_gaps_of_one_outage_are_ordered_by_rank() -> None:
    plan = _plan(_gap("tether", 10.004), _gap("bitcoin", 10.001))
    assert [task.coin_id for task in plan.tasks] == ["bitcoin", "tether"]


def test_coins_beyond_the_days_credits_wait_for_spare_credits() -> None:
    gaps = (_gap("obscure", 20), _gap("bitcoin", 5))
    assert [t.coin_id for t in _plan(*gaps, daily=3, left=1).tasks] == ["bitcoin"]
    assert [t.coin_id for t in _plan(*gaps, daily=3, left=2).tasks] == ["bitcoin", "obscure"]
    assert _plan(*gaps, daily=3, left=1).coins_waiting == 1


def test_a_waiting_plan_waits_until_the_detail_is_about_to_expire() -> None:
    assert _plan(_gap(ago=20), patient=True).tasks == []
    assert _plan(_gap(ago=20), patient=True).coins_waiting == 1
    assert len(_plan(_gap(ago=22), patient=True).tasks) == 1


def test_a_waiting_plan_begins_earlier_if_runs_have_few_calls() -> None:
    gaps = [_gap(coin, 21.3) for coin in COINS]
    assert len(_plan(*gaps, patient=True).tasks) == 0
    assert len(_plan(*gaps, patient=True, calls=1).tasks) == 1


def test_in_the_evening_the_rest_of_the_allowance_goes_to_the_best_ranked() -> None:
    evening = NOW.replace(hour=22)
    gaps = [_gap(coin, ago) for coin, ago in (("obscure", -5), ("tether", -4), ("bitcoin", -4))]
    for left, expected in ((1, ["bitcoin"]), (9, ["bitcoin", "tether", "obscure"])):
        allowance = BackfillAllowance(3, left, SLOT)
        plan = plan_backfill(gaps, COINS, evening, calls=25, allowance=allowance)
        assert [task.coin_id for task in plan.tasks] == expected


def test_calls_stay_within_the_minute_and_the_day() -> None:
    gaps = [_gap(coin) for coin in COINS]
    assert len(_plan(*gaps, calls=2).tasks) == 2
    assert len(_plan(*gaps, left=1).tasks) == 1
    assert _plan(*gaps, calls=0).tasks == _plan(*gaps, left=0).tasks == []


def test_older_gaps_get_an_hourly_call_over_as_many_days_as_they_need() -> None:
    plan = _plan(_gap(ago=100, hours=6), _gap(ago=60, hours=6))
    [task] = plan.tasks
    assert (task.days, len(task.gaps)) == (5, 2)


def test_a_short_gap_that_is_too_old_is_unfillable_without_a_call() -> None:
    plan = _plan(_gap(ago=30, hours=0.8))
    assert (plan.tasks, [gap.reason for gap in plan.unfillable]) == ([], ["only_hourly_left"])


def test_a_gap_whose_last_minutes_still_have_detail_costs_no_daily_call() -> None:
    [task] = _plan(_gap(ago=30, hours=6.1)).tasks
    assert task.days == 2


def test_an_unfillable_gap_costs_no_further_credit() -> None:
    assert _plan(_gap()._replace(reason="no_prices")) == BackfillPlan([], [], 0)


def test_gaps_of_coins_outside_the_targets_are_ignored() -> None:
    assert _plan(_gap("stranger")) == BackfillPlan([], [], 0)


# --- filling -----------------------------------------------------------------------------------


def test_one_point_per_slot_is_chosen_inside_the_gaps() -> None:
    task = BackfillTask("bitcoin", 1, (_gap(ago=20), _gap(ago=5)))
    rows, left = fill_gaps(task, _points(task), NOW)
    assert left == []
    assert len(rows) == 14  # seven quarters of an hour are missing between the edges of two hours
    for gap in task.gaps:
        inside = [row.observed_at for row in rows if gap.start < row.observed_at < gap.stop]
        assert len(inside) == 7
        assert inside == sorted(inside)
    assert {row.source for row in rows} == {"backfilled"}


@given(
    st.floats(0.5, 23.0),
    st.floats(1.0, 23.0),
    st.integers(5, 60),
    st.lists(st.floats(0.0, 1440.0), unique=True, max_size=300),
)
def test_chosen_points_are_inside_the_gap_and_unique(
    hours: float, ago: float, slot: int, minutes: list[float]
) -> None:
    gap = _gap(ago=max(hours, ago), hours=hours, slot=timedelta(minutes=slot))
    task = BackfillTask("bitcoin", 1, (gap,))
    points = [
        MarketRow("bitcoin", NOW - timedelta(minutes=minute), 1.0, None, None, "backfilled")
        for minute in sorted(minutes, reverse=True)
    ]
    rows, left = fill_gaps(task, points, NOW)
    times = [row.observed_at for row in rows]
    assert times == sorted(set(times))
    assert all(gap.start < at < gap.stop for at in times)
    edges = [gap.start, *times, gap.stop]
    long = [(a, b) for a, b in pairwise(edges) if b - a > 1.9 * gap.slot]
    assert [(g.start, g.stop) for g in left] == long


def test_a_hole_in_the_chart_is_unfillable_with_its_reason() -> None:
    task = BackfillTask("bitcoin", 1, (_gap(ago=5, hours=4),))
    hole = (NOW - 4 * HOUR, NOW - 2 * HOUR)
    points = [p for p in _points(task) if not hole[0] < p.observed_at < hole[1]]
    rows, [left] = fill_gaps(task, points, NOW)
    assert left.reason == "no_prices"
    assert left.start <= hole[0]
    assert hole[1] <= left.stop
    assert len(rows) >= 7


def test_hourly_points_fill_what_they_can_and_the_rest_is_unfillable() -> None:
    task = BackfillTask("bitcoin", 3, (_gap(ago=60, hours=6),))
    rows, left = fill_gaps(task, _points(task, 60), NOW)
    assert len(rows) in (5, 6)
    assert {gap.reason for gap in left} == {"only_hourly_left"}


def test_the_old_part_of_a_gap_waits_for_an_hourly_call() -> None:
    """A one-day call fills the last 24 hours; the rest stays open without a reason."""
    gap = _gap(ago=30, hours=29)
    task = BackfillTask("bitcoin", 1, (gap,))
    rows, left = fill_gaps(task, _points(task), NOW)
    assert rows[0].observed_at - (NOW - 24 * HOUR) < 2 * SLOT
    assert left == []


@pytest.mark.parametrize("hours", [2.0, 23.0])
def test_an_empty_chart_fills_nothing(hours: float) -> None:
    gap = _gap(ago=23.5, hours=hours)
    rows, [left] = fill_gaps(BackfillTask("bitcoin", 1, (gap,)), [], NOW)
    assert (rows, left) == ([], gap._replace(reason="no_prices"))
