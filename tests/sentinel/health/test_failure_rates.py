"""Rejected and missing coins: an increase above the own baseline is a warning, noise is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from ingest import run_pipeline
from pipeline.job_summary import summarize
from safe_zone import Settings
from sentinel.health.deployment import check_deployment
from sentinel.health.failure_rates import check_failure_rates, find_raised_failures
from sentinel.models import Rejection
from sentinel.storage import run_records
from sentinel.storage.connection import Connection, open_connection
from sentinel.storage.queries.failing_coins import DayFailures, find_failing_coins
from tests.conftest import NOW, FakeTime, FreshDatabase

DAY = timedelta(days=1)


def _days(today: Mapping[str, int], *before: int, requested: int = 500) -> list[DayFailures]:
    """Return today, and days before it with these numbers of missing coins."""
    return [
        DayFailures(0, requested, today),
        *(DayFailures(n, 500, {"missing": coins}) for n, coins in enumerate(before, start=1)),
    ]


@pytest.mark.parametrize(
    ("coins", "before", "is_raised"),
    [
        (2, [1] * 14, False),
        (6, [0] * 14, False),
        (7, [0] * 14, True),
        (0, [20] * 14, False),  # only an increase counts
        (30, [20] * 14, False),
        (60, [20] * 14, True),
        (60, [20] * 7, True),
        (60, [20] * 6, False),  # too little history
        (60, [20] * 12 + [400, 300], True),  # two bad days do not raise the baseline
        (80, [5, 35] * 7, False),  # it varies that much on other days too
    ],
)
def test_an_increase_above_the_usual_share_and_its_spread_is_a_warning(
    coins: int, before: list[int], is_raised: bool
) -> None:
    check = check_failure_rates(_days({"missing": coins}, *before))
    assert check.state == ("warning" if is_raised else "ok")
    if is_raised:
        assert f"missing: {coins} of 500 coins, usually {before[0]}" in check.summary
        assert "python -m pipeline.quarantine list" in check.summary


def test_a_reason_that_is_new_has_a_baseline_of_zero() -> None:
    days = _days({"missing": 3, "price_too_high": 7}, *[3] * 14)
    assert [each.reason for each in find_raised_failures(days)] == ["price_too_high"]


def test_the_share_counts_and_not_the_number() -> None:
    """A user who collects twice as many coins gets twice as many missing ones."""
    assert find_raised_failures(_days({"missing": 40}, *[20] * 14, requested=1000)) == []
    assert find_raised_failures(_days({"missing": 50}, *[8] * 14)) != []


def test_without_a_run_today_nothing_is_raised() -> None:
    assert find_raised_failures(_days({"missing": 50}, *[0] * 14)[1:]) == []
    assert find_raised_failures([]) == []


def test_sixty_days_of_noise_at_the_usual_share_are_no_warning() -> None:
    """Each of 500 coins fails in each of 96 runs a day with the same probability."""
    dice = np.random.default_rng(7)
    for probability in (0.0005, 0.005, 0.03):
        failures = dice.binomial(96, probability, size=(60, 500))
        coins = (failures >= 3).sum(axis=1)
        for today in range(14, 60):
            days = _days({"missing": coins[today]}, *coins[today - 14 : today])
            assert find_raised_failures(days) == [], (probability, today)


# --- from the database -----------------------------------------------------------------------


@pytest.fixture
def connection(fresh: FreshDatabase) -> Iterator[Connection]:
    with open_connection(fresh.address()) as connection:
        yield connection


def _record_runs(connection: Connection, day: int, missing: int, rejected: int = 0) -> None:
    """Record four runs of a day; these coins were missing or rejected in three of them."""
    for run in range(4):
        at = NOW - day * DAY - timedelta(hours=6 * run)
        ids = [f"coin-{n}" for n in range(missing)] if run else []
        connection.execute(
            "INSERT INTO sentinel.pipeline_runs SELECT %(id)s, %(at)s, %(at)s, 'ingest', 'ok',"
            " 500, 1, 1, 0, 0, 0, 0, '{}', %(missing)s, 1, 1, 0, 0",
            {"id": f"{day}-{run}", "at": at, "missing": ids},
        )
        entries = [
            Rejection(f"odd-{n}", "null_price", "{}", f"{day}-{run}", at)
            for n in range(rejected if run else 1)
        ]
        run_records.record_rejections(connection, entries)


def test_a_coin_counts_once_if_it_failed_in_three_runs_of_the_day(connection: Connection) -> None:
    _record_runs(connection, 0, missing=9, rejected=8)
    _record_runs(connection, 1, missing=2)
    assert find_failing_coins(connection, NOW).fetchall() == [
        DayFailures(0, 500, {"missing": 9, "null_price": 8}),
        DayFailures(1, 500, {"missing": 2}),
    ]
    connection.execute("DELETE FROM sentinel.pipeline_runs WHERE run_id IN ('1-0', '1-1')")
    assert len(find_failing_coins(connection, NOW).fetchall()) == 1


def test_the_health_of_a_deployment_shows_what_rose_and_names_the_command(
    connection: Connection, tmp_path: Path
) -> None:
    for day in range(1, 15):
        _record_runs(connection, day, missing=2)
    _record_runs(connection, 0, missing=2, rejected=8)
    found = check_deployment(connection, Settings(state_dir=tmp_path), NOW)
    [check] = [check for check in found.checks if check.name == "rejections"]
    assert (check.state, check.summary) == (
        "warning",
        "More coins than usual failed in 3 or more runs of the last 24 hours (null_price: 8 of "
        "500 coins, usually 0): run python -m pipeline.quarantine list.",
    )


def test_a_scheduled_run_warns_in_its_report(
    connection: Connection, settings: Settings, time_: FakeTime
) -> None:
    for day in range(15):
        _record_runs(connection, day, missing=0 if day else 8)
    changed = replace(settings, limit=3)
    report = run_pipeline(changed, clocks=time_.clocks, is_scheduled=True)
    assert "missing: 8 of 500 coins, usually 0" in report.warnings[0]
    assert "usually 0" in summarize(report, None)
    assert run_pipeline(changed, clocks=time_.clocks).warnings == []
