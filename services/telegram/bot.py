"""The bot's side of Telegram's Bot API: https://core.telegram.org/bots/api"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import requests
from pydantic import ValidationError

from sentinel.notifications.messages import Buttons
from sentinel.notifications.telegram import (
    MAX_UNITS,
    TIMEOUT_SECONDS,
    cut,
    describe_message,
    locate_method,
    make_keyboard,
    parse_failure,
    shorten_reason,
)
from services.telegram.updates import Update

POLL_SECONDS = 25  # a poll without news ends after this
MAX_RESPONSE_BYTES = 5_000_000
MAX_CAPTION_UNITS = 1024  # of UTF-16
UPDATE_KINDS = ("message", "callback_query")


class BotError(Exception):
    """A request to Telegram failed. The text holds no secret."""

    def __init__(
        self, reason: str, status: int | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(reason)
        # Of the response; None: there was none.
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class Updates(NamedTuple):
    """What a poll returned."""

    updates: list[Update]
    # One more than the last id, also if that update could not be read.
    next_offset: int | None
    # The time at Telegram; None: unknown.
    server_time: datetime | None


@dataclass(frozen=True, slots=True)
class Bot:
    """The bot that a token belongs to."""

    token: str = field(repr=False)

    @property
    def bot_id(self) -> str:
        """The public part of the token."""
        return self.token.partition(":")[0]

    def get_updates(self, offset: int | None, seconds: int = POLL_SECONDS) -> Updates:
        """Wait for messages and pressed buttons. `offset` confirms all updates below it.

        Telegram sends an unconfirmed update again. Raises BotError.
        """
        parameters: dict[str, Any] = {"timeout": seconds, "allowed_updates": UPDATE_KINDS}
        if offset is not None:
            parameters["offset"] = offset
        response, entries = self._call("getUpdates", parameters, seconds=seconds + TIMEOUT_SECONDS)
        if not isinstance(entries, list):
            raise BotError("getUpdates returned no list of updates")
        ids = [entry["update_id"] for entry in entries if _has_id(entry)]
        return Updates(
            [update for entry in entries if (update := _parse_update(entry))],
            max(ids) + 1 if ids else None,
            _read_date(response),
        )

    def get_username(self) -> str:
        """Return the bot's @name without the @. Raises BotError."""
        _, me = self._call("getMe", {})
        return str(me.get("username", "")) if isinstance(me, dict) else ""

    def set_commands(self, commands: Mapping[str, str]) -> None:
        """Set the menu of commands: a description by command. Raises BotError."""
        listed = [{"command": name, "description": text} for name, text in commands.items()]
        self._call("setMyCommands", {"commands": listed})

    def send_text(
        self,
        chat_id: int,
        text: str,
        *,
        title: str = "",
        buttons: Buttons = (),
        topic_id: int | None = None,
    ) -> None:
        """Send a message with a bold title. Raises BotError."""
        self._call("sendMessage", describe_message(chat_id, title, text, buttons, topic_id))

    def send_picture(
        self, chat_id: int, png: bytes, caption: str, *, topic_id: int | None = None
    ) -> None:
        """Send a PNG image. Raises BotError."""
        parameters = {"chat_id": chat_id, "caption": cut(caption, MAX_CAPTION_UNITS)}
        if topic_id is not None:
            parameters["message_thread_id"] = topic_id
        files = {"photo": ("chart.png", png, "image/png")}
        self._call("sendPhoto", parameters, files=files)

    def edit_text(self, chat_id: int, message_id: int, text: str, buttons: Buttons = ()) -> None:
        """Replace the text and the buttons of a message. Raises BotError."""
        parameters: dict[str, Any] = {
            "chat_id": chat_id,
            "message_id": message_id,
            "text": cut(text, MAX_UNITS),
            "reply_markup": make_keyboard(buttons),
        }
        self._call("editMessageText", parameters)

    def answer_button(self, query_id: str) -> None:
        """Tell the person's app that the button works. Raises BotError, if it was pressed long ago.

        https://core.telegram.org/bots/api#answercallbackquery
        """
        self._call("answerCallbackQuery", {"callback_query_id": query_id})

    def _call(
        self,
        method: str,
        parameters: Mapping[str, Any],
        *,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        seconds: float = TIMEOUT_SECONDS,
    ) -> tuple[requests.Response, Any]:
        """Return the response and its result. Raises BotError."""
        until = time.monotonic() + seconds + TIMEOUT_SECONDS
        try:
            with requests.post(
                locate_method(self.token, method),
                json=None if files else parameters,
                data=parameters if files else None,
                files=files,
                timeout=(TIMEOUT_SECONDS, seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _read_body(response, until)
        except requests.RequestException as error:
            # The error's text holds the token.
            raise BotError(f"{method}: Telegram does not answer ({type(error).__name__})") from None
        if not response.ok:
            failure = parse_failure(content)
            reason = shorten_reason(failure.description, self.token)
            text = f"{method}: Telegram answered {response.status_code}: {reason}"
            raise BotError(text, response.status_code, failure.retry_after)
        try:
            return response, json.loads(content)["result"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BotError(f"{method}: Telegram's answer cannot be read") from None


def _read_body(response: requests.Response, until: float) -> bytes:
    """Return the body. A response that is too long, or never ends, raises requests.Timeout."""
    content = b""
    for chunk in response.iter_content(65_536):
        content += chunk
        if time.monotonic() > until or len(content) > MAX_RESPONSE_BYTES:
            raise requests.Timeout
    return content


def _read_date(response: requests.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None


def _has_id(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("update_id"), int)


def _parse_update(entry: object) -> Update | None:
    """Return an update; None if it has a form that we do not know."""
    try:
        return Update.model_validate(entry)
    except ValidationError:
        return None
