"""The job's summary: its content, and how it escapes names from outside."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from budget_monitor import check_budget_status
from pipeline.job_summary import find_warnings, summarize
from pipeline.report import RunReport
from safe_zone import Settings
from sentinel import console
from sentinel.budget.schedule import SlotCoverage
from sentinel.budget.usage_log import Usage
from tests.support.commands import Module

MONTH = datetime(2026, 11, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def _status(*minutes: int, **settings: Any) -> Any:
    usages = [Usage(MONTH + timedelta(minutes=m), 12.0, db_seconds=1.0) for m in minutes]
    at = usages[-1].started_at + timedelta(seconds=30)
    return check_budget_status(Settings(**settings), at, usages=usages)


def _report(**fields: Any) -> RunReport:
    moment = MONTH.isoformat()
    named = {"mode": "ingest", "status": "ok", "run_id": "r", "message": "fine"} | fields
    return RunReport(started_at=moment, finished_at=moment, duration_seconds=1.25, **named)


def test_two_slots_missed_in_a_row_are_a_warning() -> None:
    assert find_warnings(_status(0, 15, 45)) == []
    [warning] = find_warnings(_status(0, 15, 60))
    assert warning.startswith("2 scheduled runs in a row did not come")
    assert f"**{warning}**" in summarize(_report(), _status(0, 15, 60)).replace("\\", "")


def test_a_quota_that_runs_out_is_shown_with_its_remedy() -> None:
    [warning] = find_warnings(_status(*range(0, 14_400, 5)))
    assert warning.startswith("neon_compute_hours: 180% of the quota by the month's end (warn)")
    assert "Remedy: runs are stretched" in warning


def test_the_page_shows_run_budget_and_schedule() -> None:
    slots = SlotCoverage(100, 57_600.0, 0.481, 0.509, 0.01, 30.0)
    report = _report(
        rows_inserted=500, rejected={"null_price": 2}, missing=["a"] * 12, slot_coverage=slots
    )
    page = summarize(report, _status(0, 15, 30))
    for words in (
        "## Run ok",
        "| rows\\_inserted | 500 |",
        "| rejected: null\\_price | 2 |",
        "12: a, a, a, a, a, a, a, a, a, a and 2 more",
        "## Budget: run",
        "- schedule coverage, last 7 days: 3 of 3 slots (100%), longest silence 15 minutes",
        "- history, last 7 days: first 100 coins: 48% of the slots observed, 51% backfilled, "
        "1% open, longest pause 30 minutes",
        "- backfill today: 150 credits left",
    ):
        assert words in page


def test_a_missing_report_and_invalid_settings_still_make_a_page() -> None:
    assert summarize(None, None) == "## The run ended without a report\n\nIts log has the reason.\n"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"status": "ok"}', '{"status": "ok", "rejected": null}', "\ufeff5"]
)
def test_a_part_of_a_report_counts_as_none(module: Module, tmp_path: Path, content: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    done = module("pipeline.job_summary", str(path))
    assert done.returncode == 0
    assert done.stdout.startswith("## The run ended without a report")


def test_a_whole_report_is_read(module: Module, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(asdict(_report(rejected={"null_price": 2}))))
    page = module("pipeline.job_summary", str(path)).stdout
    assert page.startswith("## Run ok")
    assert "| rejected: null\\_price | 2 |" in page


def test_names_from_outside_are_escaped() -> None:
    page = summarize(_report(missing=["<script>|x|`y`[z](http://evil)"], message="a\nb"), None)
    assert "<script>" not in page
    assert "&lt;script&gt;\\|x\\|\\`y\\`\\[z\\](http://evil)" in page
    assert "a b" in page


@pytest.mark.parametrize(
    ("on_actions", "expected"),
    [("true", "::error::50%25 of it%0Afailed\n"), ("", "error: 50% of it\nfailed\n")],
)
def test_a_warning_is_an_annotation_on_github(
    on_actions: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", on_actions)
    console.print_error("50% of it\nfailed")
    assert capsys.readouterr().err == expected
