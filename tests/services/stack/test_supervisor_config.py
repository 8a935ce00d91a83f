"""The parts of a stack, and the errors when it cannot be started."""

from __future__ import annotations

import os
import signal
import socket
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from safe_zone import Settings
from sentinel.errors import ConfigurationError, Interrupted
from sentinel.health.facts import HealthCheck
from services import probe
from services.probe import ApiHealth
from services.settings import MonitorSettings
from services.stack import __main__ as command
from services.stack import control, health, supervisor_config
from services.stack.log_file import locate_log
from services.stack.supervisor_client import StackProcess
from tests.conftest import NOW
from tests.support.browser import free_port
from tests.support.commands import Module


def _process(
    name: str,
    state: str = "RUNNING",
    started_at: datetime = NOW,
    log_file: Path = Path("no-such-log"),
    restarts: int = 0,
) -> StackProcess:
    return StackProcess(name, state, started_at, restarts, log_file)


def test_only_the_demo_has_a_stand_in_and_an_external_database_has_no_process() -> None:
    demo = supervisor_config.list_commands(has_own_database=True, stand_in_port=4711)
    assert list(demo) == ["stand-in", "db", "ingestion", "api", "dashboard"]
    external = supervisor_config.list_commands(has_own_database=False)
    assert list(external) == ["ingestion", "api", "dashboard"]


def test_telegram_commands_have_a_process_only_with_a_bot() -> None:
    commands = supervisor_config.list_commands(has_own_database=False, has_telegram=True)
    assert list(commands) == ["ingestion", "api", "dashboard", "telegram"]


@pytest.mark.parametrize("folder", ["100% sure", "a ;b", "#c", "%(x)s ü"])
def test_supervisors_file_contains_no_path_of_the_state_directory(
    tmp_path: Path, folder: str
) -> None:
    """Supervisor would expand a `%` in a path and cut the line at a ` ;`."""
    commands = supervisor_config.list_commands(has_own_database=True)
    text = supervisor_config.render_config(tmp_path / folder, commands, {})
    assert str(tmp_path) not in text
    assert "/" not in text.replace(str(supervisor_config.control_socket(tmp_path / folder)), "")


@pytest.mark.parametrize("has_empty_file", [False, True])
def test_a_token_is_created_once_and_again_if_its_file_is_empty(
    tmp_path: Path, has_empty_file: bool
) -> None:
    if has_empty_file:
        (tmp_path / "api_token").touch(mode=0o600)
    token = command._ensure_token(tmp_path)
    assert len(token) > 20
    assert command._ensure_token(tmp_path) == token
    assert (tmp_path / "api_token").stat().st_mode & 0o777 == 0o600


def test_the_error_about_a_taken_port_names_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monitor = MonitorSettings(
            settings=Settings(), dashboard_port=taken.getsockname()[1], api_port=free_port()
        )
        with pytest.raises(ConfigurationError, match="SENTINEL_DASHBOARD_PORT"):
            control.check_ports(tmp_path, monitor)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("api", "http://api:8000"),
    ],
)
def test_the_address_of_a_server_is_reachable_from_this_machine(host: str, url: str) -> None:
    assert MonitorSettings(settings=Settings(), api_host=host).own_api_url == url


def test_a_signal_interrupts_the_health_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(_url: str, _token: str | None) -> ApiHealth:
        raise Interrupted(2)

    monkeypatch.setattr(probe, "read_api_health", interrupted)
    with pytest.raises(Interrupted):
        health.check_processes(MonitorSettings(settings=Settings()), [_process("api")])


def test_the_telegram_commands_are_healthy_once_their_process_has_recorded_its_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks: dict[str, HealthCheck] = {}
    monkeypatch.setattr(probe, "read_api_health", lambda _url, _token: ApiHealth(checks))
    monitor = MonitorSettings(settings=Settings())

    def problem() -> str | None:
        return health.check_processes(monitor, [_process("telegram")])["telegram"]

    assert problem() == probe.NO_RESPONSE
    for state, expected in (("warning", None), ("ok", None), ("unhealthy", "the token is wrong")):
        checks["telegram"] = HealthCheck("telegram", state, "the token is wrong")  # type: ignore[arg-type]
        assert problem() == expected


