"""Whether the processes of a stack are healthy, checked over HTTP as their users would."""

from __future__ import annotations

from collections.abc import Collection

from services import probe
from services.probe import NO_RESPONSE, ProbeResult, UnexpectedServer
from services.settings import MonitorSettings


def check_processes(monitor: MonitorSettings, names: Collection[str]) -> dict[str, ProbeResult]:
    """Return the problem of each named process; None for a healthy one."""
    checks: dict[str, ProbeResult] = {}
    server_problem: ProbeResult = None
    try:
        checks = probe.read_api_checks(monitor.own_api_url)
    except UnexpectedServer as error:
        server_problem = str(error)
    last_run = checks.get("last_run", NO_RESPONSE)
    database = checks.get("database", NO_RESPONSE)
    # A database of the stack's own is listed as `db`. Another one is reported for the API.
    api = None if checks and "db" in names else database
    problems = {
        "stand-in": last_run,  # no run succeeds without it
        "db": database,
        "ingestion": last_run or checks.get("freshness", NO_RESPONSE),
        "api": server_problem or api,
        "dashboard": probe.check_streamlit(monitor),
    }
    return {name: problems[name] for name in names}
