"""`python -m services.probe NAME`: check the health of one process of the monitor.

The check includes what the process needs. The loop is checked by what it left in the database: its
last run, its prices, its messages; so is the process that answers Telegram commands. The API is
checked by its report about the database, the dashboard by its own server and by its API.
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
from sentinel.health.deployment import DeploymentHealth, check_deployment
from sentinel.health.facts import HealthCheck, find_failures
from sentinel.process import run_as_script
from sentinel.storage.connection import Session, resolve_database
from services import unresponsive
from services.settings import MonitorSettings, load_monitor_settings

TIMEOUT_SECONDS = 8.0  # the API waits 5 s for the database, and 2 s more for the cause
NO_RESPONSE = "does not answer"
# The checks of a deployment that the loop answers for.
LOOP_CHECKS = frozenset({"database", "last_run", "freshness", "delivery", "clock"})
# What is wrong with a process; None for a healthy one.
ProbeResult = str | None


class ApiHealth(NamedTuple):
    """What the API's health check says. Empty if the API does not answer."""

    # By name.
    checks: Mapping[str, HealthCheck] = {}
    # The end of the loop's last run.
    last_run_at: datetime | None = None

    def find_problem(self, name: str) -> ProbeResult:
        """Return the message of a check that fails; NO_RESPONSE for one that the API lacks."""
        check = self.checks.get(name)
        if check is None:
            return NO_RESPONSE
        return None if check.is_ok else check.message


class UnexpectedServer(SentinelError):
    """Another program answers at the address of the API."""

    exit_code = EXIT_UNHEALTHY


def check_ingestion(monitor: MonitorSettings, now: datetime) -> list[HealthCheck]:
    """Check the loop by what it left in the database."""
    found = _check_deployment(monitor, now)
    if found.facts and found.facts.loop is None:
        text = "No loop has ticked on this database in the last seven days."
        return [HealthCheck("last_run", "unhealthy", text)]
    return [check for check in found.checks if check.name in LOOP_CHECKS]


def check_telegram(monitor: MonitorSettings, now: datetime) -> list[HealthCheck]:
    """Check the process that answers Telegram commands by what it left in the database."""
    found = _check_deployment(monitor, now)
    if found.facts and found.facts.telegram is None:
        text = "No process that answers Telegram commands runs on this database."
        return [HealthCheck("telegram", "unhealthy", text)]
    return [check for check in found.checks if check.name in ("database", "telegram")]


def _check_deployment(monitor: MonitorSettings, now: datetime) -> DeploymentHealth:
    settings = monitor.settings
    with resolve_database(settings) as address, Session(address) as session:
        return session.use(lambda connection: check_deployment(connection, settings, now))


def check_api(monitor: MonitorSettings, _now: datetime) -> list[HealthCheck]:
    """Check the API and the database behind it."""
    health = read_api_health(monitor.own_api_url, monitor.api_token)
    return _as_checks("database", health.find_problem("database"))


def check_dashboard(monitor: MonitorSettings, _now: datetime) -> list[HealthCheck]:
    """Check the dashboard and that its API answers.

    Other problems of the API do not matter here: the dashboard then shows old prices as old.
    """
    problem = check_streamlit(monitor)
    if not problem and not read_api_health(monitor.api_url).checks:
        problem = f"its API {NO_RESPONSE}"
    return _as_checks("dashboard", problem)


def _as_checks(name: str, problem: ProbeResult) -> list[HealthCheck]:
    return [HealthCheck(name, "unhealthy", problem)] if problem else []


def read_api_health(url: str, token: str | None = None) -> ApiHealth:
    """Return what the API's own health check says; nothing if the API does not answer.

    With the token the messages have their details. Raises UnexpectedServer if another program
    answers.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        response = _get(f"{url}/health", headers)
    except requests.RequestException:
        return ApiHealth()
    try:
        content: dict[str, Any] = response.json()
        checks = content["checks"].items()
        last_run_at = content["last_run_at"]
        return ApiHealth(
            {name: HealthCheck(name, c["state"], str(c["message"])) for name, c in checks},
            datetime.fromisoformat(last_run_at) if last_run_at else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnexpectedServer(
            f"The server at {url} is not the API of Market Sentinel: stop it, or set "
            "SENTINEL_API_PORT to another port."
        ) from error


def check_streamlit(monitor: MonitorSettings) -> ProbeResult:
    """Check the dashboard's server."""
    try:
        response = _get(f"{monitor.own_dashboard_url}/_stcore/health")
    except requests.RequestException:
        return NO_RESPONSE
    is_healthy = response.status_code == 200 and response.text == "ok"
    return None if is_healthy else f"answers {response.status_code}"


def _get(url: str, headers: Mapping[str, str] | None = None) -> requests.Response:
    with requests.Session() as session:
        # Ignore proxies and .netrc: the token must reach the API only.
        session.trust_env = False
        return session.get(url, headers=headers, timeout=TIMEOUT_SECONDS)


PROBES: dict[str, Callable[[MonitorSettings, datetime], list[HealthCheck]]] = {
    "ingestion": check_ingestion,
    "api": check_api,
    "dashboard": check_dashboard,
    "telegram": check_telegram,
}


def main() -> int:
    """Check one process; return 0, or 6 if it is not healthy."""
    parser = make_parser(
        "python -m services.probe",
        __doc__,
        "example: python -m services.probe api; exit code 6 means not healthy",
    )
    parser.add_argument("name", choices=sorted(PROBES))
    parser.add_argument(
        "--end-hung",
        action="store_true",
        help="in a container: end an API or a dashboard that hangs in five checks in a row",
    )
    arguments = parser.parse_args()
    name, monitor = arguments.name, load_monitor_settings()
    checks = PROBES[name](monitor, SYSTEM_CLOCKS.now())
    if arguments.end_hung:
        url = monitor.own_api_url if name == "api" else monitor.own_dashboard_url
        is_answering = all(check.message != NO_RESPONSE for check in checks)
        unresponsive.end_after_repeated_hangs(f"services.{name}", url, is_answering=is_answering)
    failures = find_failures(checks)
    print(f"{name}: {' '.join(check.message for check in failures) or 'healthy'}")
    for check in checks:
        if check.state == "warning":
            print(f"warning: {check.message}")
    return EXIT_UNHEALTHY if failures else EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
