"""`python -m services.stack.supervisor_process`: run Supervisor in the folder of a stack.

Supervisor stays in the foreground and logs like the processes that it starts: its own log file can
end it when the disk is full. It also offers the RPC interface `Watch`.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from supervisor import events, loggers, supervisord
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates

from sentinel.socket_folder import create_socket_folder
from services.stack.log_file import locate_log, redirect_output

CONFIG_FILE = "supervisord.conf"
RESTART_SECONDS = 120  # restarts are counted for so long
# A server that answers nothing for five minutes is restarted.
MAX_FAILURES = 5
TIMEOUT_SECONDS = 5.0


def main() -> None:
    """Run Supervisor until it is stopped."""
    redirect_output(locate_log(Path(), "supervisor"))
    options = _Options()
    options.realize(["-c", CONFIG_FILE])
    options.first, options.test = True, False
    supervisord.go(options)


class _Options(ServerOptions):  # type: ignore[misc]
    def make_logger(self) -> None:
        """Log to stdout only."""
        self.logger = loggers.getLogger(self.loglevel)
        loggers.handle_stdout(self.logger, "%(levelname)s %(message)s\n")

    def make_http_servers(self, supervisor: Any) -> Any:
        """Open the socket, with no warning of a missing password: its folder is closed."""
        self.logger.level = loggers.LevelsByName.CRIT + 1
        try:
            return super().make_http_servers(supervisor)
        finally:
            self.logger.level = self.loglevel
            events.subscribe(events.Tick5Event, self._restore_control_socket)
            events.subscribe(events.Tick3600Event, self._touch_control_socket)

    def _touch_control_socket(self, _event: object) -> None:
        """Keep the socket's file new, because systemd-tmpfiles deletes what is old in /tmp.

        It spares sockets in use, but does not recognize this one: Supervisor binds its socket to
        another name, and links that to this one.
        """
        for config, _server in self.httpservers:
            with contextlib.suppress(OSError):
                os.utime(config["file"])

    def _restore_control_socket(self, _event: object) -> None:
        """Create the socket again if it was deleted, for the server that runs."""
        for config, server in self.httpservers:
            path = Path(config["file"])
            if os.path.exists(path):  # noqa: PTH110 - another user's folder: False, no error
                continue
            try:
                create_socket_folder(path.parent)
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(str(path))
                    listener.listen()
                    listener.setblocking(False)
                    os.dup2(listener.fileno(), server.socket.fileno(), inheritable=False)
                text = f"{path} was deleted: it is created again"
            except OSError as error:
                text = f"{path} was deleted and cannot be created: {error}"
            self.logger.critical(text)


class _Failures(NamedTuple):
    """How often a process did not answer."""

    pid: int = 0
    in_a_row: int = 0


class Watch:
    """Counts the restarts of each process, and ends a server that hangs, so that it is restarted.

    Supervisor creates it: http://supervisord.org/development.html#rpcinterface
    """

    def __init__(self, supervisor: Any, **servers: str) -> None:
        """Watch the `servers`: an HTTP address for each name of a process."""
        self._supervisor = supervisor
        self._servers = servers
        self._restarts: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=100))
        self._failures: dict[str, _Failures] = {}
        events.subscribe(events.ProcessStateStartingEvent, self._record_start)
        events.subscribe(events.Tick60Event, self._check_servers)

    def count_restarts(self) -> dict[str, int]:
        """Return how often each process was restarted within RESTART_SECONDS."""
        since = time.monotonic() - RESTART_SECONDS
        return {name: sum(at > since for at in times) for name, times in self._restarts.items()}

    def _record_start(self, event: Any) -> None:
        if event.from_state != ProcessStates.STOPPED:  # its first start
            self._restarts[event.process.config.name].append(time.monotonic())

    def _check_servers(self, _event: object) -> None:
        for name, url in self._servers.items():
            process = self._supervisor.process_groups[name].processes[name]
            if process.state != ProcessStates.RUNNING or _answers(url):
                self._failures.pop(name, None)
                continue
            last = self._failures.get(name, _Failures())
            in_a_row = last.in_a_row + 1 if last.pid == process.pid else 1
            self._failures[name] = _Failures(process.pid, in_a_row)
            if in_a_row >= MAX_FAILURES:
                self._end(process, in_a_row)

    def _end(self, process: Any, failures: int) -> None:
        """Let a process print where it hangs and end; kill it if that does not end it."""
        text = f"{process.config.name} did not answer {failures} times in a row: it is restarted"
        self._supervisor.options.logger.critical(text)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGABRT if failures == MAX_FAILURES else signal.SIGKILL)


def _answers(url: str) -> bool:
    """Return whether a server answers anything. Supervisor does nothing else meanwhile."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=TIMEOUT_SECONDS
    )
    try:
        connection.request("HEAD", "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


if __name__ == "__main__":
    main()
