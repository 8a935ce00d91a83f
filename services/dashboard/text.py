"""Times and ages as text, and names and messages that are safe to show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sentinel import times
from sentinel.amounts import Language
from services.dashboard.language import current_language

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>$:&@/=^\"'])")
# Streamlit makes links of bare addresses, whether their characters are escaped or not.
_ADDRESS_STARTS = re.compile(r"(?i)(?<=://)|(?<=www)(?=\.)|(?<=@)")
_INVISIBLE = "\u200b"  # a zero-width space: an address with it is none
_LINE_BREAKS = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
MAX_NAME_CHARACTERS = 80
MAX_SENTENCE_CHARACTERS = 400


def escape_markdown(text: object, max_characters: int = MAX_NAME_CHARACTERS) -> str:
    """Return text for a place that renders Markdown.

    CoinGecko's coin names come from strangers: one must not add a link, an image or a script.
    """
    plain = _ADDRESS_STARTS.sub(_INVISIBLE, shorten(text, max_characters))
    return _MARKDOWN.sub(r"\\\1", plain)


def shorten(text: object, max_characters: int) -> str:
    """Return a text in one line of limited length."""
    line = _LINE_BREAKS.sub(" ", str(text))
    return line if len(line) <= max_characters else f"{line[: max_characters - 1]}…"


def format_age(age: timedelta) -> str:
    """Return an age in the largest unit that still shows two digits: 90 s, 47 min, 30 h, 3 days."""
    return times.format_age(age, current_language(), is_short=True)


def format_time(time: datetime, zone: ZoneInfo, now: datetime, language: Language = "en") -> str:
    """Return a time in a zone, without the date if it is today and without the current year."""
    local, today = time.astimezone(zone), now.astimezone(zone).date()
    if local.date() == today:
        return f"{local:%H:%M}"
    day = times.format_day(local, language, with_year=local.year != today.year)
    return f"{day} {local:%H:%M}"


def unique_coin_names(coins: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return a name for each coin id; coins with equal name and symbol get their id appended."""
    names = {coin["coin_id"]: f"{coin['name']} ({coin['symbol'].upper()})" for coin in coins}
    counts = Counter(names.values())
    return {
        coin_id: name if counts[name] == 1 else f"{name} · {coin_id}"
        for coin_id, name in names.items()
    }


def format_symbols(coins: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return a symbol for each coin id; coins with equal name and symbol get their id appended."""
    listed = list(coins)
    counts = Counter((coin["name"], coin["symbol"]) for coin in listed)
    return {
        coin["coin_id"]: coin["symbol"].upper()
        + (f" · {coin['coin_id']}" if counts[coin["name"], coin["symbol"]] > 1 else "")
        for coin in listed
    }
