"""Validation of single settings.

Each parser takes the value as typed, appends a message to `errors` if the value is wrong, and
returns a value to continue with. So the user sees all errors at once.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

log = logging.getLogger("sentinel.settings")

# The largest whole number that a setting accepts.
MAX_WHOLE_NUMBER = 1_000_000
_LARGEST = 1e15  # JSON's integers may be longer than a float can hold
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"", "0", "false", "no", "off"})


def select_known_keys(
    content: Mapping[str, Any], known: Sequence[str], place: str, errors: list[str]
) -> dict[str, Any]:
    """Return the entries of `content` with known keys; null counts as not set.

    `place` names the file or section in the message.
    """
    for key in content.keys() - set(known):
        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
        errors.append(f"{place}: unknown key '{key}'; {hint}")
    return {key: content[key] for key in known if content.get(key) is not None}


def parse_choice(name: str, value: Any, known: Sequence[str], errors: list[str]) -> str:
    """Return one of `known`; the first one is the default."""
    if value is not None and value not in known:
        errors.append(f"{name} '{value}' is unknown: choose one of {', '.join(known)}")
        value = None
    return known[0] if value is None else str(value)


def parse_whole_number(
    name: str, value: Any, default: int, errors: list[str], *, unit: str, minimum: int = 1
) -> int:
    """Return a whole number from `minimum` to MAX_WHOLE_NUMBER; a text of digits is accepted.

    `unit` names what is counted, for the message.
    """
    if value is None:
        return default
    try:
        is_whole = isinstance(value, str | int) and not isinstance(value, bool)
        number = int(value) if is_whole else minimum - 1
    except ValueError:
        number = minimum - 1
    if number > MAX_WHOLE_NUMBER:
        errors.append(f"{name} '{value}' is beyond {MAX_WHOLE_NUMBER:,}: use a smaller number")
        return default
    if number < minimum:
        errors.append(f"{name} '{value}' must be a whole number of {unit}, {minimum} or more")
        return default
    return number


def parse_amount(name: str, value: Any, default: float, errors: list[str]) -> float:
    """Return a number above 0."""
    if value is None:
        return default
    if not _is_number(value) or value <= 0:
        errors.append(f"{name} '{value}' must be a number above 0")
        return default
    return float(value)


def parse_quotas(
    value: Any, defaults: Mapping[str, float | None], known: Sequence[str], errors: list[str]
) -> dict[str, float | None]:
    """Return the monthly quotas by name; None means no limit. Quotas not named have their default.

    No run could keep a quota of 0, so it is taken as "no limit", with a warning.
    """
    found = dict(defaults)
    if value is None:
        return found
    if not isinstance(value, dict):
        errors.append('quotas must be an object such as {"neon_compute_hours": 100}')
        return found
    found |= {name: None for name in known if name in value}
    for name, quota in select_known_keys(value, known, "quotas", errors).items():
        if not _is_number(quota) or quota < 0:
            errors.append(f"the quota {name} '{quota}' must be a number above 0, or null")
        elif quota == 0:
            log.warning("the quota %s is 0, which no run can keep: it is not watched", name)
        else:
            found[name] = float(quota)
    return found


def parse_section(name: str, value: Any, errors: list[str]) -> dict[str, Any]:
    """Return a JSON object unchanged; another module validates its keys."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        errors.append(f'{name} must be an object such as {{"top_coins": 20}}')
        return {}
    return value


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < _LARGEST


def parse_names(value: Any, errors: list[str]) -> tuple[str, ...]:
    """Return names from a comma-separated text or a list, each once.

    ASCII blanks around a name are removed. A no-break space stays, because it may belong to a
    symbol.
    """
    if value is None:
        return ()
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        errors.append('targets must be names such as "BTC,ethereum" or a list of them')
        return ()
    cleaned = tuple(dict.fromkeys(name.strip(" \t\r\n") for name in names))
    if names and not any(cleaned):
        errors.append("targets names no coin: give ids or symbols, such as BTC,ethereum")
    return tuple(name for name in cleaned if name)


def parse_database_url(value: str | None, errors: list[str]) -> str | None:
    """Return a PostgreSQL address. The message never repeats it: it may hold a password."""
    if value is None:
        return None
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", value)
    if (scheme and scheme[1] in ("postgresql", "postgres")) or (not scheme and "=" in value):
        return value
    found = f"begins with '{scheme[1]}://'" if scheme else "is not an address"
    errors.append(
        f"DATABASE_URL {found}: it must look like "
        "postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require, "
        "or be unset for the embedded PostgreSQL"
    )
    return None


def parse_key(name: str, value: str | None, errors: list[str]) -> str | None:
    """Return a key or id that a header or a path can carry."""
    if value and not (value.isascii() and value.isprintable() and " " not in value):
        errors.append(f"{name} holds characters that no key has: copy it again from the dashboard")
        return None
    return value


def parse_flag(name: str, value: str, errors: list[str]) -> bool:
    """Return True or False for the usual words; an empty value is False."""
    if value.lower() not in TRUE_WORDS | FALSE_WORDS:
        errors.append(f"{name} '{value}' must be true or false")
    return value.lower() in TRUE_WORDS


def parse_base_url(name: str, value: str | None, example: str, errors: list[str]) -> str | None:
    """Return an http address without a query and without its last slash."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        (parts.hostname or "").encode("idna")
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not (valid and re.fullmatch(r"https?://[^\s?#@]+", value)):
        errors.append(f"{name} must be an address such as {example}")
    return value.rstrip("/")


def join_errors(errors: Iterable[str]) -> str:
    """Return all errors as one line."""
    return "; ".join(" ".join(error[:400].split()) for error in errors)
