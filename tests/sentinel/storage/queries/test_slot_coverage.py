"""Which part of the history runs observed, and which part was backfilled."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from sentinel.budget.schedule import SlotCoverage
from sentinel.models import MarketRow, Source
from sentinel.storage.connection import Session
from sentinel.storage.queries.slot_coverage import list_best_coins, measure_slot_coverage
from tests.conftest import NOW, FreshDatabase
from tests.sentinel.storage.queries.conftest import LABELS
from tests.support.loading import load_rows

QUARTER = timedelta(minutes=15)
DAY = 1440


def _store(fresh: FreshDatabase, coin_id: str, *minutes: int, source: Source = "observed") -> None:
    rows = [
        MarketRow(coin_id, NOW - timedelta(minutes=m), 1.0, None, None, source) for m in minutes
    ]
    with Session(fresh.address()) as session:
        load_rows(session, rows, find_label=LABELS.get)


def _measure(
    fresh: FreshDatabase, coins: int = 10, cadence: timedelta = QUARTER
) -> SlotCoverage | None:
    with psycopg.connect(fresh.url) as opened:
        return measure_slot_coverage(opened, NOW, cadence=cadence, coins=coins).fetchone()


def test_shares_of_the_slots_that_runs_and_backfills_filled(fresh: FreshDatabase) -> None:
    """Twenty slots: eight observed, four backfilled, and a pause of two hours of which one is."""
    _store(fresh, "bitcoin", *(DAY + m for m in range(0, 121, 15)), 0)
    _store(fresh, "bitcoin", *(DAY + 240 + m for m in range(0, 46, 15)), source="backfilled")
    _store(fresh, "bitcoin", DAY + 300)
    found = _measure(fresh)
    assert found is not None
    assert (found.coins, found.slots, found.longest_pause_minutes) == (1, 20.0, 120.0)
    assert found.observed_share == pytest.approx(9 / 20)
    assert found.backfilled_share == pytest.approx(4 / 20)
    assert found.open_share == pytest.approx(7 / 20)
    assert str(found) == (
        "first 1 coins: 45% of the slots observed, 20% backfilled, 35% open, "
        "longest pause 120 minutes"
    )


def test_runs_that_come_a_little_early_or_late_leave_no_slot_open(fresh: FreshDatabase) -> None:
    _store(fresh, "bitcoin", *(DAY + m for m in (0, 13, 30, 44, 66, 75)), 0)
    found = _measure(fresh)
    assert found is not None
    assert (found.observed_share, found.open_share) == (1.0, 0.0)


def test_five_minute_points_fill_the_gaps_of_a_faster_loop(fresh: FreshDatabase) -> None:
    _store(fresh, "bitcoin", DAY + 21, DAY, 0)
    _store(fresh, "bitcoin", DAY + 5, DAY + 10, DAY + 15, source="backfilled")
    found = _measure(fresh, cadence=timedelta(minutes=1))
    assert found is not None
    assert found.backfilled_share == pytest.approx(16 / 21)
    assert found.open_share == 0.0


def test_the_last_day_and_coins_beyond_the_covered_ones_do_not_count(fresh: FreshDatabase) -> None:
    _store(fresh, "bitcoin", 600, 300, 0)
    assert _measure(fresh) is None
    _store(fresh, "bitcoin", DAY + 15, DAY)
    _store(fresh, "obscure", DAY + 600, DAY, 0)
    found = _measure(fresh, coins=1)
    assert found is not None
    assert (found.coins, found.longest_pause_minutes) == (1, 15.0)
    assert _measure(fresh, coins=0) is None
    with psycopg.connect(fresh.url) as opened:
        assert list_best_coins(opened, NOW, 1) == ["bitcoin"]
