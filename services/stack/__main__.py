"""`python -m services.stack`: the whole monitor on this machine, started, watched and stopped."""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from safe_zone import ROOT, ensure_state_dir
from sentinel import files
from sentinel.console import show_table
from sentinel.errors import EXIT_OK, EXIT_UNHEALTHY, ConfigurationError, SentinelError
from sentinel.process import run_as_script
from services.settings import MonitorSettings, load_monitor_settings
from services.stack import control, health, supervisor_config
from services.stack.supervisor_config import Stack

EPILOG = """examples:
  python -m services.stack up           the monitor against the live CoinGecko
  python -m services.stack up --demo    against the stand-in, with a week of invented history
  python -m services.stack status       exit code 6 where something is not healthy
  python -m services.stack logs         all logs as they grow
  python -m services.stack down         stop what runs, demo or not
Processes that end are started again. A reboot ends them all: docs/operations.md has a unit."""


def main() -> int:
    """Do what the command line says; returns 0, or 6 where `status` finds something ill."""
    parser = argparse.ArgumentParser(
        prog="python -m services.stack",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("up", "down", "status", "logs"))
    parser.add_argument("--demo", action="store_true", help="the demo stack, with data of its own")
    arguments = parser.parse_args()
    if sys.platform == "win32":
        raise ConfigurationError("The stack needs Linux or macOS. On Windows use the containers.")
    monitor = load_monitor_settings()
    # One spelling, by which a stack is known again.
    state_dir = ensure_state_dir(monitor.settings.state_dir).resolve()
    if arguments.action == "down":
        return _down(state_dir)
    is_demo = arguments.demo
    if arguments.action == "up":
        at_work = ConfigurationError("Another up is at work here: wait for it.")
        with files.lock_or_refuse(state_dir / "stack", at_work):
            try:
                return _up(monitor, state_dir, is_demo=is_demo)
            except OSError as error:
                raise ConfigurationError(
                    f"The stack cannot be started in {state_dir} ({error.strerror}: "
                    f"{error.filename}): make room there, or set SENTINEL_STATE_DIR."
                ) from error
    folder = _folder(state_dir, is_demo=is_demo or not control.supervisor(state_dir / "stack"))
    return _status(folder, monitor) if arguments.action == "status" else _logs(folder)


def _folder(state_dir: Path, *, is_demo: bool) -> Path:
    return (state_dir / supervisor_config.DEMO if is_demo else state_dir) / "stack"


def _up(monitor: MonitorSettings, state_dir: Path, *, is_demo: bool) -> int:
    environment = dict(os.environ)
    folder = _folder(state_dir, is_demo=is_demo)
    feed_port = None
    if is_demo:
        feed_port = _free_port()
        environment |= _demo_environment(state_dir / supervisor_config.DEMO, feed_port)
    ensure_state_dir(folder)
    if monitor.api_token is None:
        environment["SENTINEL_API_TOKEN"] = _token(folder)
    has_own = is_demo or not monitor.settings.database_url
    stack = supervisor_config.plan(folder, has_own_database=has_own, feed_port=feed_port)
    if not control.prepare(stack, monitor):
        _tell("the stack runs already")
    else:
        if is_demo:
            _seed(environment)
        control.start(stack, environment)
    control.wait_until_well(stack, monitor, _tell)
    print(f"dashboard  {monitor.own_dashboard_url}")
    print(f"API        {monitor.own_api_url}/docs")
    print(f"logs       {stack.logs}")
    return EXIT_OK


def _seed(environment: Mapping[str, str]) -> None:
    _tell("inventing a week of history ...")
    command = [sys.executable, "-m", "demo", "seed"]
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise SentinelError("The demo's history could not be made: see above.")


def _demo_environment(folder: Path, feed_port: int) -> dict[str, str]:
    """Nothing of the real stack but its ports and the ways it speaks."""
    return {
        "COINGECKO_BASE_URL": f"http://127.0.0.1:{feed_port}/api/v3",
        "COINGECKO_API_KEY": "demo-key-of-the-stand-in",
        "COINGECKO_IS_PRO": "true",
        "DATABASE_URL": "",
        "NEON_API_KEY": "",
        "NEON_PROJECT_ID": "",
        "ALERT_URLS": "",
        "TELEGRAM_BOT_TOKEN": "",
        "TELEGRAM_CHAT_ID": "",
        "SENTINEL_API_URL": "",
        "SENTINEL_STATE_DIR": str(folder),
        "SENTINEL_REGISTRY": str(folder / "coin_registry.json"),
    }


def _token(folder: Path) -> str:
    """What API and dashboard of this stack share: made once, readable by its owner alone."""
    path = folder / "api_token"
    found = path.read_text(encoding="ascii").strip() if path.exists() else ""
    if not found:  # also where a full disk left nothing but the name
        found = secrets.token_urlsafe(24)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        files.replace_atomically(path, found.encode())
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _down(state_dir: Path) -> int:
    folders = [_folder(state_dir, is_demo=is_demo) for is_demo in (False, True)]
    stopped = [folder for folder in folders if control.stop(folder)]
    _tell("stopped" if stopped else "nothing ran")
    return EXIT_OK


def _status(folder: Path, monitor: MonitorSettings) -> int:
    stack = _running(folder)
    found = health.examine(monitor, [process.name for process in stack.processes])
    show_table("Stack", ("process", "state"), [(n, t or "healthy") for n, t in found.items()])
    return EXIT_UNHEALTHY if any(found.values()) else EXIT_OK


def _logs(folder: Path) -> int:
    logs = [str(path) for path in _running(folder).log_files() if path.exists()]
    return subprocess.run(["tail", "-n", "20", "-F", *logs], check=False).returncode


def _running(folder: Path) -> Stack:
    """The stack that runs in a folder, by the configuration it was started with."""
    if not control.supervisor(folder):
        raise ConfigurationError("No stack runs here: make up or make up-demo starts one.")
    return supervisor_config.read(folder)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_as_script(main)
