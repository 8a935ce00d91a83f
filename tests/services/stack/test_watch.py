"""A server that hangs: Supervisor ends it, and so restarts it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from supervisor import events
from supervisor.states import ProcessStates

from sentinel.socket_folder import create_socket_folder, locate_socket_folder
from services.stack import supervisor_process
from services.stack.supervisor_process import MAX_FAILURES, Watch, _Options

HANGING = "import faulthandler, time; faulthandler.enable(); print(flush=True); time.sleep(100)"


@dataclass
class FakeSupervisor:
    """What `Watch` uses of Supervisor: one process, named `api`, and the log."""

    pid: int
    state: int = ProcessStates.RUNNING
    logged: list[str] = field(default_factory=list)

    @property
    def process_groups(self) -> dict[str, Any]:
        process = SimpleNamespace(
            pid=self.pid, state=self.state, config=SimpleNamespace(name="api")
        )
        return {"api": SimpleNamespace(processes={"api": process})}

    @property
    def options(self) -> SimpleNamespace:
        return SimpleNamespace(logger=SimpleNamespace(critical=self.logged.append))


@pytest.fixture(autouse=True)
def _no_subscribers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(supervisor_process, "TIMEOUT_SECONDS", 0.01)
    yield
    events.clear()


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a server that accepts connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-S", "-c", HANGING]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def _tick(times: int) -> None:
    for _ in range(times):
        events.notify(events.Tick60Event(0, None))


def test_a_server_that_hangs_for_minutes_prints_where_and_ends(
    process: subprocess.Popen[str], url: str
) -> None:
    supervisor = FakeSupervisor(process.pid)
    Watch(supervisor, api=url)
    _tick(MAX_FAILURES - 1)
    assert (process.poll(), supervisor.logged) == (None, [])
    _tick(1)
    assert process.wait(5) == -signal.SIGABRT
    assert process.stderr
    assert 'File "<string>", line 1' in process.stderr.read()
    assert supervisor.logged == ["api did not answer 5 times in a row: it is restarted"]


def test_a_stopped_process_is_killed_a_minute_later(
    process: subprocess.Popen[str], url: str
) -> None:
    Watch(FakeSupervisor(process.pid), api=url)
    process.send_signal(signal.SIGSTOP)
    _tick(MAX_FAILURES + 1)
    assert process.wait(5) == -signal.SIGKILL


def test_only_failures_of_the_same_running_process_count(
    process: subprocess.Popen[str], url: str
) -> None:
    supervisor = FakeSupervisor(pid=0)
    Watch(supervisor, api=url)
    _tick(MAX_FAILURES - 1)
    supervisor.pid = process.pid
    _tick(MAX_FAILURES - 1)
    supervisor.state = ProcessStates.STARTING
    _tick(MAX_FAILURES)
    supervisor.state = ProcessStates.RUNNING
    _tick(MAX_FAILURES - 1)
    assert supervisor.logged == []


def test_an_error_response_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_process, "TIMEOUT_SECONDS", 5)
    # The server has no handler for HEAD: 501.
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        assert supervisor_process._answers(f"http://127.0.0.1:{server.server_address[1]}")
        thread.join()


def test_a_control_socket_that_was_deleted_is_created_again(tmp_path: Path) -> None:
    path = locate_socket_folder(tmp_path) / "supervisor.sock"
    create_socket_folder(path.parent)
    options = _Options()
    options.logger = SimpleNamespace(critical=lambda _text: None)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        options.httpservers = [({"file": str(path)}, SimpleNamespace(socket=listener))]
        os.utime(path, (0, 0))
        options._restore_control_socket(None)
        assert path.stat().st_mtime == 0
        options._touch_control_socket(None)
        assert path.stat().st_mtime > 0  # new, so that no cleaner of /tmp deletes it
        shutil.rmtree(path.parent)
        options._restore_control_socket(None)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            listener.accept()[0].close()
    shutil.rmtree(path.parent)
