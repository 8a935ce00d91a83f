"""What the stack consists of: processes, their folder, and Supervisor's configuration for them."""

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

MARK = "SENTINEL_STACK"  # in the environment of every process: which stack it belongs to
DEMO = "up-demo"  # below the state directory: the demo stack's own
LOGS = "logs"
PYTHON = Path(sys.executable).name  # found by the PATH that `environment_of` gives
MAX_LOG_BYTES = 5_000_000
OLD_LOGS = 2
# A tick in hand is finished before the loop ends; a run has 235 s, and mostly takes one.
STOP_SECONDS = 60
STEADY_SECONDS = 10  # who ends sooner after a start waits a second longer each time


@dataclass(frozen=True, slots=True)
class Process:
    """One supervised process: its name and how it is started from the project's folder."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack, real or demo, by the folder it works in."""

    folder: Path
    processes: Sequence[Process]

    @property
    def config_file(self) -> Path:
        """Supervisor's configuration."""
        return self.folder / "supervisord.conf"

    @property
    def logs(self) -> Path:
        """Where every process's log is."""
        return self.folder / LOGS

    def log_files(self) -> list[Path]:
        """The logs, in the order of the processes."""
        return [self.logs / f"{process.name}.log" for process in self.processes]


def plan(folder: Path, *, has_own_database: bool, feed_port: int | None = None) -> Stack:
    """The stack of a folder; a demo's has the stand-in, on `feed_port`, for CoinGecko."""
    modules = {
        "feed": ("demo", "serve", "--port", str(feed_port)) if feed_port else None,
        "db": ("services.db",) if has_own_database else None,
        "ingestion": ("services.ingestion", "--verbose"),
        "api": ("services.api",),
        "dashboard": ("services.dashboard",),
    }
    processes = [
        Process(name, [PYTHON, "-u", "-m", *module]) for name, module in modules.items() if module
    ]
    return Stack(folder, processes)


def read(folder: Path) -> Stack:
    """The stack that a folder's configuration was written for."""
    parser = RawConfigParser()
    parser.read(folder / "supervisord.conf", encoding="utf-8")
    sections = [(name.partition(":")[2], parser[name]) for name in parser.sections()]
    return Stack(
        folder, [Process(name, shlex.split(keys["command"])) for name, keys in sections if name]
    )


def render(stack: Stack) -> str:
    """Supervisor's configuration: http://supervisord.org/configuration.html

    A process that ends is started again, at once and for ever; no server socket is opened. Every
    path is relative to the stack's folder, where Supervisor is started: it would expand a % in
    one, and take ` ;` for the beginning of a comment.
    """
    parser = RawConfigParser()
    parser["supervisord"] = {
        "nodaemon": "true",
        "logfile": f"{LOGS}/supervisor.log",
        "logfile_maxbytes": str(MAX_LOG_BYTES),
        "logfile_backups": str(OLD_LOGS),
        "pidfile": "supervisord.pid",
        "childlogdir": LOGS,
    } | ({"user": "root"} if os.geteuid() == 0 else {})  # said, or it warns
    for place, process in enumerate(stack.processes):
        parser[f"program:{process.name}"] = {
            "command": shlex.join(process.command),
            "priority": str(place),
            "autorestart": "true",
            "startsecs": str(STEADY_SECONDS),
            "startretries": "1000000",
            "stopwaitsecs": str(STOP_SECONDS),
            "redirect_stderr": "true",
            "stdout_logfile": f"{LOGS}/{process.name}.log",
            "stdout_logfile_maxbytes": str(MAX_LOG_BYTES),
            "stdout_logfile_backups": str(OLD_LOGS),
        }
    text = StringIO()
    parser.write(text)
    return text.getvalue()


def environment_of(stack: Stack, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a stack's processes: the mark, and where interpreter and code are."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    return {
        **environment,
        MARK: str(stack.folder),
        "PATH": programs,
        "PYTHONPATH": str(ROOT),
    }
