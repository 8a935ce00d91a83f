"""Gaps, measured against each coin's usual cadence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg

from sentinel.models import Gap, MarketRow, Source
from sentinel.storage import run_records
from sentinel.storage.connection import Session
from sentinel.storage.queries.gaps import find_gaps
from sentinel.storage.queries.recent_activity import read_recent_activity
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
        return find_gaps(opened, NOW, cadence=QUARTER, **options).fetchall()


def test_gaps_are_measured_against_each_coins_observed_cadence(fresh: FreshDatabase) -> None:
    _store(fresh, "bitcoin", *REGULAR, *range(180, 0, -15))
    _store(fresh, "ethereum", *range(600, 0, -60))  # its usual cadence is once an hour
    [gap] = _find(fresh)
    assert (gap.coin_id, gap.slot, gap.missed) == ("bitcoin", QUARTER, 8)
    assert (gap.start, gap.stop) == (NOW - timedelta(minutes=315), NOW - timedelta(minutes=180))


def test_filled_gaps_are_no_gaps_and_do_not_change_the_cadence(
    fresh: FreshDatabase,
) -> None:
    _store(fresh, "bitcoin", *REGULAR, *range(180, 0, -15))
    _store(fresh, "bitcoin", *range(310, 180, -5), source="backfilled")
    assert _find(fresh) == []
    _store(fresh, "bitcoin", 1)
    assert _find(fresh) == []


def test_a_schedule_that_starts_half_of_its_runs_makes_no_gaps(fresh: FreshDatabase) -> None:
    _store(fresh, "bitcoin", *(27 * n + (n % 3) * 10 for n in range(30)))
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


def test_a_run_reads_only_the_gaps_that_a_call_may_fill(fresh: FreshDatabase) -> None:
    """The unfillable gaps of a week would cost a Neon database a gigabyte of egress a month."""
    _store(fresh, "bitcoin", *REGULAR, *range(180, 60, -15), 0)
    unfillable, _ = _find(fresh)
    with psycopg.connect(fresh.url, autocommit=True) as opened:
        run_records.record_unfillable_gaps(
            opened, [unfillable._replace(reason="only_hourly_left")], NOW
        )
        activity = read_recent_activity(
            opened, NOW, cadence=QUARTER, coin_ids=["bitcoin"], until=None, usages_since=NOW
        )
    assert [gap.stop for gap in activity.gaps] == [NOW]
    assert activity.gaps == _find(fresh, is_open=True)
