"""When an outage fails the scheduled job, and when it only leaves a warning."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.job_result import is_repeated
from sentinel.budget.usage_log import Usage

NOON = datetime(2026, 11, 20, 12, 7, tzinfo=UTC)


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
