"""Times, ages and other people's texts, as they are shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>$:&@/=^\"'])")
_BREAKS = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
LONGEST = 80  # characters of a name
LONGEST_SENTENCE = 400


def plain(text: object, longest: int = LONGEST) -> str:
    """Somebody else's text where Markdown is read: what would be markup or a link is escaped."""
    return _MARKUP.sub(r"\\\1", _short(text, longest))


def label(text: object) -> str:
    """Somebody else's text in a chart, where a subset of HTML is read."""
    return _short(text, LONGEST).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _short(text: object, longest: int) -> str:
    line = _BREAKS.sub(" ", str(text))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def read_time(text: str) -> datetime:
    """A time of the API's."""
    return datetime.fromisoformat(text)


def age(span: timedelta) -> str:
    """How old something is, in the largest unit that says it well."""
    seconds = max(0.0, span.total_seconds())
    for unit, length, until in (("s", 1, 100), ("min", 60, 100 * 60), ("h", 3600, 48 * 3600)):
        if seconds < until:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def clock(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    """A moment in a zone: the time alone where it is of the same day, the year where it is of
    another one."""
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    if local.date() == today:
        return f"{local:%H:%M}"
    return f"{local:%d %b %H:%M}" if local.year == today.year else f"{local:%d %b %Y %H:%M}"


def join_names(coins: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What coins are called, by id: those that share name and symbol are told apart by the id."""
    called = {coin["coin_id"]: f"{coin['name']} ({coin['symbol'].upper()})" for coin in coins}
    count = Counter(called.values())
    return {
        coin_id: name if count[name] == 1 else f"{name} · {coin_id}"
        for coin_id, name in called.items()
    }
