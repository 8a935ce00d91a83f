"""The outbox in PostgreSQL: messages are queued with the change they report, then delivered.

Each message reaches each target at least once. Messages of one queue arrive in order: a failed one
delays only its own queue. The pauses that a target asks for are stored too, so that a restart does
not forget them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg import sql

from sentinel.notifications.kinds import MessageKind
from sentinel.notifications.messages import Message
from sentinel.storage.connection import Connection

# A target may ask for a longer pause; no more than this is granted.
MAX_REQUESTED_PAUSE = timedelta(days=1)
MAX_HOLD = timedelta(days=1)  # quiet hours are shorter
STORED_ATTEMPTS = 20  # per target: as many as the pacing looks at
_LOCK_CLASS = 0x4F555442  # "OUTB": the class of the advisory locks of targets

QUEUE_MESSAGE = """
INSERT INTO sentinel.outbox (target, queue, message_key, title, body, kind, coin_id, created_at,
    due_at)
SELECT target, %(queue)s, %(key)s, %(title)s, %(body)s, %(kind)s, %(coin_id)s, %(now)s, %(now)s
FROM unnest(%(targets)s::text[]) AS target
ON CONFLICT (target, message_key) DO NOTHING
"""

TRY_LOCK_TARGET = "SELECT pg_try_advisory_xact_lock(%(class)s, hashtext(%(target)s))"

# A due time further ahead than any pause, and an end of quiet hours further ahead than a day, come
# from a clock that was set back since.
NOT_HELD = sql.SQL("(held_until IS NULL OR held_until <= %(now)s OR held_until > %(latest_hold)s)")

HOLD = """
UPDATE sentinel.outbox SET held_until = %(until)s
WHERE target = %(target)s AND delivered_at IS NULL AND abandoned_at IS NULL
  AND kind = ANY(%(kinds)s::text[]) AND held_until IS DISTINCT FROM %(until)s
"""

# The oldest message of each queue, the earliest due first.
NEXT_MESSAGE = sql.SQL("""
SELECT ARRAY[message_id], ARRAY[kind], title, body, coin_id, created_at, attempts, rejections,
       next_at
FROM (SELECT DISTINCT ON (queue) *,
             CASE WHEN due_at > %(now)s + %(longest)s THEN %(now)s ELSE due_at END AS next_at
      FROM sentinel.outbox
      WHERE target = %(target)s AND delivered_at IS NULL AND abandoned_at IS NULL
        AND {not_held}
      ORDER BY queue, message_id) AS head
ORDER BY greatest(next_at, %(now)s), message_id
LIMIT 1
""").format(not_held=NOT_HELD)

MARK_DELIVERED = """
UPDATE sentinel.outbox
SET delivered_at = %(now)s, attempts = attempts + 1, last_error = NULL
WHERE message_id = ANY(%(message_ids)s)
"""

MARK_FAILED = """
UPDATE sentinel.outbox
SET attempts = attempts + 1, due_at = %(due_at)s, last_error = %(error)s,
    rejections = rejections + %(is_rejected)s::int,
    abandoned_at = CASE WHEN %(is_abandoned)s THEN %(now)s END
WHERE message_id = ANY(%(message_ids)s)
"""

# Keeps the times of the last STORED_ATTEMPTS attempts, the newest first.
RECORD_ATTEMPT = """
INSERT INTO sentinel.alert_targets AS t (target, retry_after, failures, tried_at)
VALUES (%(target)s, %(retry_after)s, %(failures)s, ARRAY[%(now)s::timestamptz])
ON CONFLICT (target) DO UPDATE
SET retry_after = excluded.retry_after, failures = excluded.failures,
    tried_at = (excluded.tried_at || t.tried_at)[1:%(stored)s::int]
"""

TARGET_STATE = (
    "SELECT retry_after, failures, tried_at FROM sentinel.alert_targets WHERE target = %(target)s"
)

COUNT_WAITING = (
    "SELECT count(*) FROM sentinel.outbox WHERE delivered_at IS NULL AND abandoned_at IS NULL"
)


# By target: whether it was ever used, the messages that wait, those of them that quiet hours do not
# hold, those that it has accepted since `now`, and the error of the waiting message that was tried
# most often.
READ_TARGETS = sql.SQL("""
SELECT target, t.target IS NULL, count(m.message_id) - count(m.delivered_at),
       count(m.message_id) FILTER (WHERE m.delivered_at IS NULL AND {not_held}),
       count(m.delivered_at),
       (array_agg(m.last_error ORDER BY m.attempts DESC) FILTER (WHERE m.last_error IS NOT NULL))[1]
FROM unnest(%(targets)s::text[]) AS target
LEFT JOIN sentinel.alert_targets t USING (target)
LEFT JOIN (SELECT * FROM sentinel.outbox
           WHERE delivered_at >= %(now)s
              OR (delivered_at IS NULL AND abandoned_at IS NULL)) AS m USING (target)
