"""What an answer is made from, and what it consists of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sentinel.notifications.messages import Buttons, MessageFormatter
from sentinel.storage.connection import Connection
from services.api_client import ApiClient
from services.telegram.texts import TEXTS


class RequestRefused(Exception):
    """A command cannot be carried out; the text is for the person who sent it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request."""

    text: str
    # In bold, above the text.
    title: str = ""
    buttons: Buttons = ()
    # A PNG image, with the text below it.
    picture: bytes = b""
    # It replaces the message whose button was pressed.
    is_edit: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """What answers need."""

    api: ApiClient
    # In the transaction of the update.
    connection: Connection
    formatter: MessageFormatter
    now: datetime

    def text(self, key: str, **values: object) -> str:
        """Return a text in the user's language."""
        return translate(self.formatter, key, **values)

    def read(self, path: str, **query: str | int) -> Any:
        """Return what the API responds. Raises ApiUnreachable or RequestRejected."""
        return self.api.get(path, **query).content

    def describe_time(self, at: datetime | str) -> str:
        """Return a time with its age: 20 Nov 19:00 WIB (2 minutes ago)."""
        time = datetime.fromisoformat(at) if isinstance(at, str) else at
        age = self.formatter.format_duration(self.now - time)
        return self.text("age", time=self.formatter.format_time(time), age=age)

    def format_both(self, amount_usd: float, idr_per_usd: float | None) -> str:
        """Return an amount in USD, and in rupiah if the rate is known."""
        usd = self.formatter.format_usd(amount_usd)
        if idr_per_usd is None:
            return usd
        return f"{usd} ({self.formatter.format_idr(amount_usd * idr_per_usd)})"


def translate(formatter: MessageFormatter, key: str, **values: object) -> str:
    """Return a text of an answer in the formatter's language."""
    return TEXTS[formatter.language][key].format(**values)
