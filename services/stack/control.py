"""Start a stack of processes under Supervisor, and wait until it is healthy."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, NoReturn

from sentinel.errors import ConfigurationError, SentinelError
from sentinel.files import create_folder, replace_atomically
from sentinel.socket_folder import create_socket_folder
from services.settings import MonitorSettings
from services.stack import health, supervisor_client, supervisor_config
from services.stack.child import STOP_SECONDS
from services.stack.log_file import LOG_FOLDER, locate_log, read_tail
from services.stack.supervisor_config import control_socket
from services.stack.supervisor_process import CONFIG_FILE

START_SECONDS = 240.0  # a first run without a key waits twice for CoinGecko's limit per minute
# The processes of a killed Supervisor end by themselves, but not at once.
ORPHAN_SECONDS = STOP_SECONDS + 5.0
POLL_SECONDS = 0.2
SUPERVISOR = (sys.executable, "-m", "services.stack.supervisor_process")


def check_ports(folder: Path, monitor: MonitorSettings) -> None:
    """Raises ConfigurationError if a port is taken.

    If Supervisor was killed, it left its socket: then this waits until its processes have ended.
    """
    was_killed = control_socket(folder).exists()
    deadline = time.monotonic() + (ORPHAN_SECONDS if was_killed else 0.0)
    for name, host, port in (
        ("SENTINEL_API_PORT", monitor.api_host, monitor.api_port),
        ("SENTINEL_DASHBOARD_PORT", monitor.dashboard_host, monitor.dashboard_port),
    ):
        while error := _try_port(host, port):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{host}:{port} cannot be used ({error.strerror}): stop the process that "
                    f"listens there (make down stops a stack), or set {name} to another port."
                ) from error
            time.sleep(POLL_SECONDS)


def _try_port(host: str, port: int) -> OSError | None:
    """Return why nothing can listen on a port; None if something can."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error
    return None


class Stack(NamedTuple):
    """What Supervisor runs, and where."""

    # The folder of its configuration, its logs and its token.
    folder: Path
    # The command of each process by name, in the order in which they are started.
    commands: Mapping[str, str]
    environment: Mapping[str, str]
    # The HTTP address of each process that is a server.
    servers: Mapping[str, str]


def start_in_background(stack: Stack) -> None:
    """Start Supervisor and return once it runs. Raises SentinelError if it does not start."""
    _prepare_folder(stack)
    supervisor = subprocess.Popen(
        SUPERVISOR,
        cwd=stack.folder,
        env=supervisor_config.make_environment(stack.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # it outlives the terminal
    )
    while not supervisor_client.list_processes(stack.folder):
        if supervisor.poll() is not None:
            reason = " ".join(read_tail(locate_log(stack.folder, "supervisor"))[-2:])
            raise SentinelError(f"Supervisor does not start: {reason}")
        time.sleep(POLL_SECONDS)
    supervisor.returncode = 0  # it outlives this object and this process


def run_in_foreground(stack: Stack) -> NoReturn:
    """Replace this process by Supervisor. So it gets the signals, and its exit code counts."""
    _prepare_folder(stack)
    os.chdir(stack.folder)
    environment = supervisor_config.make_environment(stack.environment)
    os.execve(sys.executable, SUPERVISOR, environment)  # noqa: S606


def _prepare_folder(stack: Stack) -> None:
    create_folder(stack.folder / LOG_FOLDER)
    create_socket_folder(control_socket(stack.folder).parent)
    config = supervisor_config.render_config(stack.folder, stack.commands, stack.servers)
    replace_atomically(stack.folder / CONFIG_FILE, config.encode())


def wait_until_healthy(
    folder: Path,
    monitor: MonitorSettings,
    report: Callable[[str], None],
    seconds: float = START_SECONDS,
) -> None:
    """Wait until every process is healthy; `report` gets a line for each.

    Raises SentinelError with the unhealthy processes if the stack ends or the time is over.
    """
    began = time.monotonic()
    reported: set[str] = set()
    while True:
        processes = supervisor_client.list_processes(folder)
        if not processes:
            raise SentinelError(f"The stack has ended: see {locate_log(folder, 'supervisor')}.")
        problems = health.check_processes(monitor, processes, health.read_token(folder, monitor))
        healthy = {name for name, problem in problems.items() if problem is None}
        for name in sorted(healthy - reported):
            report(f"{name} is healthy after {time.monotonic() - began:.1f} s")
        reported |= healthy
        if len(healthy) == len(problems):
            return
        if time.monotonic() - began > seconds:
            listed = "; ".join(f"{name}: {text}" for name, text in problems.items() if text)
            raise SentinelError(
                f"The stack is not healthy after {seconds:.0f} s ({listed}). It keeps running and "
                f"may recover. The logs are in {folder / LOG_FOLDER}; make down stops the stack."
            )
        time.sleep(POLL_SECONDS)
