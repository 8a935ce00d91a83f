"""Send messages to a Telegram chat: https://core.telegram.org/bots/api#sendmessage.

Apprise could send them too, but it does not return the pause that Telegram asks for.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests
from pydantic import AliasPath, BaseModel, Field, ValidationError

from api_library import retry_after_seconds
from sentinel.notifications.messages import Buttons, OutgoingMessage
from sentinel.notifications.responses import SendResult, interpret_status

log = logging.getLogger("sentinel.notifier")

API_URL = "https://api.telegram.org"
TIMEOUT_SECONDS = 8.0  # for a connection, and for each read
MAX_UNITS = 4096  # of UTF-16, of a message
MAX_REASON_CHARACTERS = 200  # of Telegram's explanation
# What a response with status 400 says about the chat or the bot's rights in it: no other message
# would arrive either. Telegram documents no list; these are of
# https://github.com/TelegramBotAPI/errors
CHAT_PROBLEMS = (
    *("chat not found", "chat was deactivated", "not enough rights", "no rights to send"),
    *("message thread not found", "CHAT_WRITE_FORBIDDEN", "PEER_ID_INVALID"),
)


class Failure(BaseModel):
    """Why a request failed: https://core.telegram.org/bots/api#responseparameters"""

    description: str = ""
    retry_after: float | None = Field(
        default=None,
        validation_alias=AliasPath("parameters", "retry_after"),
        strict=True,
        ge=0,
        lt=1e7,
    )
    # The group has become a supergroup with this id.
    new_chat_id: int | None = Field(
        default=None, validation_alias=AliasPath("parameters", "migrate_to_chat_id")
    )


@dataclass(frozen=True, slots=True)
class TelegramChat:
    """A chat, and the bot that sends messages to it."""

    bot_token: str = field(repr=False)
    # A number, or the @name of a public channel.
    chat_id: int | str
    # A topic of a forum; None: the general one.
    topic_id: int | None
    is_silent: bool

    def send(self, message: OutgoingMessage, now: datetime) -> SendResult:
        """Try to send a message once. `now` resolves a Retry-After header that is a date.

        Raises requests.RequestException, whose text holds the token, if Telegram does not respond.
        """
        response = self._post(self.chat_id, message)
        failure = parse_failure(response.content)
        if failure.new_chat_id:
            log.warning("Telegram gave a chat the id %d: correct the setting", failure.new_chat_id)
            response = self._post(failure.new_chat_id, message)
            failure = parse_failure(response.content)
        wait = retry_after_seconds(response.headers.get("Retry-After"), now)
        if wait is None:
            wait = failure.retry_after
        reason = shorten_reason(failure.description, self.bot_token)
        result = interpret_status("Telegram", response.status_code, wait, reason)
        if any(problem in reason for problem in CHAT_PROBLEMS):
            return result._replace(is_rejected=False)
        return result

    @property
    def fingerprint(self) -> str:
        """What identifies the bot and the chat, without their secrets."""
        return hashlib.sha256(f"{self.bot_token} {self.chat_id}".encode()).hexdigest()[:12]

    def find_problem(self) -> str | None:
        """Return why the bot cannot see the chat, in Telegram's words; None if it can.

        https://core.telegram.org/bots/api#getchat

        Raises requests.RequestException, whose text holds the token, if Telegram does not respond.
        """
        response = self._call("getChat", {"chat_id": self.chat_id})
        if response.ok:
            return None
        reason = shorten_reason(parse_failure(response.content).description, self.bot_token)
        return f"Telegram answered {response.status_code}: {reason}"

    def _post(self, chat_id: int | str, message: OutgoingMessage) -> requests.Response:
        parameters = describe_message(
            chat_id, message.title, message.body, message.buttons, self.topic_id
        )
        parameters["disable_notification"] = self.is_silent or message.is_silent
        return self._call("sendMessage", parameters)

    def _call(self, method: str, parameters: dict[str, Any]) -> requests.Response:
        url = locate_method(self.bot_token, method)
        return requests.post(url, json=parameters, timeout=TIMEOUT_SECONDS, allow_redirects=False)


def describe_message(
    chat_id: int | str, title: str, text: str, buttons: Buttons, topic_id: int | None
) -> dict[str, Any]:
    """Return the parameters of sendMessage, with the title in bold; it may be empty."""
    # Plain text: a coin's name may contain characters of HTML or Markdown.
    parameters: dict[str, Any] = {
        "chat_id": chat_id,
        "text": cut(f"{title}\n{text}" if title else text, MAX_UNITS),
        "link_preview_options": {"is_disabled": True},
    }
    if title:
        parameters["entities"] = [{"type": "bold", "offset": 0, "length": count_units(title)}]
    if buttons:
        parameters["reply_markup"] = make_keyboard(buttons)
    if topic_id is not None:
        parameters["message_thread_id"] = topic_id
    return parameters


def count_units(text: str) -> int:
    """Return the length of a text in units of UTF-16, as Telegram counts."""
    return len(text.encode("utf-16-le", "replace")) // 2


def cut(text: str, max_units: int) -> str:
    """Return a text that is not too long; the last character of a longer one is `…`."""
    if count_units(text) <= max_units:
        return text
    begin = text.encode("utf-16-le", "replace")[: 2 * (max_units - 1)]
    return f"{begin.decode('utf-16-le', 'ignore')}…"


def make_keyboard(buttons: Buttons) -> dict[str, Any]:
    """Return buttons below a message: https://core.telegram.org/bots/api#inlinekeyboardmarkup"""
    rows = [[{"text": label, "callback_data": data} for label, data in row] for row in buttons]
    return {"inline_keyboard": rows}


def locate_method(bot_token: str, method: str) -> str:
    """Return the address of a method of the Bot API; it holds the token."""
    return f"{API_URL}/bot{bot_token}/{method}"


def shorten_reason(description: str, bot_token: str) -> str:
    """Return Telegram's explanation on one line, without the token's secret part."""
    secret = bot_token.rpartition(":")[2]
    return " ".join(description.replace(secret, "…").split())[:MAX_REASON_CHARACTERS]


def parse_failure(content: bytes) -> Failure:
    """Return why a request failed; an empty reason if the response does not say it."""
    try:
        return Failure.model_validate_json(content)
    except ValidationError:
        return Failure()
