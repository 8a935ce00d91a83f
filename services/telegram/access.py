"""Who may command the bot, and how often."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from services.telegram.updates import Request

log = logging.getLogger("sentinel.telegram")

MAX_AGE = timedelta(minutes=2)  # an older command was sent during an outage
# Telegram accepts 20 messages a minute in one group (https://core.telegram.org/bots/faq), and
# alerts need some of them.
PRIVATE_COMMANDS_PER_MINUTE = 20
GROUP_COMMANDS_PER_MINUTE = 10
LOG_PAUSE = timedelta(hours=1)  # between two log lines about one stranger
MAX_REMEMBERED_STRANGERS = 1000

Decision = Literal["answer", "ignore", "too_many"]


@dataclass(slots=True)
class Access:
    """Decides which requests are answered, and counts the others."""

    # The configured chat; None: a channel, where no person can command.
    chat_id: int | None
    user_ids: frozenset[int]
    answered: int = 0
    # Requests of persons or chats that are not configured.
    strangers: int = 0
    # Requests that came too often, or too late.
    dropped: int = 0
    _logged_at: dict[int, datetime] = field(default_factory=dict)
    _answered_at: deque[datetime] = field(default_factory=deque)
    # Whether the person knows that commands of this minute are dropped.
    _has_warned: bool = False

    def decide(self, request: Request, now: datetime) -> Decision:
        """Decide about a request. `now` is Telegram's time, if it is known."""
        if request.chat_id != self.chat_id or request.user_id not in self.user_ids:
            self._count_stranger(request, now)
            return "ignore"
        is_message = request.query_id is None
        if is_message and request.sent_at and now - request.sent_at > MAX_AGE:
            self.dropped += 1
            return "ignore"
        return self._limit(now)

    def _limit(self, now: datetime) -> Decision:
        while self._answered_at and now - self._answered_at[0] >= timedelta(minutes=1):
            self._answered_at.popleft()
        is_private = self.chat_id is not None and self.chat_id > 0
        limit = PRIVATE_COMMANDS_PER_MINUTE if is_private else GROUP_COMMANDS_PER_MINUTE
        if len(self._answered_at) < limit:
            self._answered_at.append(now)
            self.answered += 1
            self._has_warned = False
            return "answer"
        self.dropped += 1
        if self._has_warned:
            return "ignore"
        self._has_warned = True
        return "too_many"

    def _count_stranger(self, request: Request, now: datetime) -> None:
        """Count a request, and log the person once an hour, without what they wrote."""
        self.strangers += 1
        logged_at = self._logged_at.get(request.user_id)
        if logged_at and now - logged_at < LOG_PAUSE:
            return
        if len(self._logged_at) >= MAX_REMEMBERED_STRANGERS:
            self._logged_at.clear()
        self._logged_at[request.user_id] = now
        log.warning(
            "the user %d in the chat %d may not command the bot: see TELEGRAM_USER_IDS",
            request.user_id,
            request.chat_id,
        )


def make_access(chat_id: str, user_ids: tuple[int, ...]) -> Access:
    """Return the access of the settings.

    In a private chat, the chat's id is the user's. In a group no person may command without
    `user_ids`.
    """
    try:
        number = int(chat_id.partition(":")[0])  # after it may come a topic
    except ValueError:
        return Access(None, frozenset())
    own = (number,) if number > 0 else ()
    return Access(number, frozenset(user_ids or own))
