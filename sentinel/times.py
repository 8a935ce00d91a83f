"""Write times, ages and durations in English and Indonesian."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from sentinel.amounts import Language

Unit = Literal["second", "minute", "hour", "day", "week", "month", "year"]

_MONTHS: dict[Language, str] = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "id": "Jan Feb Mar Apr Mei Jun Jul Agu Sep Okt Nov Des",
}
_SECONDS: dict[Unit, int] = {
    "year": 365 * 86_400,
    "month": 30 * 86_400,
    "week": 7 * 86_400,
    "day": 86_400,
    "hour": 3600,
    "minute": 60,
    "second": 1,
}
_INDONESIAN: dict[Unit, str] = {
    "second": "detik",
    "minute": "menit",
    "hour": "jam",
    "day": "hari",
    "week": "minggu",
    "month": "bulan",
    "year": "tahun",
}
# For tables, where a column has no room for words.
_SHORT: dict[Language, dict[Unit, str]] = {
    "en": {"second": "s", "minute": "min", "hour": "h"},
    "id": {"second": "dtk", "minute": "mnt"},
}
# An age is written in the first of these units of which it has fewer.
_AGE_LIMITS: tuple[tuple[Unit, int], ...] = (("second", 100), ("minute", 100), ("hour", 48))


def format_age(age: timedelta, language: Language = "en", *, is_short: bool = False) -> str:
    """Return an age in the largest unit that still shows two digits.

    90 seconds, 47 minutes, 30 hours, 3 days; short: 90 s, 47 min, 30 h, 3 days.
    """
    seconds = max(0.0, age.total_seconds())
    unit: Unit = next((u for u, limit in _AGE_LIMITS if seconds < limit * _SECONDS[u]), "day")
    return _count(round(seconds / _SECONDS[unit]), unit, language, is_short=is_short)


def format_duration(duration: timedelta, language: Language) -> str:
    """Return a duration in its largest unit of which it has two or more: 25 minutes, 2 days."""
    seconds = abs(duration.total_seconds())
    unit: Unit = next((u for u, length in _SECONDS.items() if seconds >= 2 * length), "second")
    return _count(round(seconds / _SECONDS[unit]), unit, language)


def _count(number: int, unit: Unit, language: Language, *, is_short: bool = False) -> str:
    """Return a number with its unit: 1 minute, 2 minutes, 2 menit."""
    name = unit if number == 1 else f"{unit}s"
    if language == "id":
        name = _INDONESIAN[unit]
    if is_short:
        name = _SHORT[language].get(unit, name)
    return f"{number} {name}"


def format_day(local: datetime, language: Language, *, with_year: bool = False) -> str:
    """Return the day of a time, in its own zone: 20 Nov, 3 Mei 2026."""
    day = f"{local.day} {_MONTHS[language].split()[local.month - 1]}"
    return f"{day} {local.year}" if with_year else day
