"""Whether the processes of a stack are healthy, checked over HTTP as their users would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sentinel.health.facts import HealthCheck
from services import probe
from services.probe import ApiHealth, ProbeResult, UnexpectedServer
from services.settings import MonitorSettings
from services.stack.log_file import find_last_line, read_tail
from services.stack.supervisor_client import StackProcess
from services.stack.supervisor_process import RESTART_SECONDS

MAX_RESTARTS = 2  # within RESTART_SECONDS

# The checks that `check_processes` reports for a process.
PROCESS_CHECKS = frozenset({"database", "freshness", "last_run", "telegram"})


def token_path(folder: Path) -> Path:
    """Return the file of the API's token, for a stack whose settings have none."""
    return folder / "api_token"


def read_token(folder: Path, monitor: MonitorSettings) -> str | None:
    """Return the token of the API of the stack in `folder`; None if it is not known."""
    return monitor.api_token or load_token(folder)


def load_token(folder: Path) -> str | None:
    """Return the token in its file; None if there is none, or if a full disk damaged the file."""
    path = token_path(folder)
    text = path.read_bytes().strip() if path.exists() else b""
    return text.decode() if text and text.isascii() else None


def check_processes(
    monitor: MonitorSettings, processes: Sequence[StackProcess], token: str | None = None
) -> dict[str, ProbeResult]:
    """Return the problem of each process; None for a healthy one.

    With the API's token the problems have their details.
    """
    health = ApiHealth()
    server_problem: ProbeResult = None
    try:
        health = probe.read_api_health(monitor.own_api_url, token)
    except UnexpectedServer as error:
        server_problem = str(error)
    names = [process.name for process in processes]
    last_run = health.find_problem("last_run")
    database = health.find_problem("database")
    # A database of the stack's own is listed as `db`. Another one is reported for the API.
    api = None if health.checks and "db" in names else database
    problems = {
        "stand-in": last_run,  # no run succeeds without it
        "db": database,
        "ingestion": last_run or health.find_problem("freshness"),
        "api": server_problem or api,
        "dashboard": probe.check_streamlit(monitor),
        "telegram": health.find_problem("telegram"),
    }
    return {
        process.name: _check_process(process, health) or problems[process.name]
        for process in processes
    }


def list_other_checks(monitor: MonitorSettings, token: str | None) -> list[HealthCheck]:
    """Return the checks that are not well and say nothing about one process.

    A start waits for healthy processes only: neither a new disk nor a backup comes with it.
    """
    try:
        health = probe.read_api_health(monitor.own_api_url, token)
    except UnexpectedServer:
        return []  # check_processes reports it
    return [
        check
        for name, check in health.checks.items()
        if check.state == "warning" or (name not in PROCESS_CHECKS and not check.is_ok)
    ]


def _check_process(process: StackProcess, health: ApiHealth) -> ProbeResult:
    """Return the problem that Supervisor knows of.

    The loop's last run counts only if this process made it: an earlier process left it otherwise.
    """
    log = read_tail(process.log_file)
    if not process.is_alive:
        return log[-1] if log else "it has ended"
    if process.restarts > MAX_RESTARTS:
        minutes, reason = RESTART_SECONDS // 60, find_last_line(log, process.started_at)
        return (
            f"it ended {process.restarts} times in {minutes} minutes, the last time with: {reason}"
        )
    last_run_at = health.last_run_at
    has_run = last_run_at is not None and last_run_at >= process.started_at
    if process.name == "ingestion" and "last_run" in health.checks and not has_run:
        return "it has completed no run since its start"
    return None
