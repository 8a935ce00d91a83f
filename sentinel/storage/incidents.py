"""Incidents in the database: when scheduled runs failed, or the monitor reported its own faults.

Each source records what it knows, again and again: what is stored already stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from psycopg.rows import class_row

from sentinel.storage.connection import Connection
from sentinel.storage.service_status import SILENCE_WINDOW

Source = Literal["schedule", "monitor"]

RECORD = """
INSERT INTO sentinel.incidents AS i (source, incident, began_at, ended_at, summary)
SELECT DISTINCT ON (incident, began_at) %(source)s, n.*
FROM unnest(%(incident)s::text[], %(began_at)s::timestamptz[], %(ended_at)s::timestamptz[],
            %(summary)s::text[])
     AS n (incident, began_at, ended_at, summary)
ON CONFLICT (source, incident, began_at) DO UPDATE
SET ended_at = excluded.ended_at, summary = excluded.summary
WHERE (i.ended_at, i.summary) IS DISTINCT FROM (excluded.ended_at, excluded.summary)
"""

# The source forgot it, for example with its lost state.
END_FORGOTTEN = """
UPDATE sentinel.incidents SET ended_at = greatest(began_at, %(now)s)
WHERE source = %(source)s AND ended_at IS NULL
  AND (incident, began_at) NOT IN (
      SELECT * FROM unnest(%(incident)s::text[], %(began_at)s::timestamptz[]))
"""

# Newer incidents never push out one that goes on. A monitor that was switched off ends none, so
# its incidents last until its last activity.
LIST = """
WITH known AS (
    SELECT source, incident, began_at, summary,
           coalesce(ended_at, (SELECT greatest(began_at, recorded_at)
                               FROM sentinel.service_status
                               WHERE source = 'monitor' AND service = 'ingestion'
                                 AND recorded_at < %(switched_off)s)) AS ended_at
    FROM sentinel.incidents
)
SELECT * FROM (
    SELECT source, incident, began_at, ended_at, summary
    FROM known
    WHERE ended_at IS NULL OR ended_at >= %(since)s
    ORDER BY ended_at IS NOT NULL, began_at DESC, source, incident
    LIMIT %(limit)s) AS listed
ORDER BY began_at DESC, source, incident
"""


class Incident(NamedTuple):
    """A period in which runs failed, or in which the monitor reported a fault of its own."""

    source: Source
    # What kind, such as `coingecko_unavailable`.
    incident: str
    began_at: datetime
    # None: it goes on.
    ended_at: datetime | None
    # One sentence. It names no database, host, folder or user.
    summary: str


def record(
    connection: Connection, source: Source, incidents: Sequence[Incident], now: datetime
) -> None:
    """Store the incidents of a source. Others of the source that went on have ended by `now`."""
    names = ("incident", "began_at", "ended_at", "summary")
    columns = {name: [getattr(each, name) for each in incidents] for name in names}
    connection.execute(RECORD, {"source": source, **columns})
    connection.execute(END_FORGOTTEN, {"source": source, "now": now, **columns})


def list_incidents(
    connection: Connection, since: datetime, limit: int, now: datetime
) -> list[Incident]:
    """Return the incidents that went on at `since` or later, the newest first."""
    cursor = connection.cursor(row_factory=class_row(Incident))
    parameters = {"since": since, "limit": limit, "switched_off": now - SILENCE_WINDOW}
    return cursor.execute(LIST, parameters).fetchall()
