"""Which gaps are worth a credit, and which points fill them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from demo.schedule import autumn_runs, delivered_runs, silent_runs
from pipeline.backfill_plan import (
    BackfillPlan,
    BackfillTask,
    fill_gaps,
    make_task,
    mark_unfillable,
    plan_backfill,
)
from safe_zone import BACKFILL_CREDITS_PER_DAY
from sentinel.budget.coingecko_credits import BackfillAllowance, compute_backfill_allowance
from sentinel.budget.usage_log import Usage
from sentinel.models import Gap, MarketRow
from sentinel.storage.queries.gaps import FillableCoin
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


def _coin(coin_id: str = "bitcoin", ago: float = 5.0, *, is_hourly: bool = False) -> FillableCoin:
    """A coin whose oldest gap began `ago` hours ago."""
    since = NOW - ago * HOUR
    return FillableCoin(coin_id, None if is_hourly else since, since if is_hourly else None)


def _allowance(
    left: int = 100, daily: int = 100, silence: float = 2.0, pause: timedelta = SLOT
) -> BackfillAllowance:
    return BackfillAllowance(daily, left, silence * HOUR, pause)


def _plan(
    *coins: FillableCoin,
    calls: int = 25,
    patient: bool = False,
    at: datetime = NOW,
    targets: Sequence[str] = COINS,
    **allowance: Any,
) -> BackfillPlan:
    return plan_backfill(
        coins,
        targets,
        at,
        calls=calls,
        allowance=_allowance(**allowance),
        should_wait=patient,
    )


def _planned(*coins: FillableCoin, **options: Any) -> list[str]:
    return [call.coin_id for call in _plan(*coins, **options).calls]


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
    others = (_gap("ethereum"), _gap(ago=100, hours=6), _gap(ago=15)._replace(reason="no_prices"))
    [call] = _plan(_coin(ago=20)).calls
    assert make_task(call, [*gaps, *others], NOW) == BackfillTask("bitcoin", 1, gaps)


def test_calls_are_ordered_by_expiry_and_then_by_rank() -> None:
    coins = (_coin("tether", 10), _coin("ethereum", 20), _coin("bitcoin", 10))
    assert _planned(*coins) == ["ethereum", "bitcoin", "tether"]


def test_gaps_of_one_outage_are_ordered_by_rank() -> None:
    assert _planned(_coin("tether", 10.004), _coin("bitcoin", 10.001)) == ["bitcoin", "tether"]


def test_coins_beyond_the_days_credits_wait_for_spare_credits() -> None:
    """Five credits suffice for three coins, because a coin may need more than one a day."""
    coins = (_coin("obscure", 20), _coin("bitcoin", 5))
    assert _planned(*coins, daily=5, left=1) == ["bitcoin"]
    assert _planned(*coins, daily=5, left=2) == ["bitcoin", "obscure"]
    assert _plan(*coins, daily=5, left=1).coins_waiting == 1


def test_a_waiting_plan_waits_until_the_detail_is_about_to_expire() -> None:
    assert _plan(_coin(ago=20), patient=True).calls == []
    assert _plan(_coin(ago=20), patient=True).coins_waiting == 1
    assert len(_plan(_coin(ago=22), patient=True).calls) == 1


def test_a_new_small_gap_costs_no_second_call_on_the_same_day() -> None:
    """A coin whose chart was just fetched is not due again before its next gap has aged."""
    for hours in range(22):
        later = NOW + hours * HOUR
        assert _plan(_coin(ago=0), patient=True, at=later, daily=6).calls == []


def test_the_lead_follows_the_longest_silence() -> None:
    assert _planned(_coin(ago=14), patient=True, silence=9) == []
    assert _planned(_coin(ago=14), patient=True, silence=11) == ["bitcoin"]


def test_the_lead_never_makes_a_coin_due_again_within_ten_hours() -> None:
    assert _planned(_coin(ago=9.5), patient=True, silence=14, pause=6 * HOUR, calls=1) == []


def test_a_waiting_plan_begins_earlier_if_runs_have_few_calls() -> None:
    coins = [_coin(coin, 21.3) for coin in COINS]
    assert len(_plan(*coins, patient=True).calls) == 0
    assert len(_plan(*coins, patient=True, calls=1).calls) == 1
    assert len(_plan(*coins, patient=True, calls=2, pause=HOUR).calls) == 2


def test_coins_that_expire_at_different_times_do_not_make_each_other_due() -> None:
    coins = [_coin(coin, ago) for coin, ago in zip(COINS, (21, 16, 11, 6), strict=True)]
    assert _planned(*coins, patient=True, calls=1, pause=HOUR) == []


def test_in_the_evening_spare_credits_go_to_the_other_coins() -> None:
    evening, coins = NOW.replace(hour=22), [_coin(coin, 5) for coin in COINS]
    later = {"patient": True, "at": evening, "daily": 3}
    assert _planned(*coins, **later, left=9) == ["tether", "obscure"]
    assert _planned(*coins, **later, left=1) == ["tether"]
    assert _planned(*coins, **(later | {"at": evening - 2 * HOUR}), left=9) == []
    again = [_coin(coin, -9) for coin in COINS]  # their charts were fetched an hour ago
    assert _planned(*again, **later, left=9) == []


def test_in_the_evening_credits_stay_for_coins_that_are_due_before_midnight() -> None:
    evening = NOW.replace(hour=22, minute=10)
    soon = FillableCoin("bitcoin", evening - 20.5 * HOUR, None)
    coins = (soon, _coin("tether", 5), _coin("obscure", 5))
    assert _planned(*coins, patient=True, at=evening, daily=3, left=2) == ["tether"]


def test_calls_stay_within_the_minute_and_the_day() -> None:
    coins = [_coin(coin) for coin in COINS]
    assert len(_plan(*coins, calls=2).calls) == 2
    assert len(_plan(*coins, left=1).calls) == 1
    assert _plan(*coins, calls=0).calls == _plan(*coins, left=0).calls == []
    assert _plan(*(_coin(coin, 23) for coin in COINS), calls=0, patient=True).calls == []


def test_older_gaps_get_an_hourly_call_over_as_many_days_as_they_need() -> None:
    [call] = _plan(_coin(ago=100, is_hourly=True)).calls
    assert call.days == 5
    gaps = (_gap(ago=100, hours=6), _gap(ago=60, hours=6))
    assert make_task(call, [*gaps, _gap(ago=5)], NOW).gaps == gaps


def test_gaps_of_coins_outside_the_targets_are_ignored() -> None:
    assert _plan(_coin("stranger")) == BackfillPlan([], 0)


@pytest.mark.parametrize(
    "schedule",
    [delivered_runs, autumn_runs, partial(silent_runs, silent_from=2 * HOUR)],
    ids=["January 2026", "autumn 2026", "a silence of 11 hours a day"],
)
def test_no_point_of_a_hundred_coins_expires_with_the_schedules_on_record(
    schedule: Callable[[datetime, datetime], Iterator[datetime]],
) -> None:
    """Eight days: each coin's chart is fetched again before the points of its gaps expire."""
    runs = list(schedule(NOW, NOW + timedelta(days=8)))
    coins = [f"coin-{n}" for n in range(100)]
    filled_at: dict[str, int] = dict.fromkeys(coins, 0)
    spent: Counter[date] = Counter()
    lost = timedelta()
    for index, now in enumerate(runs):
        usages = [Usage(at, 1.0) for at in runs[:index]][-700:]
        left = BACKFILL_CREDITS_PER_DAY - spent[now.date()]
        allowance = compute_backfill_allowance(
            usages, now, quota=None, per_day=BACKFILL_CREDITS_PER_DAY, cadence=SLOT
        )._replace(left=left)
        since = {at: _oldest_gap(runs, at, index) for at in set(filled_at.values())}
        known = [FillableCoin(coin, since[filled_at[coin]], None) for coin in coins]
        known = [coin for coin in known if coin.detailed_since]
        plan = plan_backfill(known, coins, now, calls=25, allowance=allowance)
        spent[now.date()] += len(plan.calls)
        for call in plan.calls:
            gap_at = since[filled_at[call.coin_id]] or now
            if gap_at > runs[0] + timedelta(days=1):  # the first silence could not be expected
                lost = max(lost, now - timedelta(days=1) - gap_at)
            filled_at[call.coin_id] = index
    assert max(spent.values()) <= BACKFILL_CREDITS_PER_DAY
    assert lost <= 2 * SLOT
    assert runs[-1] - min(runs[index] for index in filled_at.values()) <= timedelta(days=1)


def _oldest_gap(runs: Sequence[datetime], filled: int, index: int) -> datetime | None:
    """Return where the first pause of more than two slots begins between two runs."""
    pauses = pairwise(runs[filled : index + 1])
    return next((start for start, stop in pauses if stop - start > 2 * SLOT), None)


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
    long = [(a, b) for a, b in pairwise(edges) if b - a > 2 * gap.slot]
    assert [(g.start, g.stop) for g in left] == ([(long[0][0], long[-1][1])] if long else [])


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


def test_a_call_leaves_one_unfillable_gap_for_each_reason_however_many_stay_open() -> None:
    """A chart as coarse as the history would else leave a row for each gap, every day."""
    gaps = tuple(_gap(ago=ago, hours=0.9) for ago in range(23, 1, -1))
    task = BackfillTask("bitcoin", 1, gaps)
    [left] = fill_gaps(task, [], NOW)[1]
    assert (left.start, left.stop, left.reason) == (gaps[0].start, gaps[-1].stop, "no_prices")
    [failed] = mark_unfillable(task, "unusable_chart")
    assert (failed.start, failed.stop) == (left.start, left.stop)
