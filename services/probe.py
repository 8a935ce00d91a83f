"""`python -m services.probe NAME`: whether a process of the monitor is well, for health checks.

It asks as the process's users would, and of what the process needs too: the ingestion's heartbeat
in the database, the API's answer about the database, the dashboard's and its API's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime
from typing import Any

import requests

from sentinel import console
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.errors import EXIT_OK, EXIT_UNHEALTHY, SentinelError
from sentinel.process import run_as_script
from sentinel.storage import service_status
from sentinel.storage.connection import Session, resolve_database
from services.settings import MonitorSettings, load_monitor_settings

TIMEOUT_SECONDS = 6.0  # the API itself waits 5 s for the database
SILENT = "does not answer"
Complaint = str | None


class NotTheApi(SentinelError):
    """Something else answers at the API's address."""

    exit_code = EXIT_UNHEALTHY


def ingestion(monitor: MonitorSettings, now: datetime) -> Complaint:
    """What is wrong with the loop, by the heartbeat it leaves in the database."""
    with resolve_database(monitor.settings) as address, Session(address) as session:
        status = session.use(lambda connection: service_status.read(connection, "ingestion"))
    if status is None:
        return "it never ticked"
    age = now - status.recorded_at
    if not service_status.is_late(age, status.interval):
        return None
    return f"it last ticked {age.total_seconds() / 60:.0f} minutes ago"


def api(monitor: MonitorSettings, _now: datetime) -> Complaint:
    """What is wrong with the API, or with the database behind it."""
    return api_checks(monitor.own_api_url).get("database", SILENT)


def dashboard(monitor: MonitorSettings, _now: datetime) -> Complaint:
    """What is wrong with the dashboard, or with the API that it shows."""
    return dashboard_itself(monitor) or _first_word(api_checks(monitor.api_url))


def api_checks(url: str) -> dict[str, Complaint]:
    """What the API says is wrong with what it looks at, by name; empty where it does not answer.

    Raises NotTheApi where something else answers there.
    """
    try:
        answer = requests.get(f"{url}/health", timeout=TIMEOUT_SECONDS)
    except requests.RequestException:
        return {}
    try:
        content: dict[str, Any] = answer.json()
        checks = content["checks"].items()
        return {name: None if c["is_ok"] else str(c["message"]) for name, c in checks}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotTheApi(f"What answers at {url} is not the API.") from error


def dashboard_itself(monitor: MonitorSettings) -> Complaint:
    """What is wrong with Streamlit's server."""
    url = f"{monitor.own_dashboard_url}/_stcore/health"
    try:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS)
    except requests.RequestException:
        return SILENT
    is_well = answer.status_code == 200 and answer.text == "ok"
    return None if is_well else f"answers {answer.status_code}"


def _first_word(checks: dict[str, Complaint]) -> Complaint:
    """The dashboard shows old prices as old: only an API that is silent makes it useless."""
    return None if checks else f"its API {SILENT}"


PROBES: dict[str, Callable[[MonitorSettings, datetime], Complaint]] = {
    "ingestion": ingestion,
    "api": api,
    "dashboard": dashboard,
}


def main() -> int:
    """Probe one process; returns 0, or 6 where something is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m services.probe",
        description=__doc__,
        epilog="example: python -m services.probe api; exit code 6 means unwell",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=sorted(PROBES))
    name = parser.parse_args().name
    console.configure_logging()
    complaint = PROBES[name](load_monitor_settings(), SYSTEM_CLOCKS.now())
    print(f"{name}: {complaint or 'well'}")
    return EXIT_UNHEALTHY if complaint else EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
