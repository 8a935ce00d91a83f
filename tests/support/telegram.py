"""A stand-in for Telegram's Bot API over HTTP: https://core.telegram.org/bots/api

It checks requests as Telegram does, keeps what the bot sent, and fails on demand.
"""

from __future__ import annotations

import contextlib
import email.parser
import email.policy
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.monitor import Reply
from tests.support.serving import serving

TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
OWNER = 4711  # a person, and the private chat with them
GROUP = -100123
Json = dict[str, Any]


class BotApiError(Exception):
    """A refused request: an HTTP status, Telegram's description, and further parameters."""

    def __init__(self, status: int, description: str, **parameters: object) -> None:
        super().__init__(description)
        self.reply = Reply(
            status,
            json.dumps(
                {"ok": False, "error_code": status, "description": description}
                | ({"parameters": parameters} if parameters else {})
            ).encode(),
        )


CONFLICT = BotApiError(
    409,
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is "
    "running",
).reply
UNAUTHORIZED = BotApiError(401, "Unauthorized").reply
BLOCKED = BotApiError(403, "Forbidden: bot was blocked by the user").reply


def too_many_requests(seconds: int) -> Reply:
    """Return Telegram's request for a pause."""
    return BotApiError(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds).reply


@dataclass
class SentMessage:
    """A message that the bot sent, as it looks now."""

    message_id: int
    chat_id: int
    text: str
    buttons: list[list[Json]]
    parameters: Json
    photo: bytes = b""

    def find_button(self, label: str) -> str:
        """Return the data of the button whose text contains `label`."""
        found = [b["callback_data"] for row in self.buttons for b in row if label in b["text"]]
        assert len(found) == 1, self.buttons
        return str(found[0])


@dataclass
class TelegramState:
    """What the stand-in knows."""

    now: Callable[[], datetime]
    chats: set[int] = field(default_factory=lambda: {OWNER, GROUP})
    updates: list[Json] = field(default_factory=list)
    next_update_id: int = 900
    next_message_id: int = 50
    sent: list[SentMessage] = field(default_factory=list)
    # The texts of answered callback queries, by id.
    answered: dict[str, str] = field(default_factory=dict)
    expired_queries: set[str] = field(default_factory=set)
    # The commands by language code; "" is the default.
    commands: dict[str, list[Json]] = field(default_factory=dict)
    # The method and the parameters of every request.
    requests: list[tuple[str, Json]] = field(default_factory=list)
    # Scripted replies by method, sent before all others; `always` by method, until it is removed.
    replies: dict[str, deque[Reply]] = field(default_factory=dict)
    always: dict[str, Reply] = field(default_factory=dict)


