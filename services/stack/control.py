"""Starting and stopping a stack: Supervisor watches its processes, their environment marks them."""

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
from services.stack.supervisor_config import MARK, Stack

START_SECONDS = 240.0  # a first run without a key waits for CoinGecko's minute, twice
GRACE_SECONDS = supervisor_config.STOP_SECONDS + 15.0
ORPHANS_GRACE_SECONDS = 10.0  # of processes without a supervisor: all of them survive a kill -9
LOOK_SECONDS = 0.5


def prepare(stack: Stack, monitor: MonitorSettings) -> bool:
    """See that a stack can be started; False where it runs already.

    What is left of one whose supervisor was killed is stopped. Raises ConfigurationError where a
    port is taken.
    """
    if supervisor(stack.folder):
        return False
    _end(_members(stack.folder))
    for name, host, port in (
        ("SENTINEL_API_PORT", monitor.api_host, monitor.api_port),
        ("SENTINEL_DASHBOARD_PORT", monitor.dashboard_host, monitor.dashboard_port),
    ):
        _refuse_taken(name, host, port)
    return True


def start(stack: Stack, environment: Mapping[str, str]) -> None:
    """Start Supervisor on a stack."""
    stack.logs.mkdir(parents=True, exist_ok=True)
    replace_atomically(stack.config_file, supervisor_config.render(stack).encode())
    with _said(stack).open("wb") as said:
        subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", stack.config_file.name],
            cwd=stack.folder,
            env=supervisor_config.environment_of(stack, environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,  # it outlives the terminal
        )


def wait_until_well(
    stack: Stack,
    monitor: MonitorSettings,
    tell: Callable[[str], None],
    seconds: float = START_SECONDS,
) -> None:
    """Wait until every process is healthy. Raises SentinelError that names those which are not."""
    began = time.monotonic()
    names = [process.name for process in stack.processes]
    told: set[str] = set()
    while True:
        found = health.examine(monitor, names)
        for name in [name for name in names if found[name] is None and name not in told]:
            told.add(name)
            tell(f"{name} is healthy after {time.monotonic() - began:.1f} s")
        if not any(found.values()):
            return
        if not supervisor(stack.folder):
            raise SentinelError(f"The stack has ended: {_last_words(stack)}")
        if time.monotonic() - began > seconds:
            ill = "; ".join(f"{name}: {text}" for name, text in found.items() if text)
            raise SentinelError(
                f"After {seconds:.0f} s not everything is healthy ({ill}). It is left running and "
                f"may recover; the logs are in {stack.logs}, and make down stops it."
            )
        time.sleep(LOOK_SECONDS)


def _said(stack: Stack) -> Path:
    """What Supervisor said before it had a log."""
    return stack.logs / "supervisor.err"


def _last_words(stack: Stack) -> str:
    words = _said(stack).read_text(errors="replace").strip().splitlines()[-1:]
    return words[0] if words else f"look into {stack.logs}/supervisor.log."


def stop(folder: Path) -> bool:
    """Stop a stack, its supervisor first, which stops the others; False where nothing ran."""
    members = _members(folder)
    if not members:
        return False
    if leader := supervisor(folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            leader.terminate()
        psutil.wait_procs([leader], timeout=GRACE_SECONDS)
    _end(_members(folder))
    return True


def supervisor(folder: Path) -> psutil.Process | None:
    """The supervisor of a stack's folder, if one runs."""
    for process in _members(folder):
        with contextlib.suppress(psutil.Error):
            if "supervisor.supervisord" in process.cmdline():
                return process
    return None


def _members(folder: Path) -> list[psutil.Process]:
    """The processes that bear a stack's mark, whoever started them; not PostgreSQL's, which end
    with who uses them, and not ourselves."""
    return [process for process in _marked(folder) if process.pid != os.getpid()]


def _marked(folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.name() != "postgres" and process.environ().get(MARK) == str(folder):
                yield process


def _end(processes: list[psutil.Process]) -> None:
    """Ask to end, and where that is not heard, end."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    # Streamlit does not hear it where its log's reader is gone.
    _, deaf = psutil.wait_procs(processes, timeout=ORPHANS_GRACE_SECONDS)
    for process in deaf:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(deaf, timeout=ORPHANS_GRACE_SECONDS)


def _refuse_taken(name: str, host: str, port: int) -> None:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise ConfigurationError(
            f"Nothing can listen on {host}:{port} ({error.strerror}): stop what is there, perhaps "
            f"with make down, or set {name}."
        ) from error
