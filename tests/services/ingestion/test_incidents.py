"""Incidents: one message about the begin of what is wrong with the monitor, one about its end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo.server import Fault, StandIn
from safe_zone import Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.errors import ApiUnavailable, StorageUnavailable
from sentinel.health import deployment
from sentinel.health.facts import DiskSpace
from sentinel.heartbeat import Heartbeat
from sentinel.notifications import outbox, telegram
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.delivery_rules import DeliveryRules
from sentinel.notifications.messages import Message, MessageFormatter
from sentinel.notifications.quiet_hours import QuietHours
from sentinel.notifications.targets import make_targets
from sentinel.storage import service_status
from sentinel.storage.connection import Address, Connection, open_connection
from sentinel.storage.incidents import Incident, list_incidents
from services.ingestion.incidents import Incidents, Tick
from services.ingestion.loop import Loop
from services.settings import MonitorSettings
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.sentinel.notifications.helpers import CHAT
from tests.support.commands import Module
from tests.support.heartbeats import receiving
from tests.support.monitor import ENGLISH, Reply, Target, listening, load, minutes
from tests.support.telegram import BLOCKED

INDONESIAN = MessageFormatter("id", ENGLISH.zone)
FIVE_MINUTES = minutes(5)


@pytest.fixture
def connection(fresh: FreshDatabase) -> Iterator[Connection]:
    with open_connection(fresh.address()) as connection:
        yield connection


@pytest.fixture
def target() -> Iterator[Target]:
    with listening() as target:
        yield target


@pytest.fixture
def other() -> Iterator[Target]:
    with listening() as target:
        yield target


@pytest.fixture
def check(
    settings: Settings, time_: FakeTime, target: Target, connection: Connection
) -> Callable[..., list[str]]:
    """Return a function that checks as after a restart, and returns the messages that arrived."""
    settings.state_dir.mkdir()

    def check(problem: str = "", formatter: MessageFormatter = ENGLISH) -> list[str]:
        target.accepted.clear()
        notifier = Notifier(make_targets([target.url]), time_.clocks)
        incidents = Incidents(settings, notifier, formatter, MonitorOptions())
        incidents.check(connection, Tick(FIVE_MINUTES, problem, time_.at))
        notifier.deliver(connection, seconds=60)
        return target.messages

    return check


# --- prices ----------------------------------------------------------------------------------


def test_thirty_minutes_without_prices_are_reported_once_and_their_end_too(
    check: Callable[..., list[str]],
    time_: FakeTime,
    fresh: FreshDatabase,
    connection: Connection,
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 90_000.0)], NOW)
    time_.at = NOW + minutes(29)
    assert check("CoinGecko does not respond.") == []
    time_.at = NOW + minutes(31)
    assert check("CoinGecko does not respond.") == [
        "Market Sentinel: no prices for 31 minutes\nCoinGecko does not respond.\n"
        "The last price is of 20 Nov 19:00 WIB. There are no alerts without new prices."
    ]
    time_.at = NOW + minutes(90)
    assert check("CoinGecko does not respond.") == []
    load(fresh.address(), [(time_.at, "bitcoin", 90_000.0)], time_.at)
    [begun] = list_incidents(connection, NOW, 9, NOW)
    assert check() == [
        "Market Sentinel: prices again, 90 minutes missed\nNo price was observed from "
        "20 Nov 19:00 WIB to 20 Nov 20:30 WIB. Prices that are filled in later trigger no alerts."
    ]
    assert check() == []
    summary = "No new prices arrived at the monitor."
    assert begun == Incident("monitor", "prices", NOW, None, summary)
    assert list_incidents(connection, NOW, 9, NOW) == [begun._replace(ended_at=time_.at)]


def test_old_prices_in_good_responses_are_reported_too(
    check: Callable[..., list[str]], time_: FakeTime, fresh: FreshDatabase
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 90_000.0)], NOW)
    time_.at = NOW + minutes(40)
    [message] = check(formatter=INDONESIAN)
    assert "tidak ada harga selama 40 menit\nCoinGecko menjawab, tetapi tidak" in message


def test_a_database_without_a_price_is_no_incident(check: Callable[..., list[str]]) -> None:
    assert check("CoinGecko does not respond.") == []


def test_more_failing_coins_than_usual_are_reported_once_and_their_end_too(
    check: Callable[..., list[str]], time_: FakeTime, connection: Connection
) -> None:
    def record(at: datetime, *ids: str) -> None:
        for run in range(3):
            connection.execute(
                "INSERT INTO sentinel.pipeline_runs SELECT %(id)s, %(at)s, %(at)s, 'ingest', 'ok',"
                " 500, 1, 1, 0, 0, 0, 0, '{}', %(ids)s, 1, 1, 0, 0",
                {"id": f"{at}-{run}", "at": at, "ids": list(ids)},
            )

    for day in range(1, 15):
        record(NOW - timedelta(days=day), "coin-1")
    assert check() == []
    record(NOW, *(f"coin-{n}" for n in range(40)))
    assert check() == [
        "Market Sentinel: more coins than usual are rejected or missing\nIn the last 24 hours:\n"
        "- missing: 40 of 500 coins, usually 1\n"
        "What CoinGecko sent: python -m pipeline.quarantine list"
    ]
    assert check(formatter=INDONESIAN) == []
    time_.at = NOW + timedelta(hours=25)
    record(time_.at, "coin-1")
    [message] = check(formatter=INDONESIAN)
    assert message.startswith("Market Sentinel: jumlah koin yang ditolak atau hilang kembali norm")


Start = Callable[..., Loop]


@pytest.fixture
def start(settings: Settings, time_: FakeTime, target: Target, other: Target) -> Start:
    """Return a function that makes a loop over three coins, like a restart."""

    def start(database_url: str | None = settings.database_url, heartbeat: str = "") -> Loop:
        changed = replace(settings, database_url=database_url, limit=3)
        return Loop(
            MonitorSettings(settings=changed),
            Notifier(make_targets([target.url, other.url]), time_.clocks),
            ENGLISH,
            time_.clocks,
            requested_interval=FIVE_MINUTES,
            heartbeat=Heartbeat(heartbeat or None),
        )

    return start


def test_a_tick_after_an_outage_reports_the_missed_minutes(
    start: Start, time_: FakeTime, target: Target
) -> None:
    start().tick()
    time_.at += timedelta(hours=3)
    start().tick()
    assert target.titles == ["Market Sentinel: prices again, 180 minutes missed"]


@pytest.mark.slow
def test_an_outage_of_coingecko_is_reported_once_although_the_loop_is_restarted(
    start: Start, time_: FakeTime, target: Target, stand_in: StandIn
) -> None:
    start().tick()
    stand_in.always = Fault(503)
    began = time_.at
    while time_.at < began + minutes(60):
        time_.at += minutes(10)
        assert start().tick().exit_code == ApiUnavailable.exit_code
    [(title, body)] = target.accepted
    assert title.startswith("Market Sentinel: no prices for 3")
    assert body.startswith("CoinGecko gave no usable response")
    stand_in.always = None
    start().tick()
    start().tick()
    assert [title.rpartition(",")[0] for title in target.titles[1:]] == [
        "Market Sentinel: prices again"
    ]


@pytest.mark.slow
def test_an_outage_of_the_database_is_reported_without_the_outbox_once(
    start: Start, time_: FakeTime, target: Target, other: Target, fresh: FreshDatabase
) -> None:
    start().tick()
    for _ in range(5):
        time_.at += minutes(12)
        assert start("postgresql://user@127.0.0.1:9/away").tick().exit_code == 4
    [(title, body)] = target.accepted
    # 36 minutes of pauses, and the attempts to connect of three ticks.
    assert re.fullmatch(r"Market Sentinel: no prices for 3[67] minutes", title)
    assert "127.0.0.1" in body
    assert other.accepted == target.accepted
    assert fresh.query("SELECT count(*) FROM sentinel.outbox") == [(0,)]
    start().tick()
    [(kind, duration)] = fresh.query("SELECT incident, ended_at - began_at FROM sentinel.incidents")
    assert kind == "prices"
    missed = duration // minutes(1)
    assert 60 <= missed <= 63
    assert target.titles[1:] == [f"Market Sentinel: prices again, {missed} minutes missed"]


def test_a_database_that_does_not_start_is_reported_before_the_first_tick(
    module: Module, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve_database(_settings: Settings) -> AbstractContextManager[Address]:
        raise StorageUnavailable("The embedded PostgreSQL does not start.")

    monkeypatch.setattr("services.ingestion.__main__.resolve_database", resolve_database)
    state = Path(module.environment["SENTINEL_STATE_DIR"])
    state.mkdir()
    stored = {"timestamp": (datetime.now(UTC) - minutes(40)).isoformat(), "duration_sec": 1}
    (state / "usage_log.json").write_text(json.dumps([stored]))
    done = module("services.ingestion", "--once", ALERT_URLS=target.url)
    assert done.returncode == 4, done.stderr
    [(title, body)] = target.accepted
    assert title == "Market Sentinel: no prices for 40 minutes"
    assert body.startswith("The embedded PostgreSQL does not start.")


# --- targets ---------------------------------------------------------------------------------


def _queue(loop: Loop, connection: Connection, key: str) -> None:
    message = Message(key, key, key, "body", "panic")
    outbox.queue_message(connection, message, loop.notifier.names, loop.clocks.now())


def test_a_failing_target_is_reported_at_the_others_within_ten_minutes_and_once(
    start: Start,
    time_: FakeTime,
    target: Target,
    other: Target,
    connection: Connection,
) -> None:
    loop = start()
    loop.tick()
    target.always = Reply(401)
    _queue(loop, connection, "alert")
    loop._pause_until(time_.monotonic() + 600)
    assert other.titles == ["alert", "Market Sentinel: JSON 1 accepts no messages"]
    assert other.accepted[1][1].startswith(
        "JSON answered 401\nMessages that wait: 1, the oldest since 20 Nov 19:00 WIB."
    )
    again = start()
    again.tick()
    assert len(other.titles) == 2
    target.always = Reply()
    again._pause_until(time_.monotonic() + 600)
    works = "Market Sentinel: JSON 1 accepts messages again"
    assert target.titles == ["alert", works]
    assert other.titles[2:] == [works]
    [before] = list_incidents(connection, NOW, 9, NOW)
    again.tick()
    [incident] = list_incidents(connection, NOW, 9, NOW)
    # The page names no target.
    assert (incident.incident, incident.began_at) == ("target", NOW)
    assert incident.summary == "An alert target accepted no messages."
    assert before.ended_at is None
    assert incident.ended_at


def test_telegrams_own_words_are_in_the_incident_and_in_the_health_check(
    settings: Settings,
    time_: FakeTime,
    target: Target,
    other: Target,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telegram, "API_URL", target.base_url)
    target.always = BLOCKED
    settings.state_dir.mkdir()
    notifier = Notifier(make_targets([CHAT, other.url]), time_.clocks)
    incidents = Incidents(settings, notifier, ENGLISH, MonitorOptions())
    outbox.queue_message(connection, Message("q", "k", "t", "b", "panic"), notifier.names, NOW)
    for _ in range(3):
        notifier.deliver(connection, seconds=60)
        time_.at += minutes(5)
    incidents.check_targets(connection, time_.at)
    notifier.deliver(connection, seconds=60)
    reason = "Telegram answered 403: Forbidden: bot was blocked by the user"
    assert other.accepted[1][1].startswith(f"{reason}\n")
    service_status.record(connection, "ingestion", {"targets": notifier.labels}, time_.at)
    health = deployment.check_deployment(connection, settings, time_.at)
    [delivery] = [check for check in health.checks if check.name == "delivery"]
    assert delivery.detail == f"{reason}."


@pytest.mark.slow
def test_a_single_target_that_fails_is_reported_to_the_dead_mans_switch(
    start: Start, time_: FakeTime, target: Target, other: Target, connection: Connection
) -> None:
    target.always = other.always = Reply(401)
    with receiving() as receiver:
        loop = start(heartbeat=receiver.url)
        _queue(loop, connection, "alert")
        loop.tick()
        loop._pause_until(time_.monotonic() + 300)
        loop.tick()
        loop.heartbeat.wait()
        assert receiver.reports == [
            ("GET", ""),
            (
                "POST /fail",
                "exit code 6\nNo alert target accepts messages: JSON 1 (JSON answered 401), "
                "JSON 2 (JSON answered 401).",
            ),
        ]


@pytest.mark.slow
def test_a_target_whose_messages_were_abandoned_does_not_work_again(
    start: Start, target: Target, other: Target, time_: FakeTime, connection: Connection
) -> None:
    target.always = Reply(400)
    loop = start()
    _queue(loop, connection, "alert")
    loop._pause_until(time_.monotonic() + timedelta(hours=12).total_seconds())
    assert other.titles == ["alert", "Market Sentinel: JSON 1 accepts no messages"]
    assert target.titles == []


# --- disk ------------------------------------------------------------------------------------


def test_a_full_disk_and_its_end_are_reported_once(
    check: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, time_: FakeTime
) -> None:
    free = 10**11

    def read_disk_space(folder: Path) -> DiskSpace:
        return DiskSpace(str(folder), free, 10**11)

    monkeypatch.setattr(deployment, "read_disk_space", read_disk_space)
    assert check() == []
    free = 3 * 10**9
    [message] = check()
    assert message.startswith(
        "Market Sentinel: the disk is almost full\n3 GB (3.0%) are free in the state folder."
    )
    assert check() == []
    free = 7 * 10**9  # no longer unhealthy, but health checks still warn
    assert check() == []
    time_.at += minutes(5)
    free = 20 * 10**9
    assert check() == [
        "Market Sentinel: the disk has space again\n20 GB (20.0%) are free. It was almost full "
        "from 20 Nov 19:00 WIB to 20 Nov 19:05 WIB."
    ]
    assert check() == []


def test_a_full_disk_that_stops_the_database_is_reported_directly_once(
    settings: Settings, time_: FakeTime, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.state_dir.mkdir()
    monkeypatch.setattr(deployment, "read_disk_space", lambda _: DiskSpace("state", 0, 10**11))
    notifier = Notifier(make_targets([target.url]), time_.clocks)
    for _ in range(3):
        incidents = Incidents(settings, notifier, ENGLISH, MonitorOptions())
        incidents.check_without_database(Tick(FIVE_MINUTES, "", time_.at))
    assert target.titles == ["Market Sentinel: the disk is almost full"]


def test_an_incident_of_quiet_hours_is_reported_directly_after_them(
    settings: Settings, time_: FakeTime, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.state_dir.mkdir()
    monkeypatch.setattr(deployment, "read_disk_space", lambda _: DiskSpace("state", 0, 10**11))
    quiet_hours = QuietHours.model_validate({"from": "19:00", "to": "20:00"})
    rules = DeliveryRules(ENGLISH, quiet_hours=quiet_hours)
    notifier = Notifier(make_targets([target.url]), time_.clocks, rules)
    incidents = Incidents(settings, notifier, ENGLISH, MonitorOptions())
    for messages in ([], ["Market Sentinel: the disk is almost full"]):
        incidents.check_without_database(Tick(FIVE_MINUTES, "", time_.at))
        assert target.titles == messages
        time_.at += timedelta(hours=1)


def test_what_was_announced_is_overwritten_in_place(
    check: Callable[..., list[str]], time_: FakeTime, fresh: FreshDatabase, settings: Settings
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 90_000.0)], NOW)
    check()
    file = settings.state_dir / "incidents.json"
    before = file.stat()
    time_.at += minutes(31)
    assert len(check("a reason")) == 1
    after = file.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert after.st_mode & 0o777 == 0o600
    file.write_bytes(b"{damaged")
    assert check("a reason") == []  # the outbox knows the message too


# --- the schedule ----------------------------------------------------------------------------


def test_a_schedule_that_stops_is_reported_once_and_its_return_too(
    check: Callable[..., list[str]], time_: FakeTime, connection: Connection
) -> None:
    service_status.record(connection, "schedule", {}, NOW)
    time_.at = NOW + timedelta(hours=24)
    assert check() == []
    time_.at = NOW + timedelta(hours=25)
    assert check() == [
        "Market Sentinel: no scheduled run for 25 hours\nThe last run is of 20 Nov 19:00 WIB. "
        "Look at the schedule: GitHub may have disabled the workflow (Actions page)."
    ]
    time_.at = NOW + timedelta(hours=50)
    assert check() == []
    service_status.record(connection, "schedule", {}, time_.at)
    assert check() == [
        "Market Sentinel: scheduled runs again, 50 hours missed\n"
        "No scheduled run came from 20 Nov 19:00 WIB to 22 Nov 21:00 WIB."
    ]
    assert check() == []


def test_a_schedule_that_was_silent_for_a_week_was_switched_off(
    check: Callable[..., list[str]], time_: FakeTime, connection: Connection
) -> None:
    service_status.record(connection, "schedule", {}, NOW)
    time_.at = NOW + timedelta(days=8)
    assert check() == []
