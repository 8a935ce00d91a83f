"""The simulated year: it notices a budget check that lets a quota be passed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import simulated_year
from benchmarks.quotas import START, every, report_quota
from benchmarks.results import Result
from benchmarks.simulated_year import COMPUTE, Case, Year
from budget_monitor import BudgetStatus, check_budget_status

# The compute is awake most of the time, which costs 170 hours in a month.
EXPENSIVE = Case("expensive", every(60), database_seconds=3_000.0, days=31)


def _simulate() -> Result:
    year = Year(EXPENSIVE, tail_seconds=300)
    year.simulate(START)
    return report_quota(year, COMPUTE)


@pytest.mark.slow
def test_the_budget_check_keeps_an_expensive_schedule_within_its_compute_hours() -> None:
    assert 90 < _simulate().value <= 95.5


@pytest.mark.slow
def test_a_budget_check_that_skips_no_run_is_outside_the_quota(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def check(*arguments: object, **options: object) -> BudgetStatus:
        status = check_budget_status(*arguments, **options)  # type: ignore[arg-type]
        return replace(status, decision="run")

    monkeypatch.setattr(simulated_year, "check_budget_status", check)
    assert not _simulate().is_within_limit
