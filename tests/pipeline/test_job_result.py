"""When an outage fails the scheduled job, and when it only leaves a warning."""

from __future__ import annotations

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
