"""Neon's own figures of the project, and suspending its compute.

Both are optional: if a call fails, the run continues. Neither call wakes the database.

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
_MOST = 1e15  # seconds or bytes; a larger number cannot be right
_ENDPOINT = re.compile(r"(ep-[a-z0-9-]+?)(-pooler)?\.[a-z0-9.-]*neon\.(tech|build)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ProjectFigures:
    """Neon's own figures of the current billing period; they lag by up to an hour.

    None: the response did not have the figure.
    """

    compute_hours: float | None
    storage_bytes: float | None
    storage_limit_bytes: float | None
    egress_bytes: float | None
    period_start: datetime | None
    period_stop: datetime | None


def endpoint_of(database_url: str | None) -> str | None:
    """Return the id (`ep-…`) of the compute in a DATABASE_URL; None if it is not Neon's."""
    try:
        host = str(conninfo_to_dict(database_url or "").get("host") or "")
    except Error:
        return None
    return endpoint_of_host(host)


def endpoint_of_host(host: str) -> str | None:
    """Return the id (`ep-…`) of the compute behind a host; None if it is not Neon's."""
    found = _ENDPOINT.fullmatch(host)
    return found[1] if found else None


def is_configured(settings: Settings) -> bool:
    """Whether a key and a project are set. A key without a project causes a warning."""
    if settings.neon_api_key and not settings.neon_project_id:
        log.warning("NEON_API_KEY is set but NEON_PROJECT_ID is not: Neon's figures are left out")
    return bool(settings.neon_api_key and settings.neon_project_id)


def read_project(settings: Settings) -> ProjectFigures | None:
    """Return Neon's figures of the project; None, with a warning, if they are not available."""
    if not is_configured(settings):
        return None
    try:
        project = _call(settings, "GET").get("project")
        branches = _call(settings, "GET", "/branches").get("branches")
    except _NeonApiError as error:
        log.warning("Neon's own figures are left out this time: %s", error)
        return None
    if not isinstance(project, dict):
        log.warning("Neon's own figures are left out this time: the response has no project")
        return None
    seconds = _number(project.get("compute_time_seconds"))
    sizes = branches if isinstance(branches, list) else []
    known = [_number(branch.get("logical_size")) for branch in sizes if isinstance(branch, dict)]
    return ProjectFigures(
        None if seconds is None else seconds / 3600,
        sum(size for size in known if size is not None) if known else None,
        _number(project.get("branch_logical_size_limit_bytes")),
        _number(project.get("data_transfer_bytes")),
        _moment(project.get("consumption_period_start")),
        _moment(project.get("consumption_period_end")),
    )


def suspend(settings: Settings) -> bool:
    """Suspend the compute at once; True if Neon confirms it."""
    endpoint = endpoint_of(settings.database_url)
    if not endpoint or not is_configured(settings):
        log.info("not suspended: this needs a Neon DATABASE_URL, NEON_API_KEY, NEON_PROJECT_ID")
        return False
    try:
        _call(settings, "POST", f"/endpoints/{quote(endpoint, safe='')}/suspend")
    except _NeonApiError as error:
        log.info("Neon did not suspend the compute, so it idles for five minutes: %s", error)
        return False
    return True


class _NeonApiError(Exception):
    """Neon did not respond, or rejected the request."""


def _call(settings: Settings, method: str, path: str = "") -> dict[str, Any]:
    """Make one call below the project's path. The error never contains the key."""
    import requests  # slow to import, and needed only with a key

    project = quote(settings.neon_project_id or "", safe="")
    try:
        response = requests.request(
            method,
            f"{settings.neon_base_url or BASE_URL}/projects/{project}{path}",
            headers={"Authorization": f"Bearer {settings.neon_api_key}"},
            timeout=QUOTA_API_TIMEOUT_SECONDS,
            allow_redirects=False,  # the header with the key would be sent to its target
        )
        is_good = 200 <= response.status_code < 300
        content = response.json() if is_good else None
    except (requests.RequestException, RecursionError) as error:
        raise _NeonApiError(f"no usable response ({type(error).__name__})") from error
    if response.status_code in (401, 403):
        raise _NeonApiError(f"Neon rejects the key ({response.status_code}). Check NEON_API_KEY")
    if response.status_code == 404:
        raise _NeonApiError("Neon knows no such project or compute (404). Check NEON_PROJECT_ID")
    if not isinstance(content, Mapping):
        raise _NeonApiError(f"Neon responded with status {response.status_code}")
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
