"""The processes of a stack, and Supervisor's configuration for them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from configparser import RawConfigParser
from io import StringIO
from pathlib import Path

from safe_zone import ROOT
from sentinel.socket_folder import locate_socket_folder
from services.stack.child import STOP_SECONDS

DEMO_FOLDER = "up-demo"  # in the state directory: everything of the demo stack
PYTHON = Path(sys.executable).name  # `make_environment` puts its folder on the PATH
# A process that ends sooner after its start is restarted after a pause, which grows by a second.
STEADY_SECONDS = 10


def control_socket(folder: Path) -> Path:
    """Return the socket over which the Supervisor of a stack's folder is asked and stopped."""
    return locate_socket_folder(folder) / "supervisor.sock"


def list_commands(
    *, has_own_database: bool, has_telegram: bool = False, stand_in_port: int | None = None
) -> dict[str, str]:
    """Return the command of each process by name, in the order in which they are started.

    With a `stand_in_port` it is a demo stack, whose CoinGecko is the stand-in on that port.
    """
    modules = {
        "stand-in": f"demo serve --port {stand_in_port}" if stand_in_port else None,
        "db": "services.db" if has_own_database else None,
        "ingestion": "services.ingestion --verbose",
        "api": "services.api",
        "dashboard": "services.dashboard",
        "telegram": "services.telegram" if has_telegram else None,
    }
    start = f"{shlex.quote(PYTHON)} -m services.stack.child"
    return {name: f"{start} {module}" for name, module in modules.items() if module}


def render_config(folder: Path, commands: Mapping[str, str], servers: Mapping[str, str]) -> str:
    """Return Supervisor's configuration: http://supervisord.org/configuration.html

    Supervisor restarts every process that ends, without a limit, and those of the `servers` (HTTP
    addresses by name) that hang. Paths are relative to the stack's folder, where Supervisor is
    started: in the path of a user's folder it would expand a `%` and read ` ;` as the start of a
    comment. The processes write their logs themselves.
    """
    parser = RawConfigParser()
    parser["supervisord"] = {
        "nodaemon": "true",
        "pidfile": "supervisord.pid",
        # Without this line Supervisor warns when root runs it.
    } | ({"user": "root"} if os.geteuid() == 0 else {})
    parser["unix_http_server"] = {"file": str(control_socket(folder)), "chmod": "0700"}
    parser["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    parser["rpcinterface:sentinel"] = {
        "supervisor.rpcinterface_factory": "services.stack.supervisor_process:Watch"
    } | {name: url.replace("%", "%%") for name, url in servers.items()}
    for priority, (name, command) in enumerate(commands.items()):
        parser[f"program:{name}"] = {
            "command": command,
            "priority": str(priority),
            "autorestart": "true",
            "startsecs": str(STEADY_SECONDS),
            "startretries": "1000000",
            "stopwaitsecs": str(STOP_SECONDS),
            "redirect_stderr": "true",
            "stdout_logfile": "NONE",
        }
    text = StringIO()
    parser.write(text)
    return text.getvalue()


def make_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a stack's processes, based on `environment`."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    return {**environment, "PATH": programs, "PYTHONPATH": str(ROOT)}
