"""What Neon's own API says of the project, and putting its compute to sleep. Both are extras: where
they fail the run goes on. Neither wakes the database.

https://neon.com/docs/introduction/usage-calculations ("Tracking usage on the Free plan"),
https://neon.com/docs/reference/api/endpoints/suspend-project-endpoint
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from psycopg import Error
from psycopg.conninfo import conninfo_to_dict

from safe_zone import QUOTA_API_TIMEOUT_SECONDS, Settings

log = logging.getLogger("sentinel.neon")
BASE_URL = "https://console.neon.tech/api/v2"
_MOST = 1e15  # seconds or bytes; beyond it is nonsense
_ENDPOINT = re.compile(r"(ep-[a-z0-9-]+?)(-pooler)?\.[a-z0-9.-]*neon\.(tech|build)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ProjectFigures:
    """Neon's account of the current period; it lags up to an hour. None: it did not say."""

    compute_hours: float | None
    storage_bytes: float | None
    storage_limit_bytes: float | None
    period_start: datetime | None
    period_stop: datetime | None


def endpoint_of(database_url: str | None) -> str | None:
    """The id (`ep-…`) of the compute that a DATABASE_URL leads to, None where it is not Neon's."""
    try:
        host = str(conninfo_to_dict(database_url or "").get("host") or "")
    except Error:
        return None
    found = _ENDPOINT.fullmatch(host)
    return found[1] if found else None


def is_asked_for(settings: Settings) -> bool:
    """Whether there is a key to ask with; one without a project is worth a warning."""
    if settings.neon_api_key and not settings.neon_project_id:
        log.warning("NEON_API_KEY is set but NEON_PROJECT_ID is not: Neon's figures are left out")
    return bool(settings.neon_api_key and settings.neon_project_id)


def read_project(settings: Settings) -> ProjectFigures | None:
    """Neon's figures of the project; None, with a warning, where it does not say."""
    if not is_asked_for(settings):
        return None
    try:
        project = _call(settings, "GET").get("project")
        branches = _call(settings, "GET", "/branches").get("branches")
    except _NoAnswer as error:
        log.warning("Neon's own figures are left out this time: %s", error)
        return None
    if not isinstance(project, dict):
        log.warning("Neon's own figures are left out this time: it answers without a project")
        return None
    seconds = _number(project.get("compute_time_seconds"))
    sizes = branches if isinstance(branches, list) else []
    known = [_number(branch.get("logical_size")) for branch in sizes if isinstance(branch, dict)]
    return ProjectFigures(
        None if seconds is None else seconds / 3600,
        sum(size for size in known if size is not None) if known else None,
        _number(project.get("branch_logical_size_limit_bytes")),
        _moment(project.get("consumption_period_start")),
        _moment(project.get("consumption_period_end")),
    )


def suspend(settings: Settings) -> bool:
    """Put the compute to sleep at once; True where Neon says it did."""
    endpoint = endpoint_of(settings.database_url)
    if not endpoint or not is_asked_for(settings):
        log.info("not suspended: this needs a Neon DATABASE_URL, NEON_API_KEY, NEON_PROJECT_ID")
        return False
    try:
        _call(settings, "POST", f"/endpoints/{quote(endpoint, safe='')}/suspend")
    except _NoAnswer as error:
        log.info("Neon did not suspend the compute, it sleeps in five minutes: %s", error)
        return False
    return True


class _NoAnswer(Exception):
    """Neon did not answer, or said no."""


def _call(settings: Settings, method: str, path: str = "") -> dict[str, Any]:
    """One call below the project; its key is never part of what is raised."""
    import requests  # only where there is a key

    project = quote(settings.neon_project_id or "", safe="")
    try:
        answer = requests.request(
            method,
            f"{settings.neon_base_url or BASE_URL}/projects/{project}{path}",
            headers={"Authorization": f"Bearer {settings.neon_api_key}"},
            timeout=QUOTA_API_TIMEOUT_SECONDS,
            allow_redirects=False,  # the key would travel to wherever it points
        )
        is_good = 200 <= answer.status_code < 300
        content = answer.json() if is_good else None
    except (requests.RequestException, RecursionError) as error:
        raise _NoAnswer(f"no usable answer ({type(error).__name__})") from error
    if answer.status_code in (401, 403):
        raise _NoAnswer(f"it refuses the key ({answer.status_code}). Check NEON_API_KEY")
    if answer.status_code == 404:
        raise _NoAnswer("it knows no such project or compute (404). Check NEON_PROJECT_ID")
    if not isinstance(content, Mapping):
        raise _NoAnswer(f"it answers {answer.status_code}")
    return dict(content)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= _MOST else None


def _moment(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
