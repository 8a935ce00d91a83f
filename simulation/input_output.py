"""Watches the input and output of a run, and interrupts it at a chosen operation.

An operation is one on a file below the watched folder, a process that starts, an HTTP request, or a
message to the database. An audit hook watches files and processes, those of every library too:
https://docs.python.org/3/library/audit_events.html
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import requests

from simulation.clock import SimulatedClock

LOCK_EVENT = "fcntl.flock"
PROCESS_EVENT = "subprocess.Popen"
AUDITED = frozenset(
    {PROCESS_EVENT, "open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", LOCK_EVENT}
)
FILE_SECONDS, REQUEST_SECONDS, MESSAGE_SECONDS = 0.001, 0.2, 0.02


class Killed(BaseException):
    """The process of a run ends at this operation, as after kill -9.

    Each later operation raises it too, so that no `finally` of the run does what a dead process
    cannot do.
    """


class Watch:
    """Counts the operations of one run, and calls `before` at each.

    `on_response` gets the path and the status of each HTTP response.
    """

    def __init__(
        self,
        folder: Path,
        clock: SimulatedClock,
        before: Callable[[Watch], None],
        on_response: Callable[[str, int], None],
    ) -> None:
        self.operations = 0
        self.is_dead = False
        # The connection whose message is the current operation, and the one that was used last.
        self.connection: psycopg.Connection[Any] | None = None
        self.last_connection: psycopg.Connection[Any] | None = None
        self.on_response = on_response
        self._folder = str(folder)
        self._clock = clock
        self._before = before

    def kill(self) -> None:
        """End the run. Raises Killed."""
        self.is_dead = True
        raise Killed

    def note_file(self, path: object) -> None:
        """Note an operation on a file. Raises Killed."""
        if isinstance(path, Path | str) and str(path).startswith(self._folder):
            self.note(FILE_SECONDS)

    def note(self, seconds: float) -> None:
        """Note an operation that takes so many seconds. Raises Killed."""
        if self.is_dead:
            raise Killed
        self.operations += 1
        self._clock.advance(seconds)
        self._before(self)


# The watches of the runs in progress: a second run begins at an operation of the first. None: what
# happens now is not an operation of a run.
_watches: list[Watch | None] = []


@contextlib.contextmanager
def watched_by(watch: Watch | None) -> Iterator[None]:
    """Watch the operations of the block, those of the main thread."""
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.pop()


def open_connections() -> int:
    """Return how many connections the runs in progress have open."""
    used = (watch.last_connection for watch in _watches if watch)
    return sum(connection is not None and not connection.closed for connection in used)


def _current() -> Watch | None:
    is_run = _watches and threading.current_thread() is threading.main_thread()
    return _watches[-1] if is_run else None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watches or event not in AUDITED or (watch := _current()) is None:
        return
    if event == PROCESS_EVENT:
        watch.note(FILE_SECONDS)
    elif event != LOCK_EVENT:
        watch.note_file(arguments[0])
    elif len(_watches) > 1 and not arguments[1] & (fcntl.LOCK_NB | fcntl.LOCK_UN):
        _end_if_locked(watch, *arguments)


def _end_if_locked(watch: Watch, fd: int, operation: int) -> None:
    """Kill a second run that would wait for a lock of the first, which cannot go on meanwhile."""
    try:
        fcntl.flock(fd, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        watch.kill()


@functools.cache
def install() -> None:
    """Let this process's requests, messages and operations on files be noted."""
    sys.addaudithook(_audit)
    send, wait, connect = requests.Session.send, psycopg.Connection.wait, psycopg.connect

    def watched_send(self: requests.Session, *args: Any, **kwargs: Any) -> requests.Response:
        watch = _current()
        if watch is None:
            return send(self, *args, **kwargs)
        watch.note(REQUEST_SECONDS)
        response = send(self, *args, **kwargs)
        watch.on_response(str(response.url), response.status_code)
        watch.note(0.0)
        return response

    def watched_wait(self: psycopg.Connection[Any], *args: Any, **kwargs: Any) -> Any:
        watch = _current()
        if watch is None:
            return wait(self, *args, **kwargs)
        watch.connection = watch.last_connection = self
        watch.note(MESSAGE_SECONDS)
        result = wait(self, *args, **kwargs)
        watch.connection = self
        watch.note(0.0)
        watch.connection = None
        return result

    def watched_connect(*args: Any, **kwargs: Any) -> psycopg.Connection[Any]:
        watch = _current()
        if watch is None:
            return connect(*args, **kwargs)
        watch.note(MESSAGE_SECONDS)
        watch.last_connection = connect(*args, **kwargs)
        return watch.last_connection

    psycopg.connect = watched_connect
    requests.Session.send = watched_send  # type: ignore[method-assign]
    psycopg.Connection.wait = watched_wait  # type: ignore[method-assign]
