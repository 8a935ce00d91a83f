"""What the stack is made of, and what it says when it cannot be started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from safe_zone import Settings
from sentinel.errors import ConfigurationError, Interrupted
from services import probe
from services.settings import MonitorSettings
from services.stack import __main__ as command
from services.stack import control, health, supervisor_config
from tests.conftest import Module
from tests.support.browser import free_port


def test_a_stack_is_known_again_by_the_file_it_was_started_with(tmp_path: Path) -> None:
    stack = supervisor_config.plan(tmp_path, has_own_database=True, feed_port=4711)
    stack.config_file.write_text(supervisor_config.render(stack))
    assert supervisor_config.read(tmp_path) == stack
    names = [process.name for process in stack.processes]
    assert names == ["feed", "db", "ingestion", "api", "dashboard"]
    without = supervisor_config.plan(tmp_path, has_own_database=False)
    assert [p.name for p in without.processes] == ["ingestion", "api", "dashboard"]


@pytest.mark.parametrize("folder", ["100% sure", "a ;b", "#c", "%(x)s ü"])
def test_no_folder_of_this_machine_is_in_supervisors_file(tmp_path: Path, folder: str) -> None:
    """Supervisor expands what has a % in it, and cuts a line off at a ` ;`."""
    text = supervisor_config.render(
        supervisor_config.plan(tmp_path / folder, has_own_database=True)
    )
    assert str(tmp_path) not in text
    assert "/" not in text.replace(f"{supervisor_config.LOGS}/", "")


def test_a_token_is_made_once_and_again_where_a_full_disk_left_an_empty_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "api_token").touch(mode=0o600)
    token = command._token(tmp_path)
    assert len(token) > 20
    assert command._token(tmp_path) == token
    assert (tmp_path / "api_token").stat().st_mode & 0o777 == 0o600


def test_a_port_that_is_taken_is_named_with_its_setting(tmp_path: Path) -> None:
    stack = supervisor_config.plan(tmp_path, has_own_database=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monitor = MonitorSettings(
            settings=Settings(), dashboard_port=taken.getsockname()[1], api_port=free_port()
        )
        with pytest.raises(ConfigurationError, match="SENTINEL_DASHBOARD_PORT"):
            control.prepare(stack, monitor)


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
def test_a_server_is_asked_where_it_can_be_reached(host: str, url: str) -> None:
    assert MonitorSettings(settings=Settings(), api_host=host).own_api_url == url


def test_who_asks_to_stop_is_heard_while_the_stack_is_examined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(_url: str) -> dict[str, str | None]:
        raise Interrupted(2)

    monkeypatch.setattr(probe, "api_checks", interrupted)
    with pytest.raises(Interrupted):
        health.examine(MonitorSettings(settings=Settings()), ["api"])


def test_a_database_that_is_not_the_stacks_own_is_the_apis_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = {"database": "the database is away"}
    monkeypatch.setattr(probe, "api_checks", lambda _url: away)
    monitor = MonitorSettings(settings=Settings(), dashboard_port=1)
    assert health.examine(monitor, ["api"])["api"] == "the database is away"
    assert health.examine(monitor, ["db", "api"]) == {"db": "the database is away", "api": None}


def test_without_a_stack_status_says_how_to_start_one_and_down_is_no_error(module: Module) -> None:
    status = module("services.stack", "status")
    assert (status.returncode, status.stdout) == (2, "")
    assert "make up" in status.stderr
    down = module("services.stack", "down")
    assert (down.returncode, down.stderr) == (0, "nothing ran\n")


def test_the_databases_keeper_refuses_somebody_elses_server(module: Module) -> None:
    done = module("services.db")
    assert done.returncode == 2
    assert "somebody else's to keep" in done.stderr
    assert "hunter2" not in done.stderr
