"""Messages on their way, in Postgres: queued with what they tell of, delivered at least once.

A message is said once (its key is unique for each target), and those of one queue arrive in order:
one that fails holds back its own queue only. What a target wants is kept beside it, so that a
restart does not forget it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from postgres import Connection
from services.ingestion.messages import Message

LONGEST_WAIT = timedelta(hours=1)  # between two tries of one message
LONGEST_ASKED = timedelta(days=1)  # that a target may ask to be left alone
_LOCKS = 0x4F555442  # "OUTB": the class of advisory locks of who sends to a target

PUT = """
INSERT INTO outbox (target, queue, message_key, title, body, created_at, due_at)
SELECT target, %(queue)s, %(key)s, %(title)s, %(body)s, %(now)s, %(now)s
FROM unnest(%(targets)s::text[]) AS target
ON CONFLICT (target, message_key) DO NOTHING
"""

TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%(class)s, hashtext(%(target)s))"

# The oldest message of each queue, the earliest due first. A time that lies further ahead than any
# wait was set by a clock that has been put back since: it counts as come.
HEADS = """
SELECT message_id, title, body, attempts, due_at
FROM (SELECT DISTINCT ON (queue) message_id, title, body, attempts,
             CASE WHEN due_at > %(now)s + %(longest)s THEN %(now)s ELSE due_at END AS due_at
      FROM outbox
      WHERE target = %(target)s AND delivered_at IS NULL AND given_up_at IS NULL
      ORDER BY queue, message_id) AS head
ORDER BY greatest(due_at, %(now)s), message_id
LIMIT 1
"""

DELIVERED = """
UPDATE outbox
SET delivered_at = %(now)s, tried_at = %(now)s, attempts = attempts + 1, last_error = NULL
WHERE message_id = %(message_id)s
"""

FAILED = """
UPDATE outbox
SET tried_at = %(now)s, attempts = attempts + 1, due_at = %(due_at)s, last_error = %(error)s,
    given_up_at = CASE WHEN %(is_given_up)s THEN %(now)s END
WHERE message_id = %(message_id)s
"""

HOLD = """
INSERT INTO alert_targets (target, held_until, failures)
VALUES (%(target)s, %(until)s, %(failures)s)
ON CONFLICT (target) DO UPDATE
SET held_until = excluded.held_until, failures = excluded.failures
"""
HELD = "SELECT held_until, failures FROM alert_targets WHERE target = %(target)s"

NTH_LAST_TRY = """
SELECT tried_at FROM outbox
WHERE target = %(target)s AND tried_at <= %(now)s
ORDER BY tried_at DESC OFFSET %(n)s - 1 LIMIT 1
"""

WAITING = "SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL"


class Waiting(NamedTuple):
    """A message that goes next, how often it was tried, and when it may be tried again."""

    message_id: int
    title: str
    body: str
    attempts: int
    due_at: datetime


class Hold(NamedTuple):
    """How long a target is to be left alone, and how often in a row it did not answer."""

    until: datetime
    failures: int


def put(connection: Connection, message: Message, targets: Sequence[str], now: datetime) -> None:
    """Queue a message for every target, in the caller's transaction."""
    parameters = message._asdict() | {"targets": list(targets), "now": now}
    connection.execute(PUT, parameters)


def is_mine(connection: Connection, target: str) -> bool:
    """Whether nobody else is sending to a target; true for the rest of the transaction."""
    row = connection.execute(TRY_LOCK, {"class": _LOCKS, "target": target}).fetchone()
    return bool(row and row[0])


def next_waiting(connection: Connection, target: str, now: datetime) -> Waiting | None:
    """The message that goes next to a target; None where none waits."""
    parameters = {"target": target, "now": now, "longest": LONGEST_ASKED}
    row = connection.execute(HEADS, parameters).fetchone()
    return Waiting._make(row) if row else None


def mark_delivered(connection: Connection, waiting: Waiting, now: datetime) -> None:
    """It arrived: it is never sent again."""
    connection.execute(DELIVERED, {"message_id": waiting.message_id, "now": now})


def mark_failed(
    connection: Connection,
    waiting: Waiting,
    now: datetime,
    due_at: datetime,
    error: str,
    *,
    is_given_up: bool = False,
) -> None:
    """It did not arrive: it is tried again at `due_at`, or never."""
    parameters = {
        "message_id": waiting.message_id,
        "now": now,
        "due_at": due_at,
        "error": error,
        "is_given_up": is_given_up,
    }
    connection.execute(FAILED, parameters)


def hold(connection: Connection, target: str, wish: Hold) -> None:
    """Leave a target alone for a while, whatever waits for it."""
    connection.execute(HOLD, {"target": target, "until": wish.until, "failures": wish.failures})


def read_hold(connection: Connection, target: str, now: datetime) -> Hold:
    """How long a target is to be left alone."""
    row = connection.execute(HELD, {"target": target}).fetchone()
    if row is None:
        return Hold(now, 0)
    # See HEADS: a clock was put back.
    return Hold(*row) if row[0] <= now + LONGEST_ASKED else Hold(now, 0)


def nth_last_try(connection: Connection, target: str, now: datetime, n: int) -> datetime | None:
    """When the n-th last message went out to a target, None where fewer have."""
    parameters = {"target": target, "now": now, "n": n}
    row = connection.execute(NTH_LAST_TRY, parameters).fetchone()
    return row[0] if row else None


def count_waiting(connection: Connection) -> int:
    """Messages that have not arrived yet."""
    [(count,)] = connection.execute(WAITING).fetchall()
    return int(count)
