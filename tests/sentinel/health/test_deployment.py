"""The health of a deployment, from its database and state folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from safe_zone import Settings
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.health.deployment import check_deployment
from sentinel.health.facts import HealthCheck
from sentinel.notifications import outbox
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.messages import Message
from sentinel.notifications.targets import make_targets
from sentinel.storage import service_status
from sentinel.storage.connection import Connection, open_connection
from sentinel.storage.service_status import Service
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.support.monitor import Reply, listening, minutes


@pytest.fixture
def connection(fresh: FreshDatabase) -> Iterator[Connection]:
    with open_connection(fresh.address()) as connection:
        yield connection


def _find(connection: Connection, folder: Path, now: datetime, name: str) -> HealthCheck:
    found = check_deployment(connection, Settings(state_dir=folder), now)
    return next(check for check in found.checks if check.name == name)


def test_a_target_that_answers_401_is_unhealthy_within_ten_minutes(
    connection: Connection, time_: FakeTime, tmp_path: Path
) -> None:
    with listening() as target:
        target.always = Reply(401)
        notifier = Notifier(make_targets([target.url]), time_.clocks)
        state = {"interval_seconds": 300, "targets": notifier.labels}
        service_status.record(connection, "ingestion", state, NOW)
        message = Message("bitcoin", "key", "Bitcoin fell", "body", "panic")
        outbox.queue_message(connection, message, notifier.names, NOW)
        while (check := _find(connection, tmp_path, time_.at, "delivery")).state == "ok":
            assert time_.at - NOW < minutes(10)
            time_.sleep(notifier.deliver(connection, seconds=60) or 1.0)
        assert "Messages to JSON have not arrived since" in check.summary
        assert "answered 401" in check.detail
        assert target.url not in check.message
        target.always = Reply()
        time_.sleep(3600)
        notifier.deliver(connection, seconds=60)
    assert _find(connection, tmp_path, time_.at, "delivery").state == "ok"


@pytest.mark.parametrize("sender", ["ingestion", "schedule"])
def test_messages_for_a_target_that_was_removed_are_not_overdue(
    connection: Connection, tmp_path: Path, sender: Service
) -> None:
    outbox.queue_message(
        connection, Message("bitcoin", "key", "t", "b", "panic"), ["0123456789ab"], NOW
    )
    later = NOW + minutes(11)
    assert _find(connection, tmp_path, later, "delivery").state == "unhealthy"
    service_status.record(connection, sender, {"targets": {"ba9876543210": "Telegram"}}, NOW)
    assert _find(connection, tmp_path, later, "delivery").state == "ok"


def test_a_message_that_was_given_up_is_a_warning_for_a_day(
    connection: Connection, tmp_path: Path
) -> None:
    for minute, error in enumerate(("JSON answered 413", "JSON answered 400")):
        outbox.queue_message(connection, Message("q", error, "t", "b", "panic"), ["a1b2"], NOW)
        connection.execute(
            "UPDATE sentinel.outbox SET abandoned_at = %s, last_error = message_key "
            "WHERE message_key = %s",
            [NOW + minutes(minute), error],
        )
    check = _find(connection, tmp_path, NOW + minutes(60), "delivery")
    assert (check.state, check.detail) == ("warning", "JSON answered 400.")
    assert _find(connection, tmp_path, NOW + timedelta(days=2), "delivery").state == "ok"


def test_a_loop_that_was_switched_off_no_longer_counts_where_scheduled_runs_go_on(
    connection: Connection, tmp_path: Path
) -> None:
    service_status.record(connection, "ingestion", {}, NOW - timedelta(days=8))
    assert (
        "The loop's last run was 8 days ago" in _find(connection, tmp_path, NOW, "last_run").summary
    )
    connection.execute(
        "INSERT INTO sentinel.pipeline_runs SELECT 'run', %(now)s, %(now)s, 'ingest', 'ok',"
        " 1, 1, 1, 0, 0, 0, 0, '{}', '{}', 1, 1, 0, 0",
        {"now": NOW},
    )
    assert _find(connection, tmp_path, NOW, "last_run").state == "ok"


def test_a_host_clock_that_is_wrong_is_noticed_by_the_databases(
    connection: Connection, tmp_path: Path
) -> None:
    def is_ahead() -> datetime:
        return SYSTEM_CLOCKS.now() + timedelta(hours=2)

    found = check_deployment(connection, Settings(state_dir=tmp_path), NOW, clock=is_ahead)
    [clock] = [check for check in found.checks if check.name == "clock"]
    assert clock.state == "unhealthy"
    assert "2 hours ahead" in clock.summary or "120 minutes ahead" in clock.summary
    assert _find(connection, tmp_path, NOW, "clock").state == "ok"


@pytest.mark.before_first_run
def test_without_a_schema_only_database_and_disk_are_checked(
    connection: Connection, tmp_path: Path
) -> None:
    found = check_deployment(connection, Settings(state_dir=tmp_path / "missing"), NOW)
    assert found.facts is None
    assert [check.name for check in found.checks] == ["database", "disk"]
    assert "run python ingest.py" in found.checks[0].summary
