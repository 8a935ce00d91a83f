"""Messages on their way, in Postgres: queued with what they tell of, delivered at least once.

A message is said once (its key is unique for each target), and those of one queue arrive in order:
one that fails holds back its own queue only. What a target wants is kept beside it, so that a
restart does not forget it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sentinel.notifications.messages import Message
from sentinel.storage.connection import Connection

LONGEST_WAIT = timedelta(hours=1)  # between two tries of one message
LONGEST_ASKED = timedelta(days=1)  # that a target may ask to be left alone
KEPT_TRIES = 20  # of a target: as many as a minute may have
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
SET delivered_at = %(now)s, attempts = attempts + 1, last_error = NULL
WHERE message_id = %(message_id)s
"""

FAILED = """
UPDATE outbox
SET attempts = attempts + 1, due_at = %(due_at)s, last_error = %(error)s,
    given_up_at = CASE WHEN %(is_given_up)s THEN %(now)s END
WHERE message_id = %(message_id)s
"""

# Keeps what a try came to, and when the last KEPT_TRIES were.
NOTE_TRY = """
INSERT INTO alert_targets AS t (target, retry_after, failures, tried_at)
VALUES (%(target)s, %(until)s, %(failures)s, ARRAY[%(now)s::timestamptz])
ON CONFLICT (target) DO UPDATE
SET retry_after = excluded.retry_after, failures = excluded.failures,
    tried_at = (excluded.tried_at || t.tried_at)[1:%(kept)s::int]
"""
HELD = "SELECT retry_after, failures, tried_at FROM alert_targets WHERE target = %(target)s"

WAITING = "SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL"


class Waiting(NamedTuple):
    """A message that goes next, how often it was tried, and when it may be tried again."""

    message_id: int
    title: str
    body: str
    attempts: int
    due_at: datetime


class TargetState(NamedTuple):
    """How things stand with a target: how long it is to be left alone, how often in a row it did
    not answer, and when the last messages went out to it, the latest first."""

    retry_after: datetime
    failures: int
    tried_at: Sequence[datetime]


def put(connection: Connection, message: Message, targets: Sequence[str], now: datetime) -> None:
    """Queue a message for every target, in the caller's transaction."""
    parameters = message._asdict() | {"targets": list(targets), "now": now}
    connection.execute(PUT, parameters)


def try_lock_target(connection: Connection, target: str) -> bool:
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


def note_try(
    connection: Connection, target: str, now: datetime, until: datetime, failures: int
) -> None:
    """A message went out to a target, which is to be left alone until then."""
    parameters = {
        "target": target,
        "now": now,
        "until": until,
        "failures": failures,
        "kept": KEPT_TRIES,
    }
    connection.execute(NOTE_TRY, parameters)


def read_standing(connection: Connection, target: str, now: datetime) -> TargetState:
    """How things stand with a target; what a clock that was put back left ahead does not count."""
    row = connection.execute(HELD, {"target": target}).fetchone()
    if row is None:
        return TargetState(now, 0, ())
    retry_after, failures, tried_at = row
    if retry_after > now + LONGEST_ASKED:
        retry_after, failures = now, 0
    return TargetState(retry_after, failures, [at for at in tried_at if at <= now])


def count_waiting(connection: Connection) -> int:
    """Messages that have not arrived yet."""
    [(count,)] = connection.execute(WAITING).fetchall()
    return int(count)
