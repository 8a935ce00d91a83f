"""The addresses of the alert targets, from the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping

ALERT_VARIABLES = frozenset({"ALERT_URLS", "TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID"})
# An address may contain commas: only a comma before another address separates two of them.
_SEPARATOR = re.compile(r"\s*,\s*(?=[A-Za-z][A-Za-z0-9+.-]*://|$)")


def read_alert_urls(values: Mapping[str, str], errors: list[str]) -> tuple[str, ...]:
    """Return the Apprise addresses in ALERT_URLS, and Telegram's first, by the names of variables.

    Errors never repeat an address: they hold secrets.
    """
    token, chat = values.get("TELEGRAM_BOT_TOKEN"), values.get("TELEGRAM_CHAT_ID")
    if bool(token) != bool(chat):
        errors.append("TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID go together: set both, or neither")
    telegram = [f"tgram://{token}/{chat}/"] if token and chat else []
    urls = [url for url in _SEPARATOR.split(values.get("ALERT_URLS", "").strip()) if url]
    return tuple(dict.fromkeys([*telegram, *urls]))