def test_a_problem_of_an_external_database_is_reported_for_the_api(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = HealthCheck("database", "unhealthy", "the database is away")
    found = ApiHealth({"database": away})
    monkeypatch.setattr(probe, "read_api_health", lambda _url, _token: found)
    monitor = MonitorSettings(settings=Settings(), dashboard_port=1)
    api, db = _process("api"), _process("db")
    assert health.check_processes(monitor, [api])["api"] == "the database is away"
    assert health.check_processes(monitor, [api, db]) == {
        "db": "the database is away",
        "api": None,
    }


def test_checks_that_concern_no_process_and_all_warnings_are_listed_beside_the_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delivery = HealthCheck("delivery", "unhealthy", "Messages to Telegram have not arrived")
    disk = HealthCheck("disk", "warning", "8% of the disk are free")
    well, last_run = HealthCheck("clock", "ok", ""), HealthCheck("last_run", "unhealthy", "")
    found = ApiHealth({check.name: check for check in (well, delivery, disk, last_run)})
    monkeypatch.setattr(probe, "read_api_health", lambda _url, _token: found)
    monitor = MonitorSettings(settings=Settings())
    assert health.list_other_checks(monitor, "token") == [delivery, disk]


def test_only_a_run_of_the_process_that_is_alive_makes_the_loop_healthy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checks = {name: HealthCheck(name, "ok", "") for name in health.PROCESS_CHECKS}
    found = ApiHealth(checks, last_run_at=NOW)
    monkeypatch.setattr(probe, "read_api_health", lambda _url, _token: found)
    monitor = MonitorSettings(settings=Settings(), dashboard_port=1)

    def check(state: str, started_at: datetime) -> str | None:
        loop = _process("ingestion", state, started_at, tmp_path / "ingestion.log")
        return health.check_processes(monitor, [loop])["ingestion"]

    assert check("RUNNING", NOW - timedelta(hours=1)) is None
    assert check("STARTING", NOW - timedelta(seconds=1)) is None
    assert (
        check("STARTING", NOW + timedelta(seconds=1)) == "it has completed no run since its start"
    )
    assert check("BACKOFF", NOW - timedelta(hours=1)) == "it has ended"
    (tmp_path / "ingestion.log").write_text("a tick\nerror: ALERT_URLS is wrong\n\n")
    assert check("BACKOFF", NOW - timedelta(hours=1)) == "error: ALERT_URLS is wrong"


def test_a_process_that_ends_again_and_again_is_unhealthy_also_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = ApiHealth({"database": HealthCheck("database", "ok", "")})
    monkeypatch.setattr(probe, "read_api_health", lambda _url, _token: found)
    monitor = MonitorSettings(settings=Settings(), dashboard_port=1)
    log = tmp_path / "db.log"
    log.write_text("2026-11-20T12:00:28Z MemoryError\n2026-11-20T12:00:30Z it starts\n")

    def check(restarts: int) -> str | None:
        db = _process("db", log_file=log, restarts=restarts)
        return health.check_processes(monitor, [db])["db"]

    assert check(2) is None
    assert check(3) == (
        "it ended 3 times in 2 minutes, the last time with: 2026-11-20T12:00:28Z MemoryError"
    )


def test_without_a_stack_status_names_the_start_command_and_down_succeeds(module: Module) -> None:
    status = module("services.stack", "status")
    assert (status.returncode, status.stdout) == (2, "")
    assert "make up" in status.stderr
    down = module("services.stack", "down")
    assert (down.returncode, down.stderr) == (0, "no stack was running\n")


def test_logs_follows_the_stack_that_logged_last_even_if_it_has_ended(
    module: Module, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state_dir = Path(module.environment["SENTINEL_STATE_DIR"])
    nothing = module("services.stack", "logs")
    assert (nothing.returncode, "No stack has run here" in nothing.stderr) == (2, True)
    for folder, minute in (("up-demo/stack", 1), ("stack", 2)):
        for name in ("db", "supervisor"):
            log = locate_log(state_dir / folder, name)
            log.parent.mkdir(parents=True, exist_ok=True)
            log.touch()
            os.utime(log, (minute * 60, minute * 60))
    tail = tmp_path / "bin" / "tail"
    tail.parent.mkdir()
    tail.write_text('#!/bin/sh\nprintf "%s\\n" "$*"\n')
    tail.chmod(0o755)
    assert module("services.stack", "logs", PATH=str(tail.parent)).returncode == 0
    logs = [locate_log(state_dir.resolve() / "stack", name) for name in ("db", "supervisor")]
    assert capfd.readouterr().out == f"-n 20 -F {logs[0]} {logs[1]}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_following_of_logs_without_an_error(
    module: Module, tmp_path: Path, number: signal.Signals
) -> None:
    state_dir = Path(module.environment["SENTINEL_STATE_DIR"])
    log = locate_log(state_dir / "stack", "db")
    log.parent.mkdir(parents=True)
    log.touch()
    tail = tmp_path / "bin" / "tail"
    tail.parent.mkdir()
    tail.write_text(f"#!/bin/sh\nkill -{number.value} $PPID; exec /bin/sleep 60\n")
    tail.chmod(0o755)
    done = module("services.stack", "logs", PATH=str(tail.parent))
    assert (done.returncode, "Stopped by" in done.stderr) == (128 + number, False)


def test_the_db_service_refuses_an_external_server(module: Module) -> None:
    done = module("services.db")
    assert done.returncode == 2
    assert "only the embedded PostgreSQL" in done.stderr
    assert "hunter2" not in done.stderr
