"""When an outage fails the scheduled job, and when it only leaves a warning."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.job_result import is_repeated
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from tests.support.commands import Module

NOON = datetime(2026, 11, 20, 12, 7, tzinfo=UTC)


@pytest.fixture
def module(script_environment: dict[str, str], tmp_path: Path) -> Module:
    return Module(tmp_path, script_environment)


@pytest.mark.parametrize(
    ("previous", "newest", "repeated"),
    [
        ((NOON, 4), (NOON.replace(minute=22), 4), True),
        ((NOON, 0), (NOON.replace(minute=22), 4), False),  # the first of an outage
        ((NOON, 3), (NOON.replace(minute=22), 4), False),  # another one
        ((NOON, 4), (NOON.replace(day=21, hour=0), 4), False),  # the first of a day
        ((NOON, 0), (NOON.replace(minute=22), 0), False),
    ],
)
def test_a_failure_is_repeated_if_the_run_before_it_failed_too_on_the_same_day(
    previous: tuple[datetime, int], newest: tuple[datetime, int], repeated: bool
) -> None:
    usages = [Usage(at, 1.0, exit_code=code) for at, code in (previous, newest)]
    usages.insert(1, Usage(NOON.replace(minute=9), 1.0, is_skipped=True))
    assert is_repeated(usages) is repeated


def test_a_first_run_is_never_repeated() -> None:
    assert not is_repeated([])
    assert not is_repeated([Usage(NOON, 1.0, exit_code=4)])


@pytest.mark.parametrize(
    ("event", "scheduled", "code"),
    [
        ("schedule", "", 0),
        ("workflow_dispatch", "true", 0),  # an external trigger
        ("workflow_dispatch", "false", 4),  # a person, who waits for the result
    ],
)
def test_a_repeated_failure_fails_only_the_job_of_a_person(
    module: Module, event: str, scheduled: str, code: int
) -> None:
    state_dir = Path(module.environment["SENTINEL_STATE_DIR"])
    state_dir.mkdir(exist_ok=True)
    usages = [Usage(NOON.replace(minute=minute), 1.0, exit_code=4) for minute in (7, 22)]
    (state_dir / "usage_log.json").write_text(usage_log.to_text(usages))
    done = module("pipeline.job_result", "4", GITHUB_EVENT_NAME=event, SCHEDULED=scheduled)
    assert done.returncode == code


@pytest.mark.parametrize(
    ("started_at", "scheduled", "code", "result"),
    [
        (NOON.isoformat(), "true", 4, 0),
        (NOON.isoformat(), "true", 2, 0),
        (NOON.isoformat(), "false", 4, 4),  # a person
        (NOON.replace(minute=9).isoformat(), "true", 2, 2),  # the log does not know the run
        ("", "true", 2, 2),  # its settings did not let it begin
    ],
)
def test_no_run_fails_the_job_that_an_issue_reports(
    module: Module, tmp_path: Path, started_at: str, scheduled: str, code: int, result: int
) -> None:
    state_dir = Path(module.environment["SENTINEL_STATE_DIR"])
    state_dir.mkdir(exist_ok=True)
    usage = Usage(NOON, 1.0, exit_code=code)
    (state_dir / "usage_log.json").write_text(usage_log.to_text([usage]))
    times = {"started_at": started_at, "finished_at": started_at, "duration_seconds": 1.0}
    report = {"mode": "ingest", "run_id": started_at and "a-run", **times}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    variables = {"SCHEDULED": scheduled, "INCIDENT_ISSUES": "true"}
    assert module("pipeline.job_result", str(code), str(path), **variables).returncode == result
    variables["INCIDENT_ISSUES"] = ""
    done = module("pipeline.job_result", str(code), str(path), **variables)
    assert done.returncode == code  # the first failure of the day