class TelegramServer(ThreadingHTTPServer):
    """Telegram's servers, and the people who write to the bot."""

    daemon_threads = True

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = TOKEN
        self.state = TelegramState(now)
        self.changed = threading.Condition()
        self.polls = 0  # the number of the newest getUpdates
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.state.sent]

    def fail(self, method: str, *replies: Reply) -> None:
        """Send these replies to the next requests of a method."""
        self.state.replies.setdefault(method, deque()).extend(replies)

    def count(self, method: str) -> int:
        """Return how many requests of a method arrived."""
        return sum(name == method for name, _ in self.state.requests)

    # --- what people do ----------------------------------------------------------------------

    def say(
        self,
        text: str,
        *,
        user: int = OWNER,
        chat: int | None = None,
        at: datetime | None = None,
        **fields: object,
    ) -> None:
        """Let a person send a message; `chat` None: the private chat."""
        message = {
            "message_id": self._take_message_id(),
            "date": int((at or self.state.now()).timestamp()),
            "chat": {"id": chat or user},
            "from": {"id": user, "is_bot": False, "first_name": "secret-name"},
            "text": text,
        }
        self._add_update({"message": message | fields})

    def press(self, message: SentMessage, label: str, *, user: int = OWNER) -> str:
        """Let a person press a button of a message; return the id of the callback query."""
        return self.press_data(message.find_button(label), message=message, user=user)

    def press_data(
        self, data: str, *, message: SentMessage | None = None, user: int = OWNER, date: int = 0
    ) -> str:
        """Let a person press a button, also of a message that Telegram no longer shows."""
        query_id = f"query-{self.state.next_update_id}"
        shown = {
            "message_id": message.message_id if message else 7,
            "chat": {"id": message.chat_id if message else OWNER},
            "date": date or (int(self.state.now().timestamp()) if message else 0),
        }
        self._add_update(
            {
                "callback_query": {
                    "id": query_id,
                    "from": {"id": user},
                    "message": shown,
                    "data": data,
                }
            }
        )
        return query_id

    def _add_update(self, content: Json) -> None:
        with self.changed:
            self.state.updates.append({"update_id": self.state.next_update_id} | content)
            self.state.next_update_id += 1
            self.changed.notify_all()

    def _take_message_id(self) -> int:
        self.state.next_message_id += 1
        return self.state.next_message_id

    # --- the methods of the API --------------------------------------------------------------

    def call(self, method: str, parameters: Json) -> Any:
        """Return the result of a method. Raises BotApiError."""
        self.state.requests.append((method, parameters))
        name = re.sub("([A-Z])", r"_\1", method).lower()
        handler = getattr(self, f"_{name}", None)
        if handler is None:
            raise BotApiError(404, "Not Found")
        return handler(parameters)

    def _get_me(self, _parameters: Json) -> Json:
        return {"id": 123456789, "is_bot": True, "username": "Sentinel_bot"}

    def _get_chat(self, parameters: Json) -> Json:
        return {"id": self._check_chat(parameters)}

    def _set_my_commands(self, parameters: Json) -> bool:
        for command in parameters["commands"]:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", command["command"]):
                raise BotApiError(400, "Bad Request: BOT_COMMAND_INVALID")
            if not 1 <= len(command["description"]) <= 256:
                raise BotApiError(400, "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID")
        self.state.commands[parameters.get("language_code", "")] = parameters["commands"]
        return True

    def _get_updates(self, parameters: Json) -> list[Json]:
        with self.changed:
            self.polls += 1
            own, offset = self.polls, parameters.get("offset", 0)
            self.changed.notify_all()  # an older poll is terminated
            updates = self.state.updates
            if offset < 0:
                updates[:] = updates[offset:]
            else:
                updates[:] = [u for u in updates if u["update_id"] >= offset]
            self.changed.wait_for(
                lambda: self.state.updates or self.polls != own or self.closing.is_set(),
                parameters.get("timeout", 0),
            )
            if self.polls != own:
                raise BotApiError(409, json.loads(CONFLICT.body)["description"])
            return self.state.updates[: parameters.get("limit", 100)]

    def _send_message(self, parameters: Json) -> Json:
        text = parameters["text"]
        if not text.strip():
            raise BotApiError(400, "Bad Request: message text is empty")
        if len(text) > 4096:
            raise BotApiError(400, "Bad Request: message is too long")
        return self._send(parameters, text)

    def _send_photo(self, parameters: Json) -> Json:
        if not parameters["photo"].startswith(b"\x89PNG"):
            raise BotApiError(400, "Bad Request: IMAGE_PROCESS_FAILED")
        if len(parameters.get("caption", "")) > 1024:
            raise BotApiError(400, "Bad Request: message caption is too long")
        return self._send(parameters, parameters.get("caption", ""), parameters["photo"])

    def _edit_message_text(self, parameters: Json) -> bool:
        message = self._find_message(parameters)
        buttons = _read_buttons(parameters)
        if (message.text, message.buttons) == (parameters["text"], buttons):
            raise BotApiError(400, "Bad Request: message is not modified")
        message.text, message.buttons = parameters["text"], buttons
        return True

    def _edit_message_reply_markup(self, parameters: Json) -> bool:
        message, buttons = self._find_message(parameters), _read_buttons(parameters)
        if message.buttons == buttons:
            raise BotApiError(400, "Bad Request: message is not modified")
        message.buttons = buttons
        return True

    def _answer_callback_query(self, parameters: Json) -> bool:
        query_id = parameters["callback_query_id"]
        if query_id in self.state.expired_queries:
            raise BotApiError(
                400,
                "Bad Request: query is too old and response timeout expired or query ID is invalid",
            )
        self.state.answered[query_id] = parameters.get("text", "")
        return True

    def _send(self, parameters: Json, text: str, photo: bytes = b"") -> Json:
        chat_id = self._check_chat(parameters)
        message_id = self._take_message_id()
        self.state.sent.append(
            SentMessage(message_id, chat_id, text, _read_buttons(parameters), parameters, photo)
        )
        return {"message_id": message_id, "chat": {"id": chat_id}}

    def _check_chat(self, parameters: Json) -> int:
        chat_id = int(parameters["chat_id"])
        if chat_id not in self.state.chats:
            raise BotApiError(400, "Bad Request: chat not found")
        return chat_id

    def _find_message(self, parameters: Json) -> SentMessage:
        for message in self.state.sent:
            if message.message_id == parameters["message_id"]:
                return message
        raise BotApiError(400, "Bad Request: message to edit not found")


def _read_buttons(parameters: Json) -> list[list[Json]]:
    rows: list[list[Json]] = parameters.get("reply_markup", {}).get("inline_keyboard", [])
    for row in rows:
        for button in row:
            if not 1 <= len(button["callback_data"].encode()) <= 64:
                raise BotApiError(400, "Bad Request: BUTTON_DATA_INVALID")
    return rows


class _Handler(BaseHTTPRequestHandler):
    server: TelegramServer

    def do_POST(self) -> None:
        _, bot, method = self.path.split("/")
        parameters = self._read_parameters()
        state = self.server.state
        scripted = state.replies.get(method)
        reply = scripted.popleft() if scripted else state.always.get(method)
        if bot != f"bot{self.server.token}":
            reply = UNAUTHORIZED
        if reply is not None:
            state.requests.append((method, parameters))
            if reply.stall:
                self.server.closing.wait(reply.stall)
                return
        else:
            try:
                result = self.server.call(method, parameters)
                reply = Reply(200, json.dumps({"ok": True, "result": result}).encode())
            except BotApiError as error:
                reply = error.reply
        self._send(reply)

    def _read_parameters(self) -> Json:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        if kind.startswith("application/json"):
            content: Json = json.loads(body)
            return content
        parser = email.parser.BytesParser(policy=email.policy.HTTP)
        form = parser.parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        fields: Json = {}
        for part in form.iter_parts():
            name = str(part.get_param("name", header="content-disposition"))
            value: Any = part.get_payload(decode=True)
            fields[name] = value if part.get_filename() else value.decode()
        if "reply_markup" in fields:
            fields["reply_markup"] = json.loads(fields["reply_markup"])
        return fields

    def _send(self, reply: Reply) -> None:
        self.send_response_only(reply.status)
        self.send_header(
            "Date", format_datetime(self.server.state.now().astimezone(UTC), usegmt=True)
        )
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # a poller that was killed
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


@contextlib.contextmanager
def running_telegram(now: Callable[[], datetime]) -> Iterator[TelegramServer]:
    """Run the stand-in until the end of the block."""
    with serving(TelegramServer(now)) as server:
        try:
            yield server
        finally:
            server.closing.set()
            with server.changed:
                server.changed.notify_all()
