"""One digest instead of many messages that waited: for a target that failed, or for quiet hours.

A digest is composed when it is sent, from all messages that wait for the target, and sending it
marks them as delivered in the same transaction. It is therefore never stored itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg import sql

from sentinel.notifications.delivery_rules import LATE_AFTER
from sentinel.notifications.kinds import ALERT_KINDS, MessageKind
from sentinel.notifications.messages import MessageFormatter
from sentinel.notifications.outbox import MAX_HOLD, NOT_HELD, QueuedMessage
from sentinel.notifications.telegram import count_units
from sentinel.storage.connection import Connection

MIN_LATE_MESSAGES = 2  # fewer are sent as they are
MAX_BODY_UNITS = 3800  # of UTF-16; Telegram's limit is 4096 for title and body
MAX_TITLE_CHARACTERS = 120  # of one message in a digest
MAX_PRICE_AGE = timedelta(hours=1)

# All messages that wait for a target, if enough of them are late: older than an hour, or held in
# quiet hours that are over. A message that the target has rejected is sent alone, so that it does
# not spoil the digest. Of several daily summaries the newest one is sent in full.
WAITING_TOGETHER = sql.SQL("""
WITH waiting AS (
    SELECT *, kind = 'summary' AND message_id = max(message_id) OVER (PARTITION BY kind)
                  AS is_newest_summary
    FROM sentinel.outbox
    WHERE target = %(target)s AND delivered_at IS NULL AND abandoned_at IS NULL
      AND {not_held}
      AND rejections = 0
),
pile AS (SELECT * FROM waiting WHERE NOT is_newest_summary)
SELECT p.message_id, p.queue, p.title, p.kind, p.created_at, p.attempts, c.price_usd
FROM pile p LEFT JOIN sentinel.coins c
     ON c.coin_id = p.coin_id AND c.observed_at > %(oldest_price)s
WHERE (SELECT count(*) FROM pile WHERE created_at < %(late)s OR held_until IS NOT NULL) >= %(least)s
ORDER BY p.message_id
""").format(not_held=NOT_HELD)


class WaitingMessage(NamedTuple):
    """A message for a digest."""

    message_id: int
    queue: str
    title: str
    kind: MessageKind
    created_at: datetime
    attempts: int
    # The coin's price now; None: unknown, or the message is not about one coin.
    price_usd: float | None


def read_waiting_together(
    connection: Connection, target: str, now: datetime
) -> list[WaitingMessage]:
    """Return the messages that one digest replaces, the oldest first; none if too few are late."""
    parameters = {
        "target": target,
        "now": now,
        "late": now - LATE_AFTER,
        "latest_hold": now + MAX_HOLD,
        "oldest_price": now - MAX_PRICE_AGE,
        "least": MIN_LATE_MESSAGES,
    }
    return list(map(WaitingMessage._make, connection.execute(WAITING_TOGETHER, parameters)))


def compose_digest(
    waiting: Sequence[WaitingMessage], formatter: MessageFormatter, now: datetime
) -> QueuedMessage:
    """Return a digest: the last message of each queue (a coin, the market, an incident)."""
    are_alerts = all(message.kind in ALERT_KINDS for message in waiting)
    key = "digest_alerts" if are_alerts else "digest_messages"
    title = formatter.translate(key, count=len(waiting))
    begin = formatter.format_time(waiting[0].created_at, with_zone=False)
    end = formatter.format_time(waiting[-1].created_at)
    queues: dict[tuple[str, str], list[WaitingMessage]] = {}
    for message in waiting:
        # A price target has a line of its own: an alert about its coin must not hide it.
        own_title = message.title if message.kind == "target" else ""
        queues.setdefault((message.queue, own_title), []).append(message)
    ordered = sorted(queues.values(), key=lambda own: (_rank(own[-1]), -own[-1].message_id))
    lines = [_describe_queue(own, formatter) for own in ordered]
    head = formatter.translate("digest_head", begin=begin, end=end)
    body = "\n".join([head, *_cut(lines, MAX_BODY_UNITS - len(head), formatter)])
    return QueuedMessage(
        [message.message_id for message in waiting],
        [message.kind for message in waiting],
        title,
        body,
        coin_id=None,
        created_at=now,
        attempts=max(message.attempts for message in waiting),
        rejections=0,
        due_at=now,
    )


def _rank(message: WaitingMessage) -> int:
    """Price targets come first, then other alerts, then the rest."""
    return 0 if message.kind == "target" else 1 if message.kind in ALERT_KINDS else 2


def _describe_queue(messages: Sequence[WaitingMessage], formatter: MessageFormatter) -> str:
    """Return the line of one queue."""
    last = messages[-1]
    title = last.title
    if len(title) > MAX_TITLE_CHARACTERS:
        title = f"{title[: MAX_TITLE_CHARACTERS - 1]}…"
    parts = [formatter.format_time(last.created_at, with_zone=False)]
    if len(messages) > 1:
        parts.append(formatter.translate("digest_count", count=len(messages)))
    if last.price_usd is not None:
        price = formatter.format_usd(last.price_usd)
        parts.append(formatter.translate("digest_price", price=price))
    return f"• {title} ({', '.join(parts)})"


def _cut(lines: Sequence[str], units: int, formatter: MessageFormatter) -> list[str]:
    """Return as many lines as fit, and how many more there are."""
    shown: list[str] = []
    for line in lines:
        units -= count_units(line) + 1
        if units < 0:
            break
        shown.append(line)
    if rest := len(lines) - len(shown):
        shown.append(formatter.translate("digest_more", count=rest))
    return shown
