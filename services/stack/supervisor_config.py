"""The processes of a stack, and Supervisor's configuration for them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from configparser import RawConfigParser
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from safe_zone import ROOT

# An environment variable of every process of a stack: the folder of its stack.
STACK_VARIABLE = "SENTINEL_STACK"
DEMO_FOLDER = "up-demo"  # in the state directory: everything of the demo stack
LOG_FOLDER = "logs"
PYTHON = Path(sys.executable).name  # `make_environment` puts its folder on the PATH
MAX_LOG_BYTES = 5_000_000
OLD_LOGS = 2
# The loop finishes its tick before it ends. A run may take 235 s, but mostly takes one second.
STOP_SECONDS = 60
# A process that ends sooner after its start is restarted after a pause, which grows by a second.
STEADY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class StackProcess:
    """One supervised process."""

    name: str
    # Run in the project's folder.
    command: Sequence[str]


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack, live or demo."""

    # Holds the configuration, the logs and the API token.
    folder: Path
    # In the order in which they are started.
    processes: Sequence[StackProcess]

    @property
    def config_file(self) -> Path:
        """Supervisor's configuration file."""
        return self.folder / "supervisord.conf"

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self.folder / LOG_FOLDER

    def log_files(self) -> list[Path]:
        """Return the log files in the order of the processes."""
        return [self.logs / f"{process.name}.log" for process in self.processes]


def plan_stack(folder: Path, *, has_own_database: bool, stand_in_port: int | None = None) -> Stack:
    """Return the stack of a folder.

    With a `stand_in_port` it is a demo stack, whose CoinGecko is the stand-in on that port.
    """
    modules = {
        "stand-in": ("demo", "serve", "--port", str(stand_in_port)) if stand_in_port else None,
        "db": ("services.db",) if has_own_database else None,
        "ingestion": ("services.ingestion", "--verbose"),
        "api": ("services.api",),
        "dashboard": ("services.dashboard",),
    }
    processes = [
        StackProcess(name, [PYTHON, "-u", "-m", *module])
        for name, module in modules.items()
        if module
    ]
    return Stack(folder, processes)


def read_stack(folder: Path) -> Stack:
    """Return the stack that the configuration file of a folder describes."""
    parser = RawConfigParser()
    parser.read(folder / "supervisord.conf", encoding="utf-8")
    sections = [(name.partition(":")[2], parser[name]) for name in parser.sections()]
    processes = [
        StackProcess(name, shlex.split(keys["command"])) for name, keys in sections if name
    ]
    return Stack(folder, processes)


def render_config(stack: Stack) -> str:
    """Return Supervisor's configuration: http://supervisord.org/configuration.html

    Supervisor restarts every process that ends, without a limit, and opens no socket. All paths are
    relative to the stack's folder, where Supervisor is started: in an absolute path it would expand
    a `%` and read ` ;` as the start of a comment.
    """
    parser = RawConfigParser()
    parser["supervisord"] = {
        "nodaemon": "true",
        "logfile": f"{LOG_FOLDER}/supervisor.log",
        "logfile_maxbytes": str(MAX_LOG_BYTES),
        "logfile_backups": str(OLD_LOGS),
        "pidfile": "supervisord.pid",
        "childlogdir": LOG_FOLDER,
        # Without this line Supervisor warns when root runs it.
    } | ({"user": "root"} if os.geteuid() == 0 else {})
    for priority, process in enumerate(stack.processes):
        parser[f"program:{process.name}"] = {
            "command": shlex.join(process.command),
            "priority": str(priority),
            "autorestart": "true",
            "startsecs": str(STEADY_SECONDS),
            "startretries": "1000000",
            "stopwaitsecs": str(STOP_SECONDS),
            "redirect_stderr": "true",
            "stdout_logfile": f"{LOG_FOLDER}/{process.name}.log",
            "stdout_logfile_maxbytes": str(MAX_LOG_BYTES),
            "stdout_logfile_backups": str(OLD_LOGS),
        }
    text = StringIO()
    parser.write(text)
    return text.getvalue()


def make_environment(stack: Stack, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a stack's processes, based on `environment`."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    return {
        **environment,
        STACK_VARIABLE: str(stack.folder),
        "PATH": programs,
        "PYTHONPATH": str(ROOT),
    }
