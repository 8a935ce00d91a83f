"""The probes of the containers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from safe_zone import Settings
from sentinel.health.facts import find_failures
from sentinel.notifications import outbox
from sentinel.notifications.messages import Message
from sentinel.storage import service_status
from services import probe
from services.settings import MonitorSettings
from tests.conftest import NOW, FreshDatabase
from tests.support.heartbeats import receiving
from tests.support.monitor import load, minutes


def test_the_loop_is_unhealthy_if_it_never_ran_is_late_or_cannot_deliver(
    fresh: FreshDatabase, tmp_path: Path
) -> None:
    settings = Settings(database_url=fresh.url, state_dir=tmp_path)
    monitor = MonitorSettings(settings=settings)

    def failures(after: timedelta) -> list[str]:
        return [check.name for check in find_failures(probe.check_ingestion(monitor, NOW + after))]

    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    assert failures(minutes(1)) == ["last_run"]
    with psycopg.connect(fresh.url, autocommit=True) as connection:
        state = {"interval_seconds": 300, "targets": {"a1b2": "Telegram"}}
        service_status.record(connection, "ingestion", state, NOW)
        outbox.queue_message(
            connection, Message("q", "key", "title", "body", "panic"), ["a1b2"], NOW
        )
    assert failures(minutes(1)) == []
    assert failures(minutes(11)) == ["delivery"]
    assert failures(minutes(16)) == ["freshness", "last_run", "delivery"]


def test_the_telegram_commands_are_healthy_while_a_process_answers_them(
    fresh: FreshDatabase, tmp_path: Path
) -> None:
    monitor = MonitorSettings(settings=Settings(database_url=fresh.url, state_dir=tmp_path))

    def failures(after: timedelta) -> list[str]:
        checks = probe.check_telegram(monitor, NOW + after)
        return [check.message for check in find_failures(checks)]

    stopped = "No process that answers Telegram commands runs on this database."
    assert failures(minutes(1)) == [stopped]
    with psycopg.connect(fresh.url, autocommit=True) as connection:
        service_status.record(connection, "telegram", {"is_stopped": False}, NOW)
        assert failures(minutes(1)) == []
        assert "silent for 6 minutes" in failures(minutes(6))[0]
        service_status.record(connection, "telegram", {"is_stopped": True}, NOW)
        assert failures(minutes(1)) == [stopped]


def test_a_schema_older_than_the_code_is_named_as_the_cause(
    fresh: FreshDatabase, tmp_path: Path
) -> None:
    fresh.query("DELETE FROM sentinel.schema_version WHERE version > 1")
    settings = Settings(database_url=fresh.url, state_dir=tmp_path)
    checks = probe.check_ingestion(MonitorSettings(settings=settings), NOW)
    assert [check.message for check in find_failures(checks)] == [
        "The schema is older than this code: run python ingest.py to update it."
    ]


def test_no_proxy_gets_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with receiving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert not probe.read_api_health("http://127.0.0.1:1", "the token").checks
    assert not proxy.reports
