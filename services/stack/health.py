"""Whether the stack's processes are well, asked over HTTP as its users would."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from services import probe
from services.probe import SILENT, Complaint, NotTheApi
from services.settings import MonitorSettings


def examine(monitor: MonitorSettings, names: Collection[str]) -> dict[str, Complaint]:
    """What is wrong with each of these processes; None where it is well."""
    api: Complaint = None
    try:
        checks = probe.api_checks(monitor.own_api_url)
        # A database that is not the stack's own is the API's trouble here.
        api = checks.get("database", SILENT) if "db" not in names else None if checks else SILENT
    except NotTheApi as stranger:
        checks, api = {}, str(stranger)
    found = {
        "feed": checks.get("last_run", SILENT),  # without it no run is well
        "db": checks.get("database", SILENT),
        "ingestion": _first(checks.get(name, SILENT) for name in ("last_run", "freshness")),
        "api": api,
        "dashboard": probe.dashboard_itself(monitor),
    }
    return {name: found[name] for name in names}


def _first(complaints: Iterable[Complaint]) -> Complaint:
    return next((complaint for complaint in complaints if complaint), None)
