"""The credits that one run may spend on the backfill."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from budget_monitor import log_path
from pipeline.backfill import CreditBudget
from safe_zone import Settings
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from tests.conftest import NOW


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path, backfill_credits_per_day=100)


def test_reserved_credits_reduce_the_allowance_before_they_are_spent(settings: Settings) -> None:
    budget = CreditBudget(settings, Usage(NOW, 2.0, 1), (), is_exclusive=True)
    assert (budget.allowance().daily, budget.allowance().left) == (100, 100)
    budget.reserve(27)
    assert budget.allowance().left == 73
    [entry] = usage_log.read(log_path(settings)).usages
    assert (entry.api_credits, entry.backfill_credits) == (28, 27)


def test_credits_that_only_the_database_recorded_count_too(settings: Settings) -> None:
    earlier = Usage(NOW.replace(hour=3), 2.0, 41, backfill_credits=40)
    budget = CreditBudget(settings, Usage(NOW, 2.0), (earlier,), is_exclusive=True)
    assert budget.allowance().left == 60


def test_credits_of_a_second_run_that_began_later_and_ended_earlier_count_too(
    settings: Settings,
) -> None:
    second = Usage(NOW + timedelta(seconds=1), 2.0, 41, backfill_credits=40)
    usage_log.add_run(log_path(settings), second, NOW, NOW + timedelta(minutes=1))
    budget = CreditBudget(settings, Usage(NOW, 5.0), (), is_exclusive=True)
    assert budget.allowance().left == 60


def test_a_second_backfill_at_the_same_time_gets_no_credits(settings: Settings) -> None:
    budget = CreditBudget(settings, Usage(NOW, 2.0), (), is_exclusive=False)
    assert (budget.allowance().daily, budget.allowance().left) == (100, 0)
