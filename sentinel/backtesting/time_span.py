"""The span of a backtest: --days, --from and --to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sentinel.errors import ConfigurationError

DEFAULT_DAYS, MAX_DAYS = 30, 3_650


class Span(NamedTuple):
    """When a backtest trades: from `start` to before `stop`."""

    start: datetime
    stop: datetime
    # For a message, such as "in the last 30 days".
    text: str


def choose_span(
    days: float | None, start: datetime | None, stop: datetime | None, now: datetime
) -> Span:
    """Return the span of what the user named; by default the last DEFAULT_DAYS days until now.

    Raises ConfigurationError if the values do not fit each other.
    """
    if start and days:
        raise ConfigurationError("--days is not allowed with --from: add --to, or leave one out")
    if not start and not stop:
        days = days or DEFAULT_DAYS
        return Span(now - timedelta(days=days), now, f"in the last {days:g} days")
    stop = min(stop or now, now)
    start = start or stop - timedelta(days=days or DEFAULT_DAYS)
    require_order(start, stop)
    if stop - start > timedelta(days=MAX_DAYS):
        raise ConfigurationError(
            f"--from {start:%Y-%m-%d} is too early: a backtest has {MAX_DAYS:,} days at most"
        )
    return Span(start, stop, describe(start, stop))


def require_order(start: datetime, stop: datetime) -> None:
    """Raise ConfigurationError unless `start` is before `stop`."""
    if start >= stop:
        raise ConfigurationError(
            f"--from {start:%Y-%m-%d %H:%M} must be before {stop:%Y-%m-%d %H:%M}"
        )


def describe(start: datetime | None, stop: datetime | None) -> str:
    """Return a span as text, such as "from 2026-09-01 00:00"; empty if it has no limit."""
    named = (("from", start), ("until", stop))
    return " ".join(f"{word} {at:%Y-%m-%d %H:%M}" for word, at in named if at)
