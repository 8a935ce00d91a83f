"""Neon's egress: the totals that runs have read, the projection, and what it decides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from budget_monitor import BudgetStatus, check_budget_status
from safe_zone import Settings
from sentinel.budget.quota_usage import QuotaUsage
from sentinel.budget.usage_log import Usage
from tests.conftest import NeonConsole

MONTH = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
GB = 1_000_000_000
NEON = "postgresql://me@ep-cool-darkness-123456.eu-central-1.aws.neon.tech/db"


def _days(*totals: int | None, start: datetime = MONTH) -> list[Usage]:
    """One run a day, each with the month's total that it has read."""
    return [
        Usage(start + n * DAY, 1.0, 1, 1.0, egress_bytes=total) for n, total in enumerate(totals)
    ]


def _check(usages: Sequence[Usage], day: float) -> tuple[BudgetStatus, QuotaUsage]:
    status = check_budget_status(Settings(), MONTH + day * DAY, usages=usages)
    return status, next(u for u in status.quota_usages if u.name == "neon_egress_bytes")


def test_the_last_total_of_the_month_is_used_and_projected_at_its_pace() -> None:
    _, egress = _check(_days(*(n * GB // 10 for n in range(1, 11))), 10)
    assert (egress.used, egress.quota) == (1 * GB, 5 * GB)
    assert egress.projected == pytest.approx(3 * GB)


def test_one_backup_on_the_first_day_is_no_pace_but_nightly_ones_are() -> None:
    _, single = _check(_days(GB // 4), 1)
    assert single.projected == pytest.approx(GB / 4 * (1 + 29 / 7))
    assert single.state == "ok"
    status, nightly = _check(_days(*(n * GB // 4 for n in range(1, 8))), 7)
    assert (nightly.state, status.decision) == ("warn", "run")
    assert status.reason.startswith("Neon egress bytes would not last the month: 1,750.0 MB used")


def test_egress_never_stretches_runs_and_stops_them_before_it_is_used_up() -> None:
    status, egress = _check(_days(4_890_000_000), 20)
    assert (status.decision, egress.state) == ("run", "warn")
    status, egress = _check(_days(4_900_000_000), 20)
    assert (status.decision, egress.state) == ("stop", "stop")
    assert status.reason.startswith("Neon egress bytes used up: 4,900.0 MB used")


def test_egress_of_another_database_stops_no_run(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    assert check_budget_status(settings, MONTH + DAY).decision == "run"


def test_a_total_that_shrinks_is_a_new_database_of_the_same_project() -> None:
    _, egress = _check(_days(2 * GB, 0, GB), 3)
    assert egress.used == 3 * GB


def test_a_lost_log_learns_the_whole_month_from_the_next_run() -> None:
    assert _check(_days(3 * GB, start=MONTH + 20 * DAY), 21)[1].used == 3 * GB


def test_runs_that_asked_no_database_leave_the_total_as_it_is() -> None:
    assert _check(_days(None), 1)[1].used is None
    assert _check(_days(GB, None), 2)[1].used == GB


def test_a_new_month_begins_at_zero() -> None:
    usages = _days(GB, 2 * GB, start=MONTH - 2 * DAY) + _days(100)
    assert _check(usages, 0.5)[1].used == 100


def test_neons_own_figure_counts_if_it_is_larger_over_neons_own_month(
    neon: NeonConsole, tmp_path: Path
) -> None:
    project = {
        "data_transfer_bytes": 4 * GB,
        "consumption_period_start": "2026-11-05T00:00:00Z",
        "consumption_period_end": "2026-12-05T00:00:00Z",
    }
    neon.bodies["p-1"] = json.dumps({"project": project}).encode()
    settings = Settings(
        state_dir=tmp_path,
        database_url=NEON,
        neon_api_key="napi-secret",
        neon_project_id="p-1",
        neon_base_url=neon.url,
    )
    status = check_budget_status(settings, MONTH + 19 * DAY)
    [egress] = [u for u in status.quota_usages if u.name == "neon_egress_bytes"]
    assert (egress.spent, egress.resets_at) == (4 * GB, MONTH + 34 * DAY)
    assert egress.projected == pytest.approx(8 * GB)
    assert (egress.state, status.decision) == ("warn", "run")
