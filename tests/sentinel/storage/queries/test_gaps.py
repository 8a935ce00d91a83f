"""Gaps, measured against the configured cadence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg

from sentinel.models import Gap, MarketRow, Source
from sentinel.storage import run_records
from sentinel.storage.connection import Session
from sentinel.storage.queries.gaps import FillableCoin, find_fillable_coins, find_gaps
from tests.conftest import NOW, FreshDatabase
from tests.sentinel.storage.queries.conftest import LABELS
from tests.support.loading import load_rows

QUARTER = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
REGULAR = tuple(range(600, 300, -15))


def _store(fresh: FreshDatabase, coin_id: str, *minutes: int, source: Source = "observed") -> None:
    rows = [
        MarketRow(coin_id, NOW - timedelta(minutes=m), 1.0, None, None, source) for m in minutes
    ]
    with Session(fresh.address()) as session:
        load_rows(session, rows, find_label=LABELS.get)


def _find(fresh: FreshDatabase, **options: Any) -> list[Gap]:
    with psycopg.connect(fresh.url) as opened:
        return find_gaps(opened, NOW, **({"cadence": QUARTER} | options)).fetchall()


def _find_coins(fresh: FreshDatabase, *coin_ids: str) -> list[FillableCoin]:
    with psycopg.connect(fresh.url) as opened:
        cursor = find_fillable_coins(opened, NOW, cadence=QUARTER, coin_ids=coin_ids)
        return sorted(cursor.fetchall())


def test_a_gap_is_a_pause_of_more_than_twice_the_configured_cadence(fresh: FreshDatabase) -> None:
    _store(fresh, "bitcoin", *REGULAR, *range(180, 0, -30))
    _store(fresh, "ethereum", 100, 69)
    found = _find(fresh)
    assert [(gap.coin_id, gap.slot, gap.missed) for gap in found] == [
        ("bitcoin", QUARTER, 8),
        ("ethereum", QUARTER, 1),
    ]
    assert (found[0].start, found[0].stop) == (NOW - 315 * MINUTE, NOW - 180 * MINUTE)


def test_a_schedule_that_starts_half_of_its_runs_leaves_gaps(fresh: FreshDatabase) -> None:
    """The coin's own median must not count: with the schedule, it grows until no gap is left."""
    _store(fresh, "bitcoin", *range(1400, 0, -240))
    assert len(_find(fresh)) == 5


def test_five_minute_points_are_no_gaps_however_often_runs_come(fresh: FreshDatabase) -> None:
    _store(fresh, "bitcoin", *range(60, 30, -1), *range(30, 0, -9))
    assert _find(fresh, cadence=MINUTE) == []
    _store(fresh, "ethereum", 60, 59, 48)
    assert [gap.slot for gap in _find(fresh, cadence=MINUTE)] == [5 * MINUTE]


def test_filled_gaps_are_no_gaps(fresh: FreshDatabase) -> None:
    _store(fresh, "bitcoin", *REGULAR, *range(180, 0, -15))
    _store(fresh, "bitcoin", *range(310, 180, -5), source="backfilled")
    assert _find(fresh) == []
    _store(fresh, "bitcoin", 1)
    assert _find(fresh) == []


def test_a_coin_with_one_observation_has_a_gap_only_until_now(
    fresh: FreshDatabase,
) -> None:
    _store(fresh, "bitcoin", 300)
    assert _find(fresh) == []
    [gap] = _find(fresh, until=NOW)
    assert (gap.start, gap.stop, gap.slot) == (NOW - timedelta(minutes=300), NOW, QUARTER)


def test_gaps_are_ordered_by_rank_and_limited_to_the_given_coins(fresh: FreshDatabase) -> None:
    for coin_id in ("obscure", "ethereum", "bitcoin"):
        _store(fresh, coin_id, *REGULAR, *range(180, 0, -15))
    assert [gap.coin_id for gap in _find(fresh)] == ["bitcoin", "ethereum", "obscure"]
    assert [gap.coin_id for gap in _find(fresh, coin_ids=["obscure"])] == ["obscure"]


def test_an_unfillable_gap_has_its_reason_even_after_a_part_was_filled(
    fresh: FreshDatabase,
) -> None:
    _store(fresh, "bitcoin", *REGULAR, *range(180, 0, -15))
    [gap] = _find(fresh)
    with psycopg.connect(fresh.url, autocommit=True) as opened:
        run_records.record_unfillable_gaps(opened, [gap._replace(reason="no_prices")], NOW)
    assert [found.reason for found in _find(fresh)] == ["no_prices"]
    _store(fresh, "bitcoin", 300, source="backfilled")
    assert [found.reason for found in _find(fresh)] == ["no_prices"]


def test_a_run_learns_one_row_for_each_coin_with_gaps(fresh: FreshDatabase) -> None:
    """With half of a schedule, 500 coins have tens of thousands of gaps in a week."""
    hours = tuple(range(0, 5 * 60, 60))
    _store(fresh, "bitcoin", *(2900 + m for m in (0, 61, 122)), *hours)
    _store(fresh, "ethereum", *hours)
    _store(fresh, "obscure", *range(0, 300, 15))
    since = NOW - timedelta(minutes=240)
    assert _find_coins(fresh, "bitcoin", "ethereum", "obscure") == [
        FillableCoin("bitcoin", NOW - timedelta(minutes=2900), NOW - timedelta(minutes=3022)),
        FillableCoin("ethereum", since, None),
    ]
    assert [coin.coin_id for coin in _find_coins(fresh, "ethereum")] == ["ethereum"]


def test_a_gap_too_old_for_detail_and_too_short_for_hourly_points_needs_no_row_and_no_call(
    fresh: FreshDatabase,
) -> None:
    _store(fresh, "bitcoin", *(1800 + m for m in (0, 45, 90)))
    assert {gap.reason for gap in _find(fresh)} == {"only_hourly_left"}
    assert _find_coins(fresh, "bitcoin") == []
    assert fresh.query("SELECT count(*) FROM sentinel.unfillable_gaps") == [(0,)]


def test_an_unfillable_gap_is_not_asked_for_before_it_may_be_tried_again(
    fresh: FreshDatabase,
) -> None:
    _store(fresh, "bitcoin", 300, 200, 100)
    [first, second] = _find(fresh)
    whole = first._replace(stop=second.stop, reason="unusable_chart")
    for retry_after, is_due in ((None, False), (NOW + MINUTE, False), (NOW, True)):
        with psycopg.connect(fresh.url, autocommit=True) as opened:
            run_records.record_unfillable_gaps(opened, [whole], NOW, retry_after)
        assert bool(_find_coins(fresh, "bitcoin")) is is_due
