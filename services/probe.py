"""`python -m services.probe NAME`: check the health of one process of the monitor.

The check includes what the process needs. The loop is checked by its heartbeat in the database, the
API by its report about the database, the dashboard by its own server and by its API.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import requests

from sentinel.arguments import make_parser
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.errors import EXIT_OK, EXIT_UNHEALTHY, SentinelError
from sentinel.process import run_as_script
from sentinel.storage import service_status
from sentinel.storage.connection import Session, resolve_database
from services.settings import MonitorSettings, load_monitor_settings

TIMEOUT_SECONDS = 6.0  # the API itself waits 5 s for the database
NO_RESPONSE = "does not answer"
# What is wrong with a process; None for a healthy one.
ProbeResult = str | None


class ApiHealth(NamedTuple):
    """What the API's health check says. Empty if the API does not answer."""

    # The problem of each check by name; None where all is well.
    checks: Mapping[str, ProbeResult] = {}
    # The end of the loop's last run.
    last_run_at: datetime | None = None


class UnexpectedServer(SentinelError):
    """Another program answers at the address of the API."""

    exit_code = EXIT_UNHEALTHY


def check_ingestion(monitor: MonitorSettings, now: datetime) -> ProbeResult:
    """Check the loop by the age of its heartbeat in the database."""
    with resolve_database(monitor.settings) as address, Session(address) as session:
        status = session.use(lambda connection: service_status.read(connection, "ingestion"))
    if status is None:
        return "it never ticked"
    age = now - status.recorded_at
    if not service_status.is_late(age, status.interval):
        return None
    return f"it last ticked {age.total_seconds() / 60:.0f} minutes ago"


def check_api(monitor: MonitorSettings, _now: datetime) -> ProbeResult:
    """Check the API and the database behind it."""
    return read_api_health(monitor.own_api_url).checks.get("database", NO_RESPONSE)


def check_dashboard(monitor: MonitorSettings, _now: datetime) -> ProbeResult:
    """Check the dashboard and that its API answers.

    Other problems of the API do not matter here: the dashboard then shows old prices as old.
    """
    if problem := check_streamlit(monitor):
        return problem
    return None if read_api_health(monitor.api_url).checks else f"its API {NO_RESPONSE}"


def read_api_health(url: str) -> ApiHealth:
    """Return what the API's own health check says; nothing if the API does not answer.

    Raises UnexpectedServer if another program answers.
    """
    try:
        response = requests.get(f"{url}/health", timeout=TIMEOUT_SECONDS)
    except requests.RequestException:
        return ApiHealth()
    try:
        content: dict[str, Any] = response.json()
        checks = content["checks"].items()
        last_run_at = content["last_run_at"]
        return ApiHealth(
            {name: None if c["is_ok"] else str(c["message"]) for name, c in checks},
            datetime.fromisoformat(last_run_at) if last_run_at else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnexpectedServer(
            f"The server at {url} is not the API of Market Sentinel: stop it, or set "
            "SENTINEL_API_PORT to another port."
        ) from error


def check_streamlit(monitor: MonitorSettings) -> ProbeResult:
    """Check the dashboard's server."""
    url = f"{monitor.own_dashboard_url}/_stcore/health"
    try:
        response = requests.get(url, timeout=TIMEOUT_SECONDS)
    except requests.RequestException:
        return NO_RESPONSE
    is_healthy = response.status_code == 200 and response.text == "ok"
    return None if is_healthy else f"answers {response.status_code}"


PROBES: dict[str, Callable[[MonitorSettings, datetime], ProbeResult]] = {
    "ingestion": check_ingestion,
    "api": check_api,
    "dashboard": check_dashboard,
}


def main() -> int:
    """Check one process; return 0, or 6 if it is not healthy."""
    parser = make_parser(
        "python -m services.probe",
        __doc__,
        "example: python -m services.probe api; exit code 6 means not healthy",
    )
    parser.add_argument("name", choices=sorted(PROBES))
    name = parser.parse_args().name
    problem = PROBES[name](load_monitor_settings(), SYSTEM_CLOCKS.now())
    print(f"{name}: {problem or 'healthy'}")
    return EXIT_UNHEALTHY if problem else EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
