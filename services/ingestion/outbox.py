"""Messages on their way, in Postgres: queued with what they tell of, delivered at least once.

A message is said once (its key is unique for each target), and those of one queue arrive in order:
one that fails holds back its own queue only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from postgres import Connection
from services.ingestion.messages import Message

LONGEST_WAIT = timedelta(hours=1)  # between two tries of one message

PUT = """
INSERT INTO outbox (target, queue, message_key, title, body, created_at, due_at)
SELECT target, %(queue)s, %(key)s, %(title)s, %(body)s, %(now)s, %(now)s
FROM unnest(%(targets)s::text[]) AS target
ON CONFLICT (target, message_key) DO NOTHING
"""

# The oldest message of each queue, the earliest due first. A time that lies further ahead than any
# wait was set by a clock that has been put back since: it counts as come.
HEADS = """
SELECT message_id, title, body, attempts,
       CASE WHEN due_at > %(now)s + %(longest)s THEN %(now)s ELSE due_at END AS due_at
FROM (SELECT DISTINCT ON (queue) *
      FROM outbox
      WHERE target = %(target)s AND delivered_at IS NULL
      ORDER BY queue, message_id) AS head
ORDER BY greatest(CASE WHEN due_at > %(now)s + %(longest)s THEN %(now)s ELSE due_at END, %(now)s),
         message_id
LIMIT 1
"""

DELIVERED = """
UPDATE outbox SET delivered_at = %(now)s, attempts = attempts + 1, last_error = NULL
WHERE message_id = %(message_id)s
"""

FAILED = """
UPDATE outbox SET attempts = attempts + 1, due_at = %(due_at)s, last_error = %(error)s
WHERE message_id = %(message_id)s
"""

NTH_LAST_DELIVERY = """
SELECT delivered_at FROM outbox
WHERE target = %(target)s AND delivered_at <= %(now)s
ORDER BY delivered_at DESC OFFSET %(n)s - 1 LIMIT 1
"""

WAITING = "SELECT count(*) FROM outbox WHERE delivered_at IS NULL"


class Waiting(NamedTuple):
    """A message that goes next, how often it was tried, and when it may be tried again."""

    message_id: int
    title: str
    body: str
    attempts: int
    due_at: datetime


def put(connection: Connection, message: Message, targets: Sequence[str], now: datetime) -> None:
    """Queue a message for every target, in the caller's transaction."""
    parameters = message._asdict() | {"targets": list(targets), "now": now}
    connection.execute(PUT, parameters)


def next_waiting(connection: Connection, target: str, now: datetime) -> Waiting | None:
    """The message that goes next to a target; None where none waits."""
    parameters = {"target": target, "now": now, "longest": LONGEST_WAIT}
    row = connection.execute(HEADS, parameters).fetchone()
    return Waiting._make(row) if row else None


def mark_delivered(connection: Connection, waiting: Waiting, now: datetime) -> None:
    """It arrived: it is never sent again."""
    connection.execute(DELIVERED, {"message_id": waiting.message_id, "now": now})


def mark_failed(connection: Connection, waiting: Waiting, due_at: datetime, error: str) -> None:
    """It did not arrive: it is tried again at `due_at`."""
    parameters = {"message_id": waiting.message_id, "due_at": due_at, "error": error}
    connection.execute(FAILED, parameters)


def nth_last_delivery(
    connection: Connection, target: str, now: datetime, n: int
) -> datetime | None:
    """When the n-th last message arrived at a target, None where fewer have."""
    parameters = {"target": target, "now": now, "n": n}
    row = connection.execute(NTH_LAST_DELIVERY, parameters).fetchone()
    return row[0] if row else None


def count_waiting(connection: Connection) -> int:
    """Messages that have not arrived anywhere yet."""
    [(count,)] = connection.execute(WAITING).fetchall()
    return int(count)
