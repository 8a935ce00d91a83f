"""Whether the processes of a stack are healthy, checked over HTTP as their users would."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from services import probe
from services.probe import SILENT, Complaint, NotTheApi
from services.settings import MonitorSettings


def check_processes(monitor: MonitorSettings, names: Collection[str]) -> dict[str, Complaint]:
    """Return the problem of each named process; None for a healthy one."""
    api: Complaint = None
    try:
        checks = probe.api_checks(monitor.own_api_url)
        database = checks.get("database", SILENT)
        # A database of the stack's own is listed as `db`. Another one is reported for the API.
        api = None if checks and "db" in names else database
    except NotTheApi as error:
        checks, api = {}, str(error)
    problems = {
        "stand-in": checks.get("last_run", SILENT),  # no run succeeds without it
        "db": checks.get("database", SILENT),
        "ingestion": _first_problem(checks.get(name, SILENT) for name in ("last_run", "freshness")),
        "api": api,
        "dashboard": probe.dashboard_itself(monitor),
    }
    return {name: problems[name] for name in names}


def _first_problem(problems: Iterable[Complaint]) -> Complaint:
    return next((problem for problem in problems if problem), None)
