"""The rules of the health checks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sentinel.health.checks import check_disk, check_facts
from sentinel.health.facts import (
    DiskSpace,
    HealthCheck,
    HealthFacts,
    LostMessages,
    NewestRun,
    TargetDelivery,
)
from sentinel.storage.service_status import BackupStatus, ServiceStatus
from tests.conftest import NOW

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def _check(name: str, **facts: object) -> HealthCheck:
    checks = check_facts(HealthFacts(**{"cadence": 15 * MINUTE} | facts), NOW)  # type: ignore[arg-type]
    return next(check for check in checks if check.name == name)


def _loop(age: timedelta = MINUTE, seconds: float = 60.0, **state: object) -> ServiceStatus:
    return ServiceStatus(NOW - age, {"interval_seconds": seconds, **state})


def _waiting(age: timedelta, failures: int = 0, error: str | None = None) -> TargetDelivery:
    return TargetDelivery("a1b2", "Telegram", 2, NOW - age, failures, error)


@pytest.mark.parametrize(
    ("minutes", "state", "missed"), [(2, "ok", 1), (6, "warning", 5), (16, "unhealthy", 15)]
)
def test_freshness_agrees_with_the_missed_runs(minutes: int, state: str, missed: int) -> None:
    facts = {"loop": _loop(), "newest_observation": NOW - minutes * MINUTE}
    check = _check("freshness", **facts)
    assert check.state == state
    assert (f"{missed} runs are missing" in check.summary) == (state != "ok")


def test_prices_of_the_schedule_may_be_older_than_those_of_a_loop() -> None:
    assert _check("freshness", newest_observation=NOW - 40 * MINUTE).state == "ok"
    assert _check("freshness", newest_observation=NOW - 170 * MINUTE).state == "warning"
    assert _check("freshness", newest_observation=NOW - 181 * MINUTE).state == "unhealthy"
    tight = _check("freshness", newest_observation=NOW - 61 * MINUTE, max_age=60 * MINUTE)
    assert (tight.state, "the limit is 60 minutes" in tight.summary) == ("unhealthy", True)


def test_without_a_loop_the_newest_run_counts() -> None:
    def check(minutes: int, status: str) -> str:
        return _check("last_run", newest_run=NewestRun(NOW - minutes * MINUTE, status)).state

    assert check(20, "ok") == "ok"
    assert check(20, "partial") == "warning"
    assert check(20, "failed") == "unhealthy"
    assert check(181, "ok") == "unhealthy"
    assert _check("last_run").state == "unhealthy"


def test_an_error_of_the_loop_is_only_in_the_detail() -> None:
    loop = _loop(errors=["The database sentinel on db.example cannot be used."])
    check = _check("last_run", loop=loop, newest_run=NewestRun(NOW, "ok"))
    assert check.state == "unhealthy"
    assert "db.example" not in check.summary
    assert check.message.endswith("and failed. The database sentinel on db.example cannot be used.")
    assert _check("last_run", loop=_loop(4 * MINUTE)).state == "warning"
    assert _check("last_run", loop=_loop(16 * MINUTE)).state == "unhealthy"


def test_a_target_that_refuses_or_a_message_that_waits_fails_the_delivery() -> None:
    assert _check("delivery").state == "ok"
    assert _check("delivery", deliveries=[_waiting(MINUTE, failures=2)]).state == "ok"
    refused = _waiting(MINUTE, failures=3, error="Telegram answered 401")
    check = _check("delivery", deliveries=[refused])
    assert check.state == "unhealthy"
    assert "to Telegram have not arrived since 2026-11-20 11:59 UTC (2 waiting)" in check.summary
    assert check.detail == "Telegram answered 401."
    assert _check("delivery", deliveries=[_waiting(11 * MINUTE)]).state == "unhealthy"


def test_messages_that_a_target_refused_for_good_are_a_warning() -> None:
    lost = LostMessages("Telegram", 2, "Telegram answered 400: Bad Request")
    check = _check("delivery", lost_messages=[lost])
    assert check.state == "warning"
    assert check.message == (
        "Telegram refused 2 messages for good in the last day. Telegram answered 400: Bad Request."
    )
    failing = _check("delivery", lost_messages=[lost], deliveries=[_waiting(11 * MINUTE)])
    assert failing.state == "unhealthy"


def test_a_backup_is_unhealthy_after_two_days_or_when_the_last_try_failed() -> None:
    def check(verified: timedelta | None, problem: str | None = None) -> HealthCheck:
        verified_at = None if verified is None else NOW - verified
        return _check("backup", backup=BackupStatus(NOW, verified_at, problem=problem))

    assert _check("backup").state == "ok"
    assert check(DAY).state == "ok"
    assert check(90 * DAY).state == "unhealthy"
    assert "90 days old" in check(90 * DAY).summary
    assert check(-timedelta(minutes=4)).state == "ok"
    assert check(-timedelta(minutes=6)).state == "unhealthy"  # a clock was wrong
    weekly = BackupStatus(NOW, NOW - 7 * DAY)
    assert _check("backup", backup=weekly).state == "unhealthy"
    assert _check("backup", backup=weekly, max_backup_age=8 * DAY).state == "ok"  # on Neon
    failed = check(DAY, "The disk /mnt/nas is full.")
    assert (failed.state, failed.detail) == ("unhealthy", "The disk /mnt/nas is full.")
    assert "/mnt" not in failed.summary
    assert check(None).state == "unhealthy"


@pytest.mark.parametrize(
    ("free_bytes", "total_bytes", "state"),
    [
        (11e9, 100e9, "ok"),
        (9e9, 100e9, "warning"),
        (4e9, 100e9, "unhealthy"),
        (0.6e9, 2e9, "ok"),
        (0.4e9, 2e9, "unhealthy"),
    ],
)
def test_a_disk_warns_at_ten_percent_and_fails_at_five_or_500_mb(
    free_bytes: float, total_bytes: float, state: str
) -> None:
    check = check_disk(DiskSpace("/home/pi/.sentinel", int(free_bytes), int(total_bytes)))
    assert check.state == state
    assert "/home/pi" not in check.summary
    assert "/home/pi/.sentinel" in check.message


def test_a_clock_is_compared_with_the_database_and_with_coingecko() -> None:
    assert _check("clock", database_clock_offset=-4 * MINUTE).state == "ok"
    ahead = _check("clock", database_clock_offset=7 * MINUTE)
    assert ahead.state == "unhealthy"
    assert "7 minutes ahead of the database's" in ahead.summary
    behind = _check("clock", loop=_loop(clock_offset_seconds=-3600.0))
    assert "60 minutes behind CoinGecko's" in behind.summary
    old = _loop(DAY, clock_offset_seconds=-3600.0)
    assert _check("clock", loop=old).state == "ok"


@pytest.mark.parametrize(
    ("age", "state", "expected", "text"),
    [
        (MINUTE, {"answered": 3, "strangers": 2}, "ok", "3 answered, 2 of strangers ignored"),
        (MINUTE, {"problem": "409: Conflict"}, "warning", "409: Conflict."),
        (MINUTE, {"problem": "401", "is_token_wrong": True}, "unhealthy", "401."),
        (6 * MINUTE, {}, "unhealthy", "silent for 6 minutes"),
    ],
)
def test_the_telegram_commands_are_checked_where_a_process_answers_them(
    age: timedelta, state: dict[str, object], expected: str, text: str
) -> None:
    check = _check("telegram", telegram=ServiceStatus(NOW - age, state))
    assert check.state == expected
    assert text in check.message
    names = [check.name for check in check_facts(HealthFacts(cadence=15 * MINUTE), NOW)]
    assert "telegram" not in names
