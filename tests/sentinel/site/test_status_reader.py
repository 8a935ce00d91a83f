"""The figures of the status document, from a real database."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import budget_monitor
from pipeline.report import RunReport
from safe_zone import Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.coin import Coin
from sentinel.models import MarketRow, Rejection
from sentinel.site.status import Status
from sentinel.site.status_reader import Subject, read_status
from sentinel.storage import incidents, run_records
from sentinel.storage.connection import Connection, Session, open_connection
from sentinel.storage.incidents import Incident
from tests.conftest import NOW, FreshDatabase
from tests.support.loading import load_rows, make_rows

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def _read(fresh: FreshDatabase, folder: Path, *coins: Coin, now: datetime = NOW) -> Status:
    settings = Settings(state_dir=folder)
    budget = budget_monitor.check_budget_status(settings, now, usages=[])
    subject = Subject("schedule", HOUR, budget, MonitorOptions(), coins, NOW)
    with open_connection(fresh.address()) as connection:
        return read_status(connection, settings, subject, now)


@pytest.mark.before_first_run
def test_without_a_schema_the_parts_that_need_one_are_null(
    fresh: FreshDatabase, tmp_path: Path
) -> None:
    status = _read(fresh, tmp_path)
    assert status.state == "unhealthy"
    parts = (status.schedule, status.gaps, status.rejections, status.storage)
    assert parts == (None, None, None, None)


def test_an_older_schema_counts_as_none(fresh: FreshDatabase, tmp_path: Path) -> None:
    fresh.query("DELETE FROM sentinel.schema_version WHERE version > 2")
    fresh.query("DROP TABLE sentinel.alerts, sentinel.forecasts, sentinel.outbox")
    status = _read(fresh, tmp_path)
    assert [check.name for check in status.checks if check.state == "unhealthy"] == ["database"]
    assert (status.schedule, status.storage, status.trust.alerts) == (None, None, None)


def test_an_empty_database_has_no_schedule_and_no_rows(
    fresh: FreshDatabase, tmp_path: Path
) -> None:
    status = _read(fresh, tmp_path)
    assert status.schedule is None
    assert (status.gaps, status.rejections) == ([], [])
    assert status.storage is not None
    assert status.storage.rows == 0


def _record_run(
    connection: Connection, at: datetime, *, unrecorded: int = 0, **report: Any
) -> None:
    reactivated = report.pop("reactivated", ())
    values = RunReport(
        mode="ingest",
        status="ok",
        run_id=f"{at:%Y%m%dT%H%M%SZ}-test",
        started_at=at.isoformat(),
        finished_at=at.isoformat(),
        duration_seconds=1.0,
    )
    run_records.record_run(
        connection,
        asdict(values) | report,
        unrecorded_runs=unrecorded,
        backfill_credits=0,
        reactivated=reactivated,
    )


def test_a_slot_without_a_run_is_backfilled_if_the_best_coin_has_a_backfilled_row_in_it(
    fresh: FreshDatabase, tmp_path: Path
) -> None:
    first = NOW.replace(minute=10, second=0) - 26 * HOUR
    quarters = [first + n * 15 * MINUTE for n in range(104)]
    # Two hours without a run, of which the first was backfilled; later two runs that did not reach
    # the database.
    silence, unrecorded = range(40, 48), range(60, 62)
    with open_connection(fresh.address()) as connection, connection.pipeline():
        for n, at in enumerate(quarters):
            if n not in {*silence, *unrecorded}:
                _record_run(connection, at, unrecorded=2 if n == 62 else 0)
    filled = [
        MarketRow(f"coin-{coin}", quarters[n] + offset * MINUTE, 1.0, None, None, "backfilled")
        for coin in (1, 2)
        for n in (*silence[:4], 60, 61)
        for offset in (0, 5)
    ]
    with Session(fresh.address()) as session:
        load_rows(session, filled)
        load_rows(session, [MarketRow("coin-3", quarters[45], 1.0, None, None, "backfilled")])
    schedule = _read(fresh, tmp_path).schedule
    assert schedule is not None
    assert schedule.reference_coin == "coin-1"
    assert schedule.cadence_minutes == 15
    assert len(schedule.hours) == 168
    assert len(schedule.days) == 60
    for totals in schedule.totals:
        assert (totals.expected, totals.delivered, totals.backfilled) == (104, 96, 4)
        assert totals.longest_silence_minutes == 9 * 15
        assert totals.longest_silence_from == quarters[39]
    hours = [slots for slots in schedule.hours if slots.expected]
    assert len(hours) == 26
    assert [slots.expected for slots in schedule.days[-2:]] == [56, 48]
    gap = next(slots for slots in hours if slots.start == quarters[40].replace(minute=0))
    assert (gap.expected, gap.delivered, gap.backfilled) == (4, 0, 4)


def test_the_parts_of_the_document_sum_up_what_the_tables_hold(
    fresh: FreshDatabase, tmp_path: Path
) -> None:
    with open_connection(fresh.address()) as connection:
        _record_run(connection, NOW - 9 * DAY, deactivated=["a", "b"], healed=["c"])
        _record_run(connection, NOW - HOUR, healed=["b", "d"], reactivated=["b"])
    with Session(fresh.address()) as session:
        ages = (30 * 60, 26 * 60, 25 * 60, 600, 120, 20, 5)
        coins = range(1, 4)
        load_rows(session, [r for m in ages for r in make_rows(NOW - m * MINUTE, coins=coins)])
        rejected = [
            Rejection(f"coin-{n}", "null_price", "", "run", NOW - n * DAY) for n in (1, 6, 8)
        ]
        session.use(lambda connection: run_records.record_rejections(connection, rejected))
    inactive = Coin("b", "b", "B", None, "inactive", 3, "missing", "2026-11-11T12:00:30Z", None)
    status = _read(fresh, tmp_path, Coin("a", "a", "A", 1), inactive)
    assert status.gaps is not None
    assert [(g.reason, g.gaps, g.coins, g.longest_minutes) for g in status.gaps] == [
        ("waits", 12, 3, 15 * 60),
        ("only_hourly_left", 3, 3, 60),
    ]
    assert status.gaps[0].newest_at == NOW - 120 * MINUTE
    assert status.rejections is not None
    assert [(r.reason, r.count, r.newest_at) for r in status.rejections] == [
        ("null_price", 2, NOW - DAY)
    ]
    registry = status.registry
    assert (registry.active, registry.inactive) == (1, 1)
    assert registry.inactive_coins[0].since == NOW - 9 * DAY
    assert [(c.at, c.coin_id, c.change) for c in registry.changes] == [
        (NOW - HOUR, "b", "healed"),
        (NOW - 9 * DAY, "a", "deactivated"),
        (NOW - 9 * DAY, "b", "deactivated"),
    ]
    assert status.storage is not None
    assert (status.storage.rows, status.storage.coins) == (21, 3)
    assert status.storage.oldest_at == NOW - 30 * HOUR
    assert status.newest_price_at == NOW - 5 * MINUTE
    assert status.newest_run_at == NOW - HOUR
    assert status.state == "ok"


def test_an_incident_that_goes_on_makes_the_state_unhealthy(
    fresh: FreshDatabase, tmp_path: Path
) -> None:
    outage = Incident("schedule", "coingecko_unavailable", NOW - 2 * HOUR, None, "No answer.")
    with Session(fresh.address()) as session:
        load_rows(session, make_rows())
        session.use(lambda connection: _record_run(connection, NOW))
        session.use(lambda connection: incidents.record(connection, "schedule", [outage], NOW))
        [found] = _read(fresh, tmp_path).incidents
        assert (found.began_at, found.ended_at, found.summary) == outage[2:]
        assert _read(fresh, tmp_path).state == "unhealthy"
        session.use(lambda connection: incidents.record(connection, "schedule", [], NOW))
    assert _read(fresh, tmp_path).state == "ok"
