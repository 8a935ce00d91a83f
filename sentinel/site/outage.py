"""An incident on a page that is there already: while runs fail, no run reads new figures. Pure."""

from __future__ import annotations

from sentinel.site.status import MAX_LISTED, Incident, Status, find_state


def add_incident(status: Status, incident: Incident) -> Status:
    """Return the document with one more incident, or with its end. The age of its figures stays."""
    others = [each for each in status.incidents if _identify(each) != _identify(incident)]
    found = sorted([*others, incident], key=lambda each: each.began_at, reverse=True)[:MAX_LISTED]
    state = find_state(status.checks, found)
    return status.model_copy(update={"incidents": found, "state": state})


def _identify(incident: Incident) -> tuple[object, ...]:
    return incident.source, incident.incident, incident.began_at