GROUP BY 1, 2
""").format(not_held=NOT_HELD)


class QueuedMessage(NamedTuple):
    """A message, or a digest of several, that waits for delivery to one target."""

    message_ids: Sequence[int]
    # Of each of these messages.
    kinds: Sequence[MessageKind]
    title: str
    body: str
    coin_id: str | None
    created_at: datetime
    # Failed deliveries so far, and those that were the message's own fault.
    attempts: int
    rejections: int
    due_at: datetime


class TargetState(NamedTuple):
    """What is known of a target."""

    # Nothing is sent to the target before this time.
    retry_after: datetime
    # Failed deliveries in a row.
    failures: int
    # The times of the last deliveries, the newest first.
    attempted_at: Sequence[datetime]


class TargetMessages(NamedTuple):
    """The messages of a target."""

    target: str
    # Whether nothing was ever sent to it.
    is_new: bool
    # Messages that wait for delivery.
    waiting: int
    # Those of them that quiet hours do not hold.
    not_held: int
    # Messages that it accepted since the given time.
    sent: int
    # Why a waiting message was not accepted; None: no attempt failed.
    error: str | None


def read_targets(
    connection: Connection, targets: Sequence[str], now: datetime
) -> list[TargetMessages]:
    """Return the messages of each target: those that wait, and those delivered since `now`."""
    parameters = {"targets": list(targets), "now": now, "latest_hold": now + MAX_HOLD}
    rows = connection.execute(READ_TARGETS, parameters)
    return list(map(TargetMessages._make, rows))


def queue_message(
    connection: Connection, message: Message, targets: Sequence[str], now: datetime
) -> None:
    """Queue a message for every target, in the caller's transaction."""
    parameters = message._asdict() | {"targets": list(targets), "now": now}
    connection.execute(QUEUE_MESSAGE, parameters)


def try_lock_target(connection: Connection, target: str) -> bool:
    """Lock a target until the end of the transaction; False if another process has the lock."""
    row = connection.execute(TRY_LOCK_TARGET, {"class": _LOCK_CLASS, "target": target}).fetchone()
    return bool(row and row[0])


def hold(
    connection: Connection, target: str, kinds: Sequence[MessageKind], until: datetime
) -> None:
    """Let the waiting messages of these kinds wait until a time, the end of quiet hours."""
    parameters = {"target": target, "kinds": list(kinds), "until": until}
    connection.execute(HOLD, parameters)


def read_next(connection: Connection, target: str, now: datetime) -> QueuedMessage | None:
    """Return the message to send next to a target; None if none waits."""
    parameters = {
        "target": target,
        "now": now,
        "longest": MAX_REQUESTED_PAUSE,
        "latest_hold": now + MAX_HOLD,
    }
    row = connection.execute(NEXT_MESSAGE, parameters).fetchone()
    return QueuedMessage._make(row) if row else None


def mark_delivered(connection: Connection, message: QueuedMessage, now: datetime) -> None:
    """Record that the target accepted a message. It is never sent again."""
    connection.execute(MARK_DELIVERED, {"message_ids": message.message_ids, "now": now})


def mark_failed(
    connection: Connection,
    message: QueuedMessage,
    now: datetime,
    due_at: datetime,
    error: str,
    *,
    is_rejected: bool,
    is_abandoned: bool,
) -> None:
    """Record a failed delivery. The message is sent again at `due_at`, or never if abandoned."""
    parameters = {
        "message_ids": message.message_ids,
        "now": now,
        "due_at": due_at,
        "error": error,
        "is_rejected": is_rejected,
        "is_abandoned": is_abandoned,
    }
    connection.execute(MARK_FAILED, parameters)


def record_attempt(
    connection: Connection, target: str, now: datetime, retry_after: datetime, failures: int
) -> None:
    """Record a delivery attempt, and the time before which the target gets no other message."""
    parameters = {
        "target": target,
        "now": now,
        "retry_after": retry_after,
        "failures": failures,
        "stored": STORED_ATTEMPTS,
    }
    connection.execute(RECORD_ATTEMPT, parameters)


def read_target_state(connection: Connection, target: str, now: datetime) -> TargetState:
    """Return the state of a target. Times that a clock set back since left ahead are ignored."""
    row = connection.execute(TARGET_STATE, {"target": target}).fetchone()
    if row is None:
        return TargetState(now, 0, ())
    retry_after, failures, attempted_at = row
    if retry_after > now + MAX_REQUESTED_PAUSE:
        retry_after, failures = now, 0
    return TargetState(retry_after, failures, [at for at in attempted_at if at <= now])


def count_waiting(connection: Connection) -> int:
    """Return the number of messages that have not been delivered yet."""
    [(count,)] = connection.execute(COUNT_WAITING).fetchall()
    return int(count)
