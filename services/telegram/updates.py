"""What Telegram reports to the bot: messages and pressed buttons. Pure.

https://core.telegram.org/bots/api#update
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class _Object(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Identified(_Object):
    id: int


class _Message(_Object):
    message_id: int
    # UNIX seconds; 0 if Telegram no longer shows the message.
    date: int = Field(ge=0, lt=1 << 36)
    chat: _Identified
    sender: _Identified | None = Field(default=None, alias="from")
    text: str = ""
    message_thread_id: int | None = None
    is_topic_message: bool = False


class _PressedButton(_Object):
    id: str
    sender: _Identified = Field(alias="from")
    # Of the message with the button; missing if it is very old.
    message: _Message | None = None
    data: str = ""


class Request(NamedTuple):
    """What a person wants: a command, or a button that was pressed."""

    update_id: int
    chat_id: int
    user_id: int
    # When the message was sent; of a button: when the message with the button was sent. None:
    # unknown.
    sent_at: datetime | None
    # The message, or the data of the button.
    text: str
    # The message, or the one with the button.
    message_id: int
    # The topic of a forum.
    topic_id: int | None
    # Of a pressed button; None: a message.
    query_id: str | None = None

    def is_addressed_to(self, username: str) -> bool:
        """Return whether a person speaks to the bot: not to another bot or person of a group."""
        if self.query_id is not None or self.chat_id == self.user_id:
            return True
        command = self.text.split(maxsplit=1)[0]
        _, _, name = command.partition("@")
        return command.startswith("/") and name.lower() in ("", username.lower())


class Update(_Object):
    """An update of Telegram."""

    update_id: int
    message: _Message | None = None
    callback_query: _PressedButton | None = None

    @property
    def request(self) -> Request | None:
        """What a person wants; None if the update holds nothing for a bot with commands."""
        if query := self.callback_query:
            if query.message is None:
                return None
            return self._make_request(query.message, query.sender, query.data, query.id)
        if self.message and self.message.sender and self.message.text.strip():
            return self._make_request(self.message, self.message.sender, self.message.text)
        return None

    def _make_request(
        self, message: _Message, sender: _Identified, text: str, query_id: str | None = None
    ) -> Request:
        return Request(
            update_id=self.update_id,
            chat_id=message.chat.id,
            user_id=sender.id,
            sent_at=datetime.fromtimestamp(message.date, UTC) if message.date else None,
            text=text,
            message_id=message.message_id,
            topic_id=message.message_thread_id if message.is_topic_message else None,
            query_id=query_id,
        )
