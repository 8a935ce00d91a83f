"""Whether the stack's processes are well, asked over HTTP as its users would."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import requests

from services.settings import Monitor

PATIENCE_SECONDS = 6.0  # the API itself waits 5 s for the database
SILENT = "does not answer yet"


def examine(monitor: Monitor, names: Iterable[str]) -> dict[str, str | None]:
    """What is wrong with each of these processes; None where it is well."""
    api, checks = _ask_api(monitor)
    found = {
        "feed": None,  # of no use without it: what it is worth shows in the ingestion
        "db": checks.get("database", SILENT),
        "ingestion": _first(checks.get(name, SILENT) for name in ("last_run", "freshness")),
        "api": api,
        "dashboard": _ask_dashboard(monitor),
    }
    return {name: found[name] for name in names}


def _ask_api(monitor: Monitor) -> tuple[str | None, dict[str, str | None]]:
    """What is wrong with the API, and with what it has looked at."""
    try:
        answer = requests.get(f"{_api_url(monitor)}/health", timeout=PATIENCE_SECONDS)
        content: dict[str, Any] = answer.json()
        checks = content["checks"].items()
        return None, {name: None if c["is_ok"] else str(c["message"]) for name, c in checks}
    except requests.RequestException:
        return SILENT, {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return "something else answers at its address", {}


def _ask_dashboard(monitor: Monitor) -> str | None:
    host = _reachable(monitor.dashboard_host)
    url = f"http://{host}:{monitor.dashboard_port}/_stcore/health"
    try:
        answer = requests.get(url, timeout=PATIENCE_SECONDS)
    except requests.RequestException:
        return SILENT
    is_well = answer.status_code == 200 and answer.text == "ok"
    return None if is_well else f"answers {answer.status_code}"


def _api_url(monitor: Monitor) -> str:
    return f"http://{_reachable(monitor.api_host)}:{monitor.api_port}"


def _reachable(host: str) -> str:
    """Where to ask a server that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared)
    return f"[{host}]" if ":" in host else host


def _first(complaints: Iterable[str | None]) -> str | None:
    return next((complaint for complaint in complaints if complaint), None)
