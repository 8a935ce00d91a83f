"""Start and stop a stack of processes under Supervisor."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

from sentinel.errors import ConfigurationError, SentinelError
from sentinel.files import replace_atomically
from services.settings import MonitorSettings
from services.stack import health, supervisor_config
from services.stack.supervisor_config import STACK_VARIABLE, Stack

START_SECONDS = 240.0  # a first run without a key waits twice for CoinGecko's limit per minute
STOP_TIMEOUT_SECONDS = supervisor_config.STOP_SECONDS + 15.0
ORPHAN_TIMEOUT_SECONDS = 10.0  # orphans survived a kill -9 of their supervisor
POLL_SECONDS = 0.5


def prepare_stack(stack: Stack, monitor: MonitorSettings) -> bool:
    """Stop orphans and check the ports; return False if the stack is already running.

    Raises ConfigurationError if a port is taken.
    """
    if find_supervisor(stack.folder):
        return False
    _end_processes(_find_processes(stack.folder))
    for name, host, port in (
        ("SENTINEL_API_PORT", monitor.api_host, monitor.api_port),
        ("SENTINEL_DASHBOARD_PORT", monitor.dashboard_host, monitor.dashboard_port),
    ):
        _check_port(name, host, port)
    return True


def start_stack(stack: Stack, environment: Mapping[str, str]) -> None:
    """Write Supervisor's configuration and start it."""
    stack.logs.mkdir(parents=True, exist_ok=True)
    replace_atomically(stack.config_file, supervisor_config.render_config(stack).encode())
    with _startup_log(stack).open("wb") as startup_log:
        subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", stack.config_file.name],
            cwd=stack.folder,
            env=supervisor_config.make_environment(stack, environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=startup_log,
            start_new_session=True,  # so that the stack outlives the terminal
        )


def wait_until_healthy(
    stack: Stack,
    monitor: MonitorSettings,
    report: Callable[[str], None],
    seconds: float = START_SECONDS,
) -> None:
    """Wait until every process is healthy; `report` gets a line for each.

    Raises SentinelError with the unhealthy processes if the stack ends or the time is over.
    """
    began = time.monotonic()
    names = [process.name for process in stack.processes]
    reported: set[str] = set()
    while True:
        problems = health.check_processes(monitor, names)
        for name in names:
            if problems[name] is None and name not in reported:
                reported.add(name)
                report(f"{name} is healthy after {time.monotonic() - began:.1f} s")
        if not any(problems.values()):
            return
        if not find_supervisor(stack.folder):
            raise SentinelError(f"The stack has ended: {_read_startup_error(stack)}")
        if time.monotonic() - began > seconds:
            listed = "; ".join(f"{name}: {text}" for name, text in problems.items() if text)
            raise SentinelError(
                f"The stack is not healthy after {seconds:.0f} s ({listed}). It keeps running and "
                f"may recover. The logs are in {stack.logs}; make down stops the stack."
            )
        time.sleep(POLL_SECONDS)


def _startup_log(stack: Stack) -> Path:
    """Return the file of Supervisor's stderr: its errors before it opens its log."""
    return stack.logs / "supervisor.err"


def _read_startup_error(stack: Stack) -> str:
    lines = _startup_log(stack).read_text(errors="replace").strip().splitlines()[-1:]
    return lines[0] if lines else f"see {stack.logs}/supervisor.log."


def stop_stack(folder: Path) -> bool:
    """Stop the supervisor, which stops its processes, then orphans; False if nothing ran."""
    if not _find_processes(folder):
        return False
    if supervisor := find_supervisor(folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisor.terminate()
        psutil.wait_procs([supervisor], timeout=STOP_TIMEOUT_SECONDS)
    _end_processes(_find_processes(folder))
    return True


def find_supervisor(folder: Path) -> psutil.Process | None:
    """Return the supervisor of a stack's folder; None if none runs."""
    for process in _find_processes(folder):
        with contextlib.suppress(psutil.Error):
            if "supervisor.supervisord" in process.cmdline():
                return process
    return None


def _find_processes(folder: Path) -> list[psutil.Process]:
    """Return the processes of a stack, without this one.

    PostgreSQL's processes are left out: they end with the process that uses them.
    """
    return [process for process in _iterate_marked(folder) if process.pid != os.getpid()]


def _iterate_marked(folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            is_marked = process.environ().get(STACK_VARIABLE) == str(folder)
            if process.name() != "postgres" and is_marked:
                yield process


def _end_processes(processes: list[psutil.Process]) -> None:
    """Terminate processes; kill those that do not end."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    # Streamlit ignores SIGTERM once the reader of its log is gone.
    _, remaining = psutil.wait_procs(processes, timeout=ORPHAN_TIMEOUT_SECONDS)
    for process in remaining:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(remaining, timeout=ORPHAN_TIMEOUT_SECONDS)


def _check_port(name: str, host: str, port: int) -> None:
    """Raises ConfigurationError if nothing can listen on the port of this setting."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise ConfigurationError(
            f"{host}:{port} cannot be used ({error.strerror}): stop the process that listens there "
            f"(make down stops a stack), or set {name} to another port."
        ) from error
