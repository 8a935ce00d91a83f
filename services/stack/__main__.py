"""`python -m services.stack`: start, check and stop the whole monitor on this machine."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import argparse
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from safe_zone import ROOT
from sentinel import files
from sentinel.arguments import make_parser
from sentinel.config import ensure_state_dir
from sentinel.console import show_table
from sentinel.errors import (
    EXIT_OK,
    EXIT_UNHEALTHY,
    ConfigurationError,
    Interrupted,
    SentinelError,
)
from sentinel.health.facts import find_failures
from sentinel.process import run_as_script
from services.settings import MonitorSettings, load_monitor_settings
from services.stack import control, health, supervisor_client, supervisor_config
from services.stack.control import Stack
from services.stack.log_file import LOG_FOLDER
from services.stack.supervisor_client import StackProcess

EPILOG = """examples:
  python -m services.stack up           the monitor with live data from CoinGecko
  python -m services.stack up --demo    with the stand-in and a week of invented history
  python -m services.stack status       exit code 6 if a process is not healthy
  python -m services.stack logs         follow all logs
  python -m services.stack down         stop the live and the demo stack
  python -m services.stack run          the monitor in the foreground, for systemd
Supervisor restarts processes that end. A reboot stops the stack: docs/monitor.md has a unit."""


def main() -> int:
    """Run the command; return 0, or 6 if `status` finds an unhealthy process."""
    arguments = _parse_arguments()
    if sys.platform == "win32":
        raise ConfigurationError("The stack needs Linux or macOS. On Windows use the containers.")
    os.umask(0o077)  # of all processes of the stack: logs hold the portfolio
    monitor = load_monitor_settings()
    state_dir = ensure_state_dir(monitor.settings.state_dir).resolve()
    if arguments.action == "down":
        return _stop(state_dir)
    if arguments.action in ("up", "run"):
        start = _start if arguments.action == "up" else _run
        return _start_locked(start, monitor, state_dir, is_demo=arguments.demo)
    folders = [_stack_folder(state_dir, is_demo=is_demo) for is_demo in (False, True)]
    folders = folders[1:] if arguments.demo else folders
    if arguments.action == "logs":
        return _follow_logs(folders)
    folder, processes = _find_stack(folders)
    return _show_status(processes, monitor, health.read_token(folder, monitor))


def _parse_arguments() -> argparse.Namespace:
    parser = make_parser("python -m services.stack", __doc__, EPILOG)
    parser.add_argument("action", choices=("up", "run", "down", "status", "logs"))
    parser.add_argument("--demo", action="store_true", help="the demo stack, with its own data")
    return parser.parse_args()


def _stack_folder(state_dir: Path, *, is_demo: bool) -> Path:
    return (state_dir / supervisor_config.DEMO_FOLDER if is_demo else state_dir) / "stack"


def _start_locked(
    start: Callable[[Path, MonitorSettings, bool], int],
    monitor: MonitorSettings,
    state_dir: Path,
    *,
    is_demo: bool,
) -> int:
    refusal = ConfigurationError(f"Another up is running in {state_dir}: wait until it is done.")
    with files.lock_or_refuse(state_dir / "stack", refusal):
        try:
            return start(_stack_folder(state_dir, is_demo=is_demo), monitor, is_demo)
        except OSError as error:
            raise ConfigurationError(
                f"The stack cannot be started in {state_dir}: {files.describe_os_error(error)}, or "
                "set SENTINEL_STATE_DIR to another folder."
            ) from error


def _start(folder: Path, monitor: MonitorSettings, is_demo: bool) -> int:
    """Start a stack in the background and wait until it is healthy."""
    if supervisor_client.list_processes(folder):
        _print_progress("the stack is already running")
    else:
        control.start_in_background(_prepare_stack(folder, monitor, is_demo=is_demo))
    control.wait_until_healthy(folder, monitor, _print_progress)
    for check in health.list_other_checks(monitor, health.read_token(folder, monitor)):
        _print_progress(f"{check.name}, {check.state}: {check.message}")
    print(f"dashboard  {monitor.own_dashboard_url}")
    print(f"status     {monitor.own_dashboard_url}/status/")
    print(f"API        {monitor.own_api_url}/docs")
    print(f"logs       {folder / LOG_FOLDER}")
    return EXIT_OK


def _run(folder: Path, monitor: MonitorSettings, is_demo: bool) -> NoReturn:
    """Become the Supervisor of a stack."""
    if supervisor_client.list_processes(folder):
        raise ConfigurationError(f"The stack in {folder} is running already: make down stops it.")
    stack = _prepare_stack(folder, monitor, is_demo=is_demo)
    _print_progress(f"the logs are in {folder / LOG_FOLDER}")
    control.run_in_foreground(stack)


def _prepare_stack(folder: Path, monitor: MonitorSettings, *, is_demo: bool) -> Stack:
    """Return what Supervisor has to run. Raises ConfigurationError if a port is taken."""
    ensure_state_dir(folder)
    control.check_ports(folder, monitor)
    environment = dict(os.environ)
    stand_in_port = None
    if is_demo:
        stand_in_port = _find_free_port()
        environment |= _demo_environment(folder.parent, stand_in_port)
        _seed_database(environment)
    if monitor.api_token is None:
        environment["SENTINEL_API_TOKEN"] = _ensure_token(folder)
    commands = supervisor_config.list_commands(
        has_own_database=is_demo or not monitor.settings.database_url,
        has_telegram=not is_demo and monitor.telegram_bot_token is not None,
        stand_in_port=stand_in_port,
    )
    servers = {"api": monitor.own_api_url, "dashboard": monitor.own_dashboard_url}
    return Stack(folder, commands, environment, servers)


def _seed_database(environment: Mapping[str, str]) -> None:
    _print_progress("generating a week of history ...")
    command = [sys.executable, "-m", "demo", "seed"]
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise SentinelError("The history of the demo could not be generated: see the error above.")


def _demo_environment(folder: Path, stand_in_port: int) -> dict[str, str]:
    """Return the variables that keep the demo apart from the live stack."""
    return {
        "COINGECKO_BASE_URL": f"http://127.0.0.1:{stand_in_port}/api/v3",
        "COINGECKO_API_KEY": "demo-key-of-the-stand-in",
        "COINGECKO_IS_PRO": "true",
        "DATABASE_URL": "",
        "NEON_API_KEY": "",
        "NEON_PROJECT_ID": "",
        "ALERT_URLS": "",
        "TELEGRAM_BOT_TOKEN": "",
        "TELEGRAM_CHAT_ID": "",
        "TELEGRAM_USER_IDS": "",
        "HEARTBEAT_URL_MONITOR": "",
        "SENTINEL_API_URL": "",
        "SENTINEL_STATE_DIR": str(folder),
        "SENTINEL_REGISTRY": str(folder / "coin_registry.json"),
    }


def _ensure_token(folder: Path) -> str:
    """Return the token that API and dashboard of this stack share; create it on the first start.

    Only its owner can read the file.
    """
    token = health.load_token(folder)
    if token is None:
        token = secrets.token_urlsafe(24)
        files.replace_atomically(health.token_path(folder), token.encode())
    return token


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(state_dir: Path) -> int:
    folders = [_stack_folder(state_dir, is_demo=is_demo) for is_demo in (False, True)]
    stopped = [folder for folder in folders if supervisor_client.stop(folder)]
    _print_progress("stopped" if stopped else "no stack was running")
    return EXIT_OK


def _find_stack(folders: Sequence[Path]) -> tuple[Path, list[StackProcess]]:
    """Return folder and processes of the first stack that is running.

    Raises ConfigurationError if there is none.
    """
    for folder in folders:
        if found := supervisor_client.list_processes(folder):
            return folder, found
    raise ConfigurationError("No stack is running here: start one with make up or make up-demo.")


def _show_status(
    processes: Sequence[StackProcess], monitor: MonitorSettings, token: str | None
) -> int:
    problems = health.check_processes(monitor, processes, token)
    rows = [(p.name, p.state.lower(), problems[p.name] or "healthy") for p in processes]
    show_table("Stack", ("process", "state", "health"), rows)
    others = health.list_other_checks(monitor, token)
    for check in others:
        print(f"{check.name}, {check.state}: {check.message}")
    return EXIT_UNHEALTHY if any(problems.values()) or find_failures(others) else EXIT_OK


def _follow_logs(folders: Sequence[Path]) -> int:
    """Follow the logs of the stack that logged last: it may have ended."""
    logs = [log for folder in folders for log in (folder / LOG_FOLDER).glob("*.log")]
    if not logs:
        raise ConfigurationError("No stack has run here: start one with make up or make up-demo.")
    newest = max(logs, key=lambda log: log.stat().st_mtime)
    same_stack = sorted(log for log in logs if log.parent == newest.parent)
    try:
        return subprocess.run(["tail", "-n", "20", "-F", *same_stack], check=False).returncode
    except Interrupted as stop:  # the usual end of this command, so without an error
        return stop.exit_code


def _print_progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_as_script(main)
