"""The monitor's incidents in the database, for the public page: without names and addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sentinel.storage import incidents
from sentinel.storage.connection import Connection
from sentinel.storage.incidents import Incident

# By the part of an incident's name before the colon.
SUMMARIES = {
    "prices": "No new prices arrived at the monitor.",
    "disk": "The monitor's disk was almost full.",
    "schedule": "No scheduled run came.",
    "publication": "The monitor could not publish its figures.",
    "rejections": "More coins than usual were rejected or missing.",
    "target": "An alert target accepted no messages.",
}


def record_incidents(
    connection: Connection,
    going_on: Mapping[str, datetime],
    ended: Iterable[Incident],
    now: datetime,
) -> None:
    """Store the incidents of the monitor; `going_on` has the begin of each by its name."""
    known = [describe_incident(name, began_at, None) for name, began_at in going_on.items()]
    incidents.record(connection, "monitor", [*known, *ended], now)


def describe_incident(name: str, began_at: datetime, ended_at: datetime | None) -> Incident:
    """Return an incident without the part of its name that identifies a target."""
    kind = name.partition(":")[0]
    summary = SUMMARIES.get(kind, "The monitor reported a fault of its own.")
    return Incident("monitor", kind, began_at, ended_at, summary)
