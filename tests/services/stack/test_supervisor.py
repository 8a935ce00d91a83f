"""A real Supervisor: asked and stopped over its socket, with processes that end and that do not."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sentinel.errors import ConfigurationError, SentinelError
from sentinel.socket_folder import create_socket_folder
from services.stack import control, supervisor_client, supervisor_config
from services.stack.control import Stack
from services.stack.log_file import locate_log, read_tail
from services.stack.supervisor_config import PYTHON, control_socket
from services.stack.supervisor_process import CONFIG_FILE
from tests.support.commands import is_running

COMMANDS = {
    "serving": f"{shlex.quote(PYTHON)} -m services.stack.child http.server 0",
    "failing": f"{shlex.quote(PYTHON)} -m services.stack.child no_such_module",
    "refusing": f"{shlex.quote(PYTHON)} -m services.stack.child services.db --wrong",
}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    # Longer than the path of a unix socket may be.
    folder = tmp_path_factory.mktemp("state") / ("100% ;long" * 12) / "stack"
    folder.mkdir(parents=True)
    control.start_in_background(Stack(folder, COMMANDS, os.environ, {}))
    yield folder
    supervisor_client.stop(folder)


def _wait_for(condition: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 10
        time.sleep(0.02)


def _listens(path: Path) -> bool:
    """Whether a server accepts connections: Supervisor creates its socket before it listens."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_supervisor_is_asked_over_a_socket_that_only_the_user_can_open(stack: Path) -> None:
    processes = {process.name: process for process in supervisor_client.list_processes(stack)}
    assert set(processes) == set(COMMANDS)
    assert processes["serving"].is_alive
    assert control_socket(stack).stat().st_mode & 0o777 == 0o700
    assert control_socket(stack).parent.stat().st_mode & 0o777 == 0o700


def test_a_stack_of_an_older_version_has_to_be_stopped_first(tmp_path: Path) -> None:
    config = supervisor_config.render_config(tmp_path, {"sleeping": "sleep 60"}, {})
    old_config = re.sub(r"(?s)\[rpcinterface:sentinel\].*?(?=\[)", "", config)
    # A signal between fork and exec is lost, and Supervisor waits for so long before it kills.
    old_config = old_config.replace("stopwaitsecs = 60", "stopwaitsecs = 1")
    (tmp_path / "logs").mkdir()
    (tmp_path / CONFIG_FILE).write_text(old_config)
    create_socket_folder(control_socket(tmp_path).parent)
    environment = supervisor_config.make_environment(os.environ)
    with subprocess.Popen(control.SUPERVISOR, cwd=tmp_path, env=environment):
        _wait_for(lambda: _listens(control_socket(tmp_path)))
        try:
            with pytest.raises(ConfigurationError, match="make down"):
                supervisor_client.list_processes(tmp_path)
        finally:
            assert supervisor_client.stop(tmp_path)


def _find(stack: Path, name: str) -> supervisor_client.StackProcess:
    return next(p for p in supervisor_client.list_processes(stack) if p.name == name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("failing", "ImportError: No module named no_such_module"),
        ("refusing", "python -m services.db: error: unrecognized arguments: --wrong"),
    ],
)
def test_a_process_that_ends_at_once_is_not_alive_and_its_log_ends_with_the_reason(
    stack: Path, name: str, reason: str
) -> None:
    _wait_for(lambda: _find(stack, name).state == "BACKOFF")
    assert not _find(stack, name).is_alive
    assert re.fullmatch(f"{TIME} {reason}", read_tail(locate_log(stack, name))[-1])


def test_supervisor_counts_restarts_and_its_log_has_the_time_of_each(stack: Path) -> None:
    _wait_for(lambda: _find(stack, "failing").restarts > 0)
    assert _find(stack, "serving").restarts == 0
    log = locate_log(stack, "supervisor").read_text()
    assert re.search(f"(?m)^{TIME} WARN exited: failing .exit status 1; not expected.$", log)
    assert "CRIT" not in log  # the socket needs no password in its closed folder


def test_a_supervisor_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(SentinelError, match=r"does not start: .*nothing"):
        control.start_in_background(Stack(tmp_path, {"wrong": "%(nothing)s"}, os.environ, {}))


def test_a_killed_supervisors_processes_end_by_themselves(stack: Path) -> None:
    with supervisor_client._connect(stack) as supervisor:
        pid = supervisor.supervisor.getProcessInfo("serving")["pid"]
        os.kill(supervisor.supervisor.getPID(), signal.SIGKILL)
    _wait_for(lambda: not is_running(pid))
    assert supervisor_client.list_processes(stack) == []
    assert not supervisor_client.stop(stack)
    # The socket that it left does not matter.
    control.start_in_background(Stack(stack, COMMANDS, os.environ, {}))
    assert supervisor_client.list_processes(stack)


def test_stop_returns_after_the_last_process_has_ended(stack: Path) -> None:
    with supervisor_client._connect(stack) as supervisor:
        pids = [
            supervisor.supervisor.getPID(),
            supervisor.supervisor.getProcessInfo("serving")["pid"],
        ]
    assert supervisor_client.stop(stack)
    _wait_for(lambda: not any(is_running(pid) for pid in pids))
    assert not control_socket(stack).parent.exists()
