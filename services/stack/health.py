"""Whether the stack's processes are well, asked over HTTP as its users would."""

from __future__ import annotations

from collections.abc import Iterable

from errors import SentinelError
from services import probe
from services.probe import SILENT, Complaint
from services.settings import Monitor


def examine(monitor: Monitor, names: Iterable[str]) -> dict[str, Complaint]:
    """What is wrong with each of these processes; None where it is well."""
    api: Complaint = None
    try:
        checks = probe.api_checks(monitor.own_api_url)
        api = None if checks else SILENT
    except SentinelError as stranger:
        checks, api = {}, str(stranger)
    found = {
        "feed": None,  # of no use without it: what it is worth shows in the ingestion
        "db": checks.get("database", SILENT),
        "ingestion": _first(checks.get(name, SILENT) for name in ("last_run", "freshness")),
        "api": api,
        "dashboard": probe.dashboard_itself(monitor),
    }
    return {name: found[name] for name in names}


def _first(complaints: Iterable[Complaint]) -> Complaint:
    return next((complaint for complaint in complaints if complaint), None)
