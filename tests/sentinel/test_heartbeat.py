"""What a dead man's switch receives: from runs, from the loop and from backups."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from demo.server import Fault, StandIn
from safe_zone import Settings
from sentinel import heartbeat
from sentinel.errors import Interrupted, SentinelError, StorageUnavailable
from sentinel.heartbeat import Heartbeat
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.targets import make_targets
from services.ingestion.loop import Loop
from services.settings import MonitorSettings
from tests.conftest import FakeTime, FreshDatabase
from tests.support.commands import SECRETS, Module, Script, wait_until
from tests.support.heartbeats import PATH, HeartbeatReceiver, receiving
from tests.support.monitor import ENGLISH, minutes

START, SUCCESS, FAILURE = "GET /start", "GET", "POST /fail"


@pytest.fixture
def receiver() -> Iterator[HeartbeatReceiver]:
    with receiving() as receiver:
        yield receiver


def _kinds(receiver: HeartbeatReceiver) -> list[str]:
    return [kind for kind, _ in receiver.reports]


# --- a scheduled run -------------------------------------------------------------------------


def test_a_good_run_reports_its_start_and_its_success(
    live_script: Script, receiver: HeartbeatReceiver
) -> None:
    done = live_script("ingest.py", "--limit", "3", HEARTBEAT_URL=receiver.url)
    assert done.returncode == 0, done.stderr
    assert receiver.reports == [(START, ""), (SUCCESS, "")]


def test_a_failed_run_reports_its_exit_code_and_its_message_without_secrets(
    live_script: Script, live_stand_in: StandIn, receiver: HeartbeatReceiver
) -> None:
    live_stand_in.always = Fault(403, b'{"error":"a-demo-key is wrong"}')
    done = live_script("ingest.py", HEARTBEAT_URL=receiver.url)
    assert _kinds(receiver) == [START, FAILURE]
    code, message = receiver.reports[-1][1].splitlines()
    assert code == f"exit code {done.returncode}" == "exit code 2"
    assert message.startswith("CoinGecko rejects the key or plan")
    assert not [secret for secret in (*SECRETS, PATH) if secret in message + done.stderr]


def test_a_dry_run_reports_nothing(live_script: Script, receiver: HeartbeatReceiver) -> None:
    arguments = ("--mode", "dry-run", "--limit", "3")
    assert live_script("ingest.py", *arguments, HEARTBEAT_URL=receiver.url).returncode == 0
    wrong = {"HEARTBEAT_URL": receiver.url, "COINGECKO_BASE_URL": "nonsense"}
    assert live_script("ingest.py", *arguments, **wrong).returncode == 2
    assert receiver.reports == []


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (["ingest.py"], "HEARTBEAT_URL"),
        (["services.ingestion", "--once"], "HEARTBEAT_URL_MONITOR"),
        (["services.backup", "create"], "HEARTBEAT_URL_BACKUP"),
    ],
)
def test_wrong_settings_are_a_failure(
    script: Script,
    module: Module,
    receiver: HeartbeatReceiver,
    command: list[str],
    variable: str,
) -> None:
    run = script if command[0].endswith(".py") else module
    done = run(*command, **{variable: receiver.url, "COINGECKO_BASE_URL": "nonsense"})
    assert done.returncode == 2
    assert _kinds(receiver) == [FAILURE]
    assert receiver.reports[0][1].startswith("exit code 2\nCOINGECKO_BASE_URL must be an address")


def test_a_wrong_address_is_an_error_that_does_not_repeat_it(script: Script) -> None:
    done = script("ingest.py", HEARTBEAT_URL="hc-ping.com/secret-4711")
    assert done.returncode == 2
    assert "HEARTBEAT_URL must be an address such as" in done.stderr
    assert "secret-4711" not in done.stderr + done.stdout


@pytest.mark.slow
def test_a_killed_run_reports_its_signal_and_kill_9_leaves_only_the_start(
    live_script: Script, live_stand_in: StandIn, receiver: HeartbeatReceiver
) -> None:
    live_stand_in.always = Fault(hang=60)
    for number in (signal.SIGTERM, signal.SIGKILL):
        live_stand_in.requests.clear()
        process = live_script.start("ingest.py", HEARTBEAT_URL=receiver.url)
        wait_until(
            process,
            lambda: bool(live_stand_in.requests) and receiver.reports[-1:] == [(START, "")],
        )
        process.send_signal(number)
        process.communicate(timeout=30)
    stopped = (FAILURE, "exit code 143\nStopped by SIGTERM.")
    assert receiver.reports == [(START, ""), stopped, (START, "")]


# --- the loop --------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_hour_of_the_loop_is_a_report_for_each_tick(
    settings: Settings, time_: FakeTime, stand_in: StandIn, receiver: HeartbeatReceiver
) -> None:
    loop = Loop(
        MonitorSettings(settings=replace(settings, limit=10)),
        Notifier(make_targets([]), time_.clocks),
        ENGLISH,
        time_.clocks,
        requested_interval=minutes(5),
        heartbeat=Heartbeat(receiver.url),
    )
    begin = time_.at

    def should_stop() -> bool:
        loop.heartbeat.wait()  # real time does not pass between two ticks
        stand_in.always = Fault(503) if minutes(28) < time_.at - begin < minutes(32) else None
        return time_.at >= begin + minutes(60)

    loop.should_stop = should_stop
    loop.run()
    assert _kinds(receiver) == [SUCCESS] * 6 + [FAILURE] + [SUCCESS] * 5
    assert receiver.reports[6][1].startswith("exit code 3\nCoinGecko gave no usable response")


def test_ticks_are_reported_once_a_minute(time_: FakeTime, receiver: HeartbeatReceiver) -> None:
    loop = Heartbeat(receiver.url)
    for _ in range(30):
        loop.send_tick([], time_.monotonic())
        loop.wait()
        time_.sleep(20)
    assert _kinds(receiver) == [SUCCESS] * 10


def test_a_failed_tick_names_its_errors(receiver: HeartbeatReceiver) -> None:
    loop = Heartbeat(receiver.url)
    loop.send_tick([SentinelError("one"), StorageUnavailable("two")], 0.0)
    loop.wait()
    assert receiver.reports == [(FAILURE, "exit code 4\none\ntwo")]


def test_a_loop_that_ends_with_the_error_of_its_tick_reports_it_once(
    live_module: Module, live_stand_in: StandIn, receiver: HeartbeatReceiver
) -> None:
    live_stand_in.always = Fault(403, b'{"error":"no"}')
    done = live_module("services.ingestion", "--once", HEARTBEAT_URL_MONITOR=receiver.url)
    assert done.returncode == 2
    assert _kinds(receiver) == [FAILURE]


# --- a backup --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_verified_backup_is_a_success(
    live_script: Script, live_module: Module, receiver: HeartbeatReceiver, server_dir: Path
) -> None:
    assert live_script("ingest.py", "--limit", "3").returncode == 0
    done = live_module(
        "services.backup",
        "create",
        SENTINEL_STATE_DIR=str(server_dir),
        HEARTBEAT_URL_BACKUP=receiver.url,
    )
    assert done.returncode == 0, done.stderr
    assert receiver.reports == [(START, ""), (SUCCESS, "")]


@pytest.mark.before_first_run
def test_a_failed_backup_reports_its_exit_code_and_its_message(
    live_module: Module, fresh: FreshDatabase, receiver: HeartbeatReceiver
) -> None:
    done = live_module("services.backup", "create", HEARTBEAT_URL_BACKUP=receiver.url)
    name = fresh.address().display_name
    assert done.returncode == 6
    assert receiver.reports == [
        (START, ""),
        (
            FAILURE,
            f"exit code 6\n{name} has no tables of Market Sentinel: an empty dump is no backup.",
        ),
    ]


# --- what a report may not do ----------------------------------------------------------------


def _report_run(url: str) -> None:
    with heartbeat.watch(url):
        pass


@pytest.mark.parametrize(
    ("status", "problem"), [(404, "the server answered 404"), (302, "the server answered 302")]
)
def test_a_report_that_is_refused_or_redirected_is_a_line_of_the_log(
    receiver: HeartbeatReceiver, caplog: pytest.LogCaptureFixture, status: int, problem: str
) -> None:
    receiver.status = status
    _report_run(receiver.url)
    assert caplog.messages == [f"a heartbeat was not accepted: {problem}"] * 2
    assert _kinds(receiver) == [START, SUCCESS]  # the address of the redirect is not asked


def test_an_unreachable_service_is_a_line_without_the_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    _report_run(f"http://127.0.0.1:9{PATH}")
    assert caplog.messages == ["a heartbeat was not accepted: ConnectionError"] * 2
    assert PATH not in caplog.text


def test_a_run_goes_on_where_no_thread_can_be_started(
    receiver: HeartbeatReceiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.Thread.start", Mock(side_effect=RuntimeError))
    _report_run(receiver.url)
    assert caplog.messages == ["a heartbeat was not sent: no thread can be started"] * 2


def test_a_service_that_does_not_respond_delays_a_run_by_three_seconds_at_most(
    receiver: HeartbeatReceiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert heartbeat.TIMEOUT_SECONDS < heartbeat.TOTAL_SECONDS <= 3
    monkeypatch.setattr(heartbeat, "TOTAL_SECONDS", 0.1)
    receiver.stall = 60
    began = time.monotonic()
    _report_run(receiver.url)
    assert time.monotonic() - began < receiver.stall / 2
    assert caplog.messages == ["a heartbeat was not accepted: no response after 0 s"]


@pytest.mark.parametrize(
    ("error", "report"),
    [
        (Interrupted(signal.SIGALRM), "exit code 142\nStopped by SIGALRM."),
        (ValueError("hunter2"), "exit code 1\nUnexpected ValueError: the log has its traceback."),
        (
            SentinelError("\n".join(f"line {n}" for n in range(100))),
            "exit code 1\n" + "\n".join(f"line {n}" for n in range(90, 100)),
        ),
    ],
)
def test_an_exception_is_a_failure_with_the_last_lines_of_a_known_message(
    receiver: HeartbeatReceiver, error: Exception, report: str
) -> None:
    with pytest.raises(type(error)), heartbeat.watch(receiver.url):
        raise error
    assert receiver.reports == [(START, ""), (FAILURE, report)]
