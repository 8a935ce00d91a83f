"""Whether the processes of a stack are healthy, checked over HTTP as their users would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services import probe
from services.probe import NO_RESPONSE, ApiHealth, ProbeResult, UnexpectedServer
from services.settings import MonitorSettings
from services.stack.supervisor_client import StackProcess


def check_processes(
    monitor: MonitorSettings, processes: Sequence[StackProcess]
) -> dict[str, ProbeResult]:
    """Return the problem of each process; None for a healthy one."""
    health = ApiHealth()
    server_problem: ProbeResult = None
    try:
        health = probe.read_api_health(monitor.own_api_url)
    except UnexpectedServer as error:
        server_problem = str(error)
    names = [process.name for process in processes]
    last_run = health.checks.get("last_run", NO_RESPONSE)
    database = health.checks.get("database", NO_RESPONSE)
    # A database of the stack's own is listed as `db`. Another one is reported for the API.
    api = None if health.checks and "db" in names else database
    problems = {
        "stand-in": last_run,  # no run succeeds without it
        "db": database,
        "ingestion": last_run or health.checks.get("freshness", NO_RESPONSE),
        "api": server_problem or api,
        "dashboard": probe.check_streamlit(monitor),
    }
    return {
        process.name: _check_process(process, health) or problems[process.name]
        for process in processes
    }


def _check_process(process: StackProcess, health: ApiHealth) -> ProbeResult:
    """Return the problem that Supervisor knows of.

    The loop's last run counts only if this process made it: an earlier process left it otherwise.
    """
    if not process.is_alive:
        return _read_last_line(process.log_file) or "it has ended"
    last_run_at = health.last_run_at
    if process.name == "ingestion" and last_run_at and last_run_at < process.started_at:
        return "it has completed no run since its start"
    return None


def _read_last_line(log_file: Path) -> str:
    """Return what a process printed last: mostly why it has ended."""
    if not log_file.exists():
        return ""
    return log_file.read_text(errors="replace").rstrip().rpartition("\n")[2]
