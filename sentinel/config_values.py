"""What a setting's typed value means, or why it means nothing. Each reader appends its complaint
and returns a value to go on with, so that all complaints come at once."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

log = logging.getLogger("sentinel.settings")

MOST = 1_000_000
_LARGEST = 1e15  # JSON's integers may be longer than a float can hold
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"", "0", "false", "no", "off"})


def known_keys(
    content: Mapping[str, Any], known: Sequence[str], place: str, complaints: list[str]
) -> dict[str, Any]:
    """The entries of `content` under known names that are not null."""
    for key in content.keys() - set(known):
        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
        complaints.append(f"{place}: unknown key '{key}'; {hint}")
    return {key: content[key] for key in known if content.get(key) is not None}


def choice(name: str, wish: Any, known: Sequence[str], complaints: list[str]) -> str:
    """One of `known`; the first where nothing is wished."""
    if wish is not None and wish not in known:
        complaints.append(f"{name} '{wish}' is unknown: choose one of {', '.join(known)}")
        wish = None
    return known[0] if wish is None else str(wish)


def whole_number(
    name: str, wish: Any, default: int, complaints: list[str], *, of: str, least: int = 1
) -> int:
    """A whole number `of` something, `least` or more and MOST at most; may be typed as a word."""
    if wish is None:
        return default
    try:
        is_whole = isinstance(wish, str | int) and not isinstance(wish, bool)
        number = int(wish) if is_whole else least - 1
    except ValueError:
        number = least - 1
    if number > MOST:
        complaints.append(f"{name} '{wish}' is beyond {MOST:,}, the most that makes sense")
        return default
    if number < least:
        complaints.append(f"{name} '{wish}' must be a whole number of {of}, {least} or more")
        return default
    return number


def amount(name: str, wish: Any, default: float, complaints: list[str]) -> float:
    """A number above 0."""
    if wish is None:
        return default
    if not _is_number(wish) or wish <= 0:
        complaints.append(f"{name} '{wish}' must be a number above 0")
        return default
    return float(wish)


def quotas(
    wish: Any, defaults: Mapping[str, float | None], known: Sequence[str], complaints: list[str]
) -> dict[str, float | None]:
    """What may be used in a month, by meter; None: no limit. Who names none has the default.

    A quota of 0 cannot be kept by anybody who runs at all: it is taken as no limit, with a warning.
    """
    found = dict(defaults)
    if wish is None:
        return found
    if not isinstance(wish, dict):
        complaints.append('quotas must be an object such as {"neon_compute_hours": 100}')
        return found
    found |= {name: None for name in known if name in wish}
    for name, value in known_keys(wish, known, "quotas", complaints).items():
        if not _is_number(value) or value < 0:
            complaints.append(f"the quota {name} '{value}' must be a number above 0, or null")
        elif value == 0:
            log.warning("the quota %s is 0, which no run can keep: it is not watched", name)
        else:
            found[name] = float(value)
    return found


def section(name: str, wish: Any, complaints: list[str]) -> dict[str, Any]:
    """An object whose keys are for another room to judge."""
    if wish is None:
        return {}
    if not isinstance(wish, dict):
        complaints.append(f'{name} must be an object such as {{"top": 20}}')
        return {}
    return wish


def _is_number(wish: Any) -> bool:
    is_number = isinstance(wish, int | float) and not isinstance(wish, bool)
    return is_number and abs(wish) < _LARGEST


def names(wish: Any, complaints: list[str]) -> tuple[str, ...]:
    """Terms as typed: ASCII blanks around them go, a NBSP may belong to a symbol and stays."""
    if wish is None:
        return ()
    terms = wish.split(",") if isinstance(wish, str) else wish
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        complaints.append('targets must be names such as "BTC,ethereum" or a list of them')
        return ()
    cleaned = tuple(dict.fromkeys(term.strip(" \t\r\n") for term in terms))
    if terms and not any(cleaned):
        complaints.append("targets names no coin: give ids or symbols, such as BTC,ethereum")
    return tuple(term for term in cleaned if term)


def database_url(value: str | None, complaints: list[str]) -> str | None:
    """Refuses what is no PostgreSQL address; never repeats it, for it may hold a password."""
    if value is None:
        return None
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", value)
    if (scheme and scheme[1] in ("postgresql", "postgres")) or (not scheme and "=" in value):
        return value
    found = f"begins with '{scheme[1]}://'" if scheme else "is no address"
    complaints.append(
        f"DATABASE_URL {found}: it must look like "
        "postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require, "
        "or be unset for the embedded PostgreSQL"
    )
    return None


def key(name: str, value: str | None, complaints: list[str]) -> str | None:
    """A key or id that travels in a header or a path."""
    if value and not (value.isascii() and value.isprintable() and " " not in value):
        complaints.append(
            f"{name} holds characters that no key has: copy it again from the dashboard"
        )
        return None
    return value


def flag(name: str, value: str, complaints: list[str]) -> bool:
    """True or false, in the usual words."""
    if value.lower() not in TRUE_WORDS | FALSE_WORDS:
        complaints.append(f"{name} '{value}' must be true or false")
    return value.lower() in TRUE_WORDS


def base_url(name: str, value: str | None, example: str, complaints: list[str]) -> str | None:
    """An http address without a query, its last slash gone."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        (parts.hostname or "").encode("idna")
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not (valid and re.fullmatch(r"https?://[^\s?#@]+", value)):
        complaints.append(f"{name} must be an address such as {example}")
    return value.rstrip("/")


def one_line(complaints: Iterable[str]) -> str:
    """All complaints as one sentence."""
    return "; ".join(" ".join(complaint[:400].split()) for complaint in complaints)
