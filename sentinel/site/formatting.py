"""Figures of the public page as text. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sentinel.amounts import format_count

_BYTE_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def format_minute(at: datetime) -> str:
    """Return a time in UTC: 20 Nov, 11:58. The page's own time names the year."""
    return f"{at.astimezone(UTC):%-d %b, %H:%M}"


def format_full_minute(at: datetime) -> str:
    """Return a time in UTC with its year: 20 Nov 2026, 11:58 UTC."""
    return f"{at.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def format_day(day: date) -> str:
    """Return a day with its weekday: Fri 20 Nov."""
    return f"{day:%a %-d %b}"


def format_plural(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun: 1 gap, 2 gaps."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def format_share(share: float) -> str:
    """Return a share of 1 as a percentage. Only a full share is 100%, and only none is 0%."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 <= share < 1:
        return "99.9%"
    return f"{share:.1%}".replace(".0%", "%")


def format_duration(minutes: float) -> str:
    """Return a duration in its two largest units: 45 min, 3 h 12 min, 2 d 4 h."""
    if minutes < 1:
        return f"{minutes * 60:.0f} s"
    whole = round(minutes)
    if whole < 60:
        return f"{whole} min"
    if whole < 2880:
        return _join(whole // 60, "h", whole % 60, "min")
    hours = round(whole / 60)
    return _join(hours // 24, "d", hours % 24, "h")


def _join(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large} {unit}" + (f" {small} {small_unit}" if small else "")


def format_span(hours: int) -> str:
    """Return a time span of whole hours or days: 24 hours, 7 days."""
    return f"{hours // 24} days" if hours >= 48 and hours % 24 == 0 else f"{hours} hours"


def format_rate(rate: float) -> str:
    """Return a rate with as many digits as it needs: 2, 1.87."""
    return f"{rate:.2f}".rstrip("0").rstrip(".")


def format_bytes(size: float) -> str:
    """Return a size in decimal units, as the quotas are given: 412 MB, 1.2 GB."""
    for unit, unit_bytes in _BYTE_UNITS:
        if size >= unit_bytes:
            amount = size / unit_bytes
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:,.0f} {unit}"
    return f"{size:.0f} bytes"


def format_quota(amount: float, name: str) -> str:
    """Return an amount of the quota `name` in the unit that this ends with."""
    if name.endswith("_bytes"):
        return format_bytes(amount)
    if name.endswith("_hours"):
        return f"{amount:,.1f} h"
    return format_count(amount)
