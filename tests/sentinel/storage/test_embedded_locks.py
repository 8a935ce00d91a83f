"""Another process holds a lock of the embedded server, as any user of the machine may."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import psycopg
import pytest

from sentinel import process
from sentinel.errors import Interrupted, StorageUnavailable
from sentinel.storage import embedded
from sentinel.storage.embedded import ensure_running
from sentinel.storage.embedded_location import locate_server

pytestmark = pytest.mark.usefixtures("server")


@contextlib.contextmanager
def _holding(server_dir: Path, name: str, operation: int) -> Iterator[None]:
    """Hold a lock as another process would: by opening its file once more."""
    with (locate_server(server_dir).base / name).open("rb") as file:
        fcntl.flock(file, operation)
        yield


@pytest.fixture(autouse=True)
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "START_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(embedded, "LEAVE_TIMEOUT_SECONDS", 0)


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("start.lock", fcntl.LOCK_EX),
        ("start.lock", fcntl.LOCK_SH),
        ("users.lock", fcntl.LOCK_EX),
    ],
)
def test_the_error_names_the_process_that_holds_a_lock(
    server_dir: Path, name: str, operation: int
) -> None:
    with contextlib.ExitStack() as stack:
        if name == "users.lock":  # the shared server's own users hold it: take another folder's
            server_dir = stack.enter_context(_folder_of_another_server(server_dir))
        stack.enter_context(_holding(server_dir, name, operation))
        with pytest.raises(StorageUnavailable) as caught:
            ensure_running(server_dir).__enter__()
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert f"process {os.getpid()} of user {user} has held its lock" in str(caught.value)


@contextlib.contextmanager
def _folder_of_another_server(server_dir: Path) -> Iterator[Path]:
    folder = server_dir / "another"
    (locate_server(folder).base / "users.lock").touch()
    yield folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGALRM])
def test_a_signal_ends_the_wait_for_a_lock(server_dir: Path, number: int) -> None:
    before = signal.signal(number, process._interrupt)
    try:
        with _holding(server_dir, "start.lock", fcntl.LOCK_EX), pytest.raises(Interrupted):
            Timer(0.02, os.kill, [os.getpid(), number]).start()
            ensure_running(server_dir).__enter__()
    finally:
        signal.signal(number, before)


def test_a_process_that_cannot_lock_leaves_the_server_running(server_dir: Path) -> None:
    user = ensure_running(server_dir)
    conninfo = user.__enter__()
    with _holding(server_dir, "start.lock", fcntl.LOCK_EX):
        started = time.monotonic()
        user.__exit__(None, None, None)
        assert time.monotonic() - started < 1
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
