"""The scheduled run and the monitor on the same database watch each other."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from demo.server import StandIn
from ingest import run_pipeline
from pipeline import store
from pipeline.job_summary import summarize
from pipeline.report import RunReport
from safe_zone import Settings
from sentinel.storage import service_status
from sentinel.storage.connection import Session
from sentinel.storage.service_status import ServiceStatus
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.support.commands import Script

WARNING = "The monitor on this database has been silent for {}: make status."


def _record_tick(session: Session, at: datetime) -> None:
    state = {"interval_seconds": 300}
    session.use(lambda connection: service_status.record(connection, "ingestion", state, at))


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(minutes=14), None),
        (timedelta(minutes=16), "16 minutes"),
        (timedelta(days=6), "6 days"),
        (timedelta(days=8), None),  # it was switched off
    ],
)
def test_a_monitor_that_stopped_within_the_last_week_is_a_warning(
    age: timedelta, text: str | None
) -> None:
    monitor = ServiceStatus(NOW - age, {"interval_seconds": 300})
    expected = [] if text is None else [WARNING.format(text)]
    assert store._describe_silence(monitor, NOW) == expected


def test_a_database_without_a_monitor_is_no_warning() -> None:
    assert store._describe_silence(None, NOW) == []


def test_the_runs_of_the_loop_and_of_a_person_are_not_the_schedule(
    settings: Settings, session: Session, time_: FakeTime
) -> None:
    _record_tick(session, NOW - timedelta(hours=1))
    report = run_pipeline(replace(settings, limit=3), clocks=time_.clocks)
    assert report.warnings == []
    assert session.use(lambda connection: service_status.read(connection, "schedule")) is None


def test_a_wrong_clock_of_the_run_makes_no_monitor_silent(
    settings: Settings, session: Session, time_: FakeTime, stand_in: StandIn
) -> None:
    stand_in.now = (NOW - timedelta(minutes=30)).timestamp
    _record_tick(session, NOW - timedelta(minutes=31))
    report = run_pipeline(replace(settings, limit=3), clocks=time_.clocks, is_scheduled=True)
    assert (report.clock_offset_seconds, report.warnings) == (1800, [])


@pytest.mark.parametrize("variable", ["GITHUB_ACTIONS", "HEARTBEAT_URL"])
def test_a_run_on_github_or_with_a_dead_mans_switch_is_scheduled(
    live_script: Script, fresh: FreshDatabase, session: Session, variable: str
) -> None:
    _record_tick(session, datetime.now(UTC) - timedelta(minutes=30))
    value = {"GITHUB_ACTIONS": "true", "HEARTBEAT_URL": "http://127.0.0.1:9"}[variable]
    done = live_script("ingest.py", "--limit", "3", "--json", **{variable: value})
    report = json.loads(done.stdout)
    warning = WARNING.format("30 minutes")
    assert report["warnings"] == [warning]
    assert warning in done.stderr
    assert ("::warning::The monitor" in done.stderr) is (variable == "GITHUB_ACTIONS")
    assert f"**{warning}**" in summarize(RunReport(**report), None)
    assert fresh.query(
        "SELECT state->>'run_id' FROM sentinel.service_status WHERE service = 'schedule'"
    ) == [(report["run_id"],)]
