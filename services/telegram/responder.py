"""Answers one request: a transaction in the database, then a message to the chat."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sentinel.clocks import Clocks
from sentinel.errors import Interrupted, StorageUnavailable
from sentinel.notifications.messages import MessageFormatter
from sentinel.storage import schema, service_status
from sentinel.storage.connection import Address, Connection, Session
from services.api_client import ApiClient
from services.telegram import commands
from services.telegram.bot import Bot, BotError
from services.telegram.conversation import Context, Reply, RequestRefused, translate
from services.telegram.updates import Request

log = logging.getLogger("sentinel.telegram")

MAX_ANSWER_PAUSE_SECONDS = 60.0  # if Telegram asks for a longer one, the answer is lost
# After a week without updates Telegram starts again with a random id:
# https://core.telegram.org/bots/api#update
MAX_ID_AGE = timedelta(days=7)

# Locks the row, so that two processes do not handle one update.
HANDLED_UPDATE = """
SELECT state -> 'handled' FROM sentinel.service_status WHERE service = 'telegram' FOR UPDATE
"""


@dataclass(frozen=True, slots=True)
class Responder:
    """Answers requests, and keeps the status of the process in the database."""

    bot: Bot
    address: Address
    formatter: MessageFormatter
    clocks: Clocks
    api_url: str
    api_token: str | None
    # The fingerprint of the chat, for buttons under alerts.
    chat: str

    def register(self) -> str:
        """Set the menu of commands; return the bot's @name. Raises BotError."""
        self.bot.set_commands(commands.list_menu(self.formatter))
        return self.bot.get_username()

    def answer(self, request: Request) -> None:
        """Answer a request that may be answered. Raises BotError."""
        if request.query_id is not None and not self._accept_button(request.query_id):
            return
        reply = self._make_reply(request)
        if reply is None:
            return
        try:
            self._send(request, reply)
        except BotError as error:
            # Alerts use up the same messages a minute. The command is carried out: say so.
            pause = error.retry_after_seconds
            if pause is None or pause > MAX_ANSWER_PAUSE_SECONDS:
                raise
            self.clocks.sleep(pause)
            self._send(request, reply)

    def _accept_button(self, query_id: str) -> bool:
        """Tell the person's app that the button works; False if it was pressed long ago."""
        try:
            self.bot.answer_button(query_id)
        except BotError as error:
            if error.status != 400:
                raise
            log.info("a button that was pressed long ago is ignored: %s", error)
            return False
        return True

    def _make_reply(self, request: Request) -> Reply | None:
        """Return the answer; None if the update was handled before the process was killed."""
        try:
            with self._session() as session:
                return session.use(lambda c: self._answer_in_transaction(c, request))
        except RequestRefused as refusal:
            return Reply(str(refusal))
        except StorageUnavailable as error:
            log.warning("the database did not answer a command: %s", error)
            return Reply(translate(self.formatter, "database_down"))
        except Interrupted:
            raise
        except Exception:
            # Without this, Telegram would send the update again after each restart.
            log.exception("a command failed")
            return Reply(translate(self.formatter, "error"))

    def _answer_in_transaction(self, connection: Connection, request: Request) -> Reply | None:
        schema.migrate_if_needed(connection)
        now = self.clocks.now()
        api = ApiClient(self.api_url, self.api_token)
        with connection.transaction():
            if not begin_update(connection, self.bot.bot_id, request.update_id, now):
                return None
            return commands.answer(Context(api, connection, self.formatter, now), request)

    def _send(self, request: Request, reply: Reply) -> None:
        chat_id, topic_id = request.chat_id, request.topic_id
        if reply.picture:
            self.bot.send_picture(chat_id, reply.picture, reply.text, topic_id=topic_id)
        elif not (reply.is_edit and self._edit(request, reply)):
            self.bot.send_text(
                chat_id, reply.text, title=reply.title, buttons=reply.buttons, topic_id=topic_id
            )

    def _edit(self, request: Request, reply: Reply) -> bool:
        """Replace the message with the button; False if Telegram refuses it: it was deleted."""
        try:
            self.bot.edit_text(request.chat_id, request.message_id, reply.text, reply.buttons)
        except BotError as error:
            if error.status != 400:
                raise
            # After a second press of the same button the message has this text already.
            return "not modified" in str(error)
        return True

    def warn(self, request: Request) -> None:
        """Say that commands come too often. Raises BotError."""
        text = translate(self.formatter, "too_many")
        self.bot.send_text(request.chat_id, text, topic_id=request.topic_id)

    def record(self, state: Mapping[str, Any]) -> None:
        """Record the status of the process. Raises SentinelError."""
        own = {
            "chat": self.chat,
            "language": self.formatter.language,
            "is_stopped": False,
        }

        def write(connection: Connection) -> None:
            schema.migrate_if_needed(connection)
            service_status.record(connection, "telegram", own | dict(state), self.clocks.now())

        with self._session() as session:
            session.use(write)

    def _session(self) -> Session:
        clocks = self.clocks
        return Session(self.address, clock=clocks.monotonic, sleep=clocks.sleep)


def begin_update(connection: Connection, bot_id: str, update_id: int, now: datetime) -> bool:
    """Note an update as handled in the caller's transaction; False if it was handled before.

    Telegram sends an update again if the process was killed before it confirmed the update.
    """
    row = connection.execute(HANDLED_UPDATE).fetchone()
    handled: dict[str, Any] = (row[0] if row else None) or {}
    is_known = handled.get("bot_id") == bot_id and update_id <= handled["update_id"]
    if is_known and now - datetime.fromisoformat(handled["at"]) < MAX_ID_AGE:
        return False
    new = {"bot_id": bot_id, "update_id": update_id, "at": now.isoformat()}
    service_status.record(connection, "telegram", {"handled": new}, now)
    return True
