"""The quarantine: the rejected entries of the retention, and what became of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, LiteralString, NamedTuple

from psycopg import Cursor, sql
from psycopg.rows import class_row

from sentinel.models import Rejection
from sentinel.storage.connection import Connection

Resolution = Literal["replayed", "discarded"]

SELECTED: LiteralString = """
    (%(reason)s::text IS NULL OR r.reason = %(reason)s)
    AND (%(coin_id)s::text IS NULL OR r.coin_id = %(coin_id)s)
    AND (%(since)s::timestamptz IS NULL OR r.rejected_at >= %(since)s)
    AND (cardinality(%(ids)s::text[]) = 0 OR r.run_id || '/' || r.coin_id = ANY (%(ids)s::text[]))
"""

GROUPS: LiteralString = """
SELECT r.reason, r.coin_id, count(*) FILTER (WHERE resolution IS NULL) AS open,
       count(*) FILTER (WHERE resolution = 'replayed') AS replayed,
       count(*) FILTER (WHERE resolution = 'discarded') AS discarded,
       min(rejected_at) AS first_at, max(rejected_at) AS last_at
FROM sentinel.rejections r
WHERE {selected}
GROUP BY r.reason, r.coin_id
ORDER BY open DESC, last_at DESC, r.reason, r.coin_id
"""

# The newest first, from one entry on.
ENTRIES: LiteralString = """
SELECT rejected_at, run_id, coin_id, reason, raw, resolution, resolved_at, note,
       EXISTS (SELECT FROM sentinel.coins c WHERE c.coin_id = r.coin_id) AS is_coin_stored
FROM sentinel.rejections r
WHERE {selected} AND (%(is_open)s::boolean IS NULL OR (resolution IS NULL) = %(is_open)s)
  AND (%(before)s::timestamptz IS NULL
       OR (rejected_at, run_id, coin_id) < (%(before)s, %(before_run)s, %(before_coin)s))
ORDER BY rejected_at DESC, run_id DESC, coin_id DESC
LIMIT %(limit)s
"""

UNKNOWN_IDS = """
SELECT id
FROM unnest(%(ids)s::text[]) AS id
WHERE NOT EXISTS (SELECT FROM sentinel.rejections WHERE run_id || '/' || coin_id = id)
"""

# Only entries that are open, so that a discarded one stays so.
RESOLVE: LiteralString = """
WITH resolved AS (
    UPDATE sentinel.rejections r
    SET resolution = %(resolution)s, resolved_at = %(now)s, note = %(note)s
    WHERE {selected} AND resolution IS NULL
    RETURNING 1)
SELECT count(*) FROM resolved
"""

REASONS = """
SELECT reason, count(*) AS entries, max(rejected_at) AS newest
FROM sentinel.rejections
WHERE rejected_at > %(since)s
GROUP BY reason
ORDER BY entries DESC, reason
"""


QUARANTINE = """
SELECT reason, count(*) FILTER (WHERE resolution IS NULL) AS open,
       count(*) FILTER (WHERE resolution = 'replayed') AS replayed,
       count(*) FILTER (WHERE resolution = 'discarded') AS discarded, max(rejected_at) AS newest_at
FROM sentinel.rejections
GROUP BY reason
ORDER BY open DESC, reason
"""


class ResolutionCount(NamedTuple):
    """What became of the entries that have one reason."""

    reason: str
    open: int
    replayed: int
    discarded: int
    newest_at: datetime


class ReasonCount(NamedTuple):
    """The rejected entries that have one reason, whatever became of them."""

    reason: str
    entries: int
    newest: datetime


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries a command is about: those that match all of these."""

    reason: str | None = None
    coin_id: str | None = None
    since: datetime | None = None
    # RUN/COIN each; empty: any.
    ids: Sequence[str] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of SELECTED."""
        return asdict(self) | {"ids": list(self.ids)}  # an array, where a tuple is a record


class EntryGroup(NamedTuple):
    """The entries of one reason and one coin: how many, and when."""

    reason: str
    coin_id: str
    open: int
    replayed: int
    discarded: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Rejection):
    """A rejected entry, and what became of it."""

    # None: it is open.
    resolution: Resolution | None
    resolved_at: datetime | None
    # Why the user discarded it.
    note: str | None
    # Whether the database has the coin.
    is_coin_stored: bool

    @property
    def id(self) -> str:
        """What a command calls the entry."""
        return f"{self.run_id}/{self.coin_id}"


def group_entries(connection: Connection, selection: Selection) -> list[EntryGroup]:
    """Return the number of entries by reason and coin, those with the most open ones first."""
    statement = sql.SQL(GROUPS).format(selected=sql.SQL(SELECTED))
    with connection.cursor(row_factory=class_row(EntryGroup)) as cursor:
        return cursor.execute(statement, selection.parameters).fetchall()


def count_reasons(connection: Connection, since: datetime) -> Cursor[ReasonCount]:
    """Return the entries since then by reason; the rows arrive when the caller fetches them."""
    return connection.cursor(row_factory=class_row(ReasonCount)).execute(REASONS, {"since": since})


def count_resolutions(connection: Connection) -> list[ResolutionCount]:
    """Return what became of all entries, by reason, those with the most open ones first."""
    with connection.cursor(row_factory=class_row(ResolutionCount)) as cursor:
        return cursor.execute(QUARANTINE).fetchall()


def read_entries(
    connection: Connection,
    selection: Selection,
    limit: int,
    *,
    is_open: bool | None = None,
    before: Entry | None = None,
) -> list[Entry]:
    """Return entries, the newest first, from those after `before` in this order on.

    `is_open` selects the open ones, or those that were replayed or discarded.
    """
    parameters = selection.parameters | {
        "is_open": is_open,
        "limit": limit,
        "before": before and before.rejected_at,
        "before_run": before and before.run_id,
        "before_coin": before and before.coin_id,
    }
    statement = sql.SQL(ENTRIES).format(selected=sql.SQL(SELECTED))
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(statement, parameters).fetchall()


def find_unknown_ids(connection: Connection, selection: Selection) -> list[str]:
    """Return the ids of the selection that no entry has."""
    rows = connection.execute(UNKNOWN_IDS, selection.parameters).fetchall()
    return [entry_id for (entry_id,) in rows]


def resolve_entries(
    connection: Connection,
    selection: Selection,
    resolution: Resolution,
    now: datetime,
    note: str | None = None,
) -> int:
    """Note what became of the open entries of a selection; return how many there were."""
    parameters = selection.parameters | {"resolution": resolution, "now": now, "note": note}
    statement = sql.SQL(RESOLVE).format(selected=sql.SQL(SELECTED))
    [(count,)] = connection.execute(statement, parameters).fetchall()
    return int(count)
