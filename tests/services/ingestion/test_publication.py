"""The loop publishes its figures and reads those of the schedule."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from coin_registry import CoinRegistry
from pipeline.publish_place import open_place
from safe_zone import Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.coin import Coin
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.targets import make_targets
from sentinel.site.other_half import parse_document
from sentinel.storage import service_status
from sentinel.storage.connection import Connection, Session, open_connection
from services.ingestion import publication
from services.ingestion.incidents import Incidents, Tick
from services.ingestion.publication import Publication
from services.settings import MonitorSettings
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.support.monitor import ENGLISH, Target, listening, minutes
from tests.support.site import make_status

HOUR = timedelta(hours=1)


@pytest.fixture
def connection(fresh: FreshDatabase) -> Iterator[Connection]:
    with open_connection(fresh.address()) as connection:
        yield connection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "page"


@pytest.fixture
def publisher(settings: Settings, folder: Path) -> Publication:
    own = replace(settings, publish_url=str(folder))
    own.state_dir.mkdir()
    return Publication(MonitorSettings(settings=own), open_place(own))


@pytest.fixture
def visit(
    publisher: Publication, connection: Connection, time_: FakeTime
) -> Iterator[Callable[[], list[str]]]:
    """Return a function that visits and checks, and returns the messages that arrived."""
    with listening() as target:

        def visit() -> list[str]:
            publisher.visit_if_due(connection, minutes(5), time_.at)
            publisher.wait()
            return _check(publisher, connection, time_, target)

        yield visit


def _check(
    publisher: Publication, connection: Connection, time_: FakeTime, target: Target
) -> list[str]:
    target.accepted.clear()
    notifier = Notifier(make_targets([target.url]), time_.clocks)
    settings = publisher.monitor.settings
    incidents = Incidents(settings, notifier, ENGLISH, MonitorOptions())
    incidents.check(connection, Tick(minutes(5), "", time_.at, publisher.last))
    notifier.deliver(connection, seconds=60)
    return target.messages


Visit = Callable[[], list[str]]


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish an empty document: to read the figures takes most of a visit."""
    monkeypatch.setattr(publication, "read_document", lambda *_arguments: b"{}")


def test_the_monitor_publishes_its_status_once_an_hour(
    visit: Visit,
    publisher: Publication,
    connection: Connection,
    folder: Path,
    time_: FakeTime,
    settings: Settings,
) -> None:
    registry = CoinRegistry([Coin("held", "h", "Held", status="inactive")])
    registry.save(settings.registry_path)
    visit()
    first = parse_document((folder / "monitor.json").read_bytes(), "monitor")
    assert (first.generated_at, first.interval_seconds) == (time_.at, 3600)
    assert first.registry.inactive == 1
    assert first.registry.inactive_coins == [], "they would show what the user holds"
    time_.at += minutes(59)
    visit()
    assert parse_document((folder / "monitor.json").read_bytes(), "monitor") == first
    time_.at += minutes(1)
    visit()
    second = parse_document((folder / "monitor.json").read_bytes(), "monitor")
    assert second.generated_at == time_.at
    time_.at += HOUR
    publisher.visit_if_due(connection, 6 * HOUR, time_.at)
    publisher.wait()
    rare = parse_document((folder / "monitor.json").read_bytes(), "monitor")
    assert rare.interval_seconds == 6 * 3600, "old after three of them, and not before"


@pytest.mark.usefixtures("no_figures")
def test_a_schedule_on_another_database_is_watched_by_its_document(
    visit: Visit, folder: Path, time_: FakeTime, connection: Connection
) -> None:
    folder.mkdir()
    document = folder / "status.json"
    document.write_text(make_status(generated_at=NOW).model_dump_json())
    assert visit() == []
    time_.at += 25 * HOUR
    [message] = visit()
    assert message.startswith("Market Sentinel: no scheduled run for 25 hours\nThe last run is of")
    document.write_text("damaged")
    time_.at += HOUR
    assert visit() == [], "a document that cannot be read says nothing"
    document.write_text(make_status(generated_at=time_.at).model_dump_json())
    time_.at += HOUR
    [message] = visit()
    assert message.startswith("Market Sentinel: scheduled runs again, 26 hours missed")
    service_status.record(connection, "schedule", {}, time_.at)
    time_.at += 23 * HOUR
    assert visit() == [], "its run in this database is newer"


@pytest.mark.usefixtures("no_figures")
def test_a_place_that_fails_is_one_warning_and_after_a_day_an_incident(
    visit: Visit, folder: Path, time_: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    folder.touch()
    for hours in (1, 22, 1):
        assert visit() == []
        time_.at += hours * HOUR
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    assert "monitor.json is not published: The place" in caplog.text
    [message] = visit()
    assert message.startswith("Market Sentinel: the status is not published any more\nThe place")
    folder.unlink()
    time_.at += HOUR
    [message] = visit()
    assert message.startswith("Market Sentinel: the status is published again")


def test_figures_that_cannot_be_read_do_not_stop_the_loop(
    visit: Visit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publication, "read_document", lambda *_arguments: 1 / 0)
    assert visit() == []
    assert "monitor.json is not published: ZeroDivisionError" in caplog.text


def test_a_connection_that_breaks_while_the_figures_are_read_costs_no_hour(
    publisher: Publication, fresh: FreshDatabase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [psycopg.OperationalError("server closed the connection unexpectedly")]

    def read(*_arguments: object) -> bytes:
        if errors:
            raise errors.pop()
        return b"{}"

    monkeypatch.setattr(publication, "read_document", read)
    with Session(fresh.address(), sleep=lambda _seconds: None) as session:
        session.use(lambda c: publisher.visit_if_due(c, minutes(5), NOW))
    publisher.wait()
    assert (folder / "monitor.json").read_bytes() == b"{}"
