"""Ask and stop the Supervisor of a stack over its control socket: http://supervisord.org/api.html

A stack is known by its folder, which holds its configuration, logs and API token.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from xmlrpc.client import Fault, ServerProxy  # nosec B411 (XML from our own socket only)

from supervisor.xmlrpc import Faults, SupervisorTransport

from sentinel.errors import ConfigurationError, SentinelError
from services.stack.child import STOP_SECONDS
from services.stack.log_file import locate_log
from services.stack.supervisor_config import control_socket

SHUTDOWN_SECONDS = 5 * STOP_SECONDS + 15.0  # Supervisor stops one process after the other
POLL_SECONDS = 0.1


class StackProcess(NamedTuple):
    """One process as Supervisor sees it."""

    name: str
    # http://supervisord.org/subprocess.html#process-states
    state: str
    # When the process, or the last one of this name, was started.
    started_at: datetime
    # How often it was restarted in the last RESTART_SECONDS.
    restarts: int
    log_file: Path

    @property
    def is_alive(self) -> bool:
        """Whether the process runs. Supervisor restarts it otherwise, sometimes after a pause."""
        return self.state in {"STARTING", "RUNNING"}


def list_processes(folder: Path) -> list[StackProcess]:
    """Return the processes of a stack, sorted by name; none if no Supervisor runs.

    Raises ConfigurationError if the stack is being stopped, or if an older version started it.
    """
    try:
        with _connect(folder) as supervisor:
            infos = supervisor.supervisor.getAllProcessInfo()
            restarts = supervisor.sentinel.count_restarts()
    except OSError:
        return []
    except Fault as fault:
        if fault.faultCode == Faults.SHUTDOWN_STATE:
            text = "The stack is being stopped: wait until it has ended."
        else:  # its Supervisor does not have the method
            text = "An older version started the stack: make down stops it, then start it again."
        raise ConfigurationError(text) from fault
    return [
        StackProcess(
            info["name"],
            info["statename"],
            datetime.fromtimestamp(info["start"], UTC),
            restarts.get(info["name"], 0),
            locate_log(folder, info["name"]),
        )
        for info in infos
    ]


def stop(folder: Path) -> bool:
    """Stop the Supervisor of a stack, which stops its processes; return False if none runs.

    Raises SentinelError if it does not end.
    """
    try:
        with _connect(folder) as supervisor, contextlib.suppress(Fault):  # it is stopping already
            supervisor.supervisor.shutdown()
    except OSError:
        return False
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    while control_socket(folder).exists():
        if time.monotonic() > deadline:
            raise SentinelError(
                f"The stack in {folder} does not end: see logs/supervisor.log there."
            )
        time.sleep(POLL_SECONDS)
    with contextlib.suppress(OSError):
        control_socket(folder).parent.rmdir()
    return True


@contextlib.contextmanager
def _connect(folder: Path) -> Iterator[Any]:
    """Yield Supervisor's interfaces. Their calls raise OSError if it does not run."""
    transport = SupervisorTransport(serverurl=f"unix://{control_socket(folder)}")
    with ServerProxy("http://localhost", transport=transport) as proxy:
        yield proxy
