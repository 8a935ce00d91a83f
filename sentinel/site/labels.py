"""The words of the public page for codes and states. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sentinel.site.formatting import format_plural

if TYPE_CHECKING:  # the dashboard shows these words without loading the database's driver
    from sentinel.site.status import Maker, Status

# Why an entry is rejected or a coin fails; transform.py lists the codes.
REASONS = {
    "null_price": "no price",
    "not_a_number": "the price is not a number",
    "negative_price": "the price is negative",
    "price_too_high": "the price is implausibly high",
    "missing_timestamp": "the price has no time",
    "future_timestamp": "the price lies in the future",
    "stale_timestamp": "the price is older than the retention",
    "malformed": "the entry cannot be read",
    "missing": "CoinGecko left the coin out of its response",
    "delisted": "CoinGecko no longer lists the coin",
}
UNKNOWN_REASON = "unknown reason"
QUOTAS = {
    "neon_compute_hours": "Neon compute",
    "neon_storage_bytes": "Neon storage",
    "neon_egress_bytes": "Neon egress",
    "coingecko_credits": "CoinGecko credits",
    "actions_minutes": "GitHub Actions minutes",
}
_QUOTA_STATES = {"ok": "ok", "warn": "warning", "stop": "unhealthy"}


def describe_maker(maker: Maker) -> str:
    """Return who made a document."""
    return "the scheduled job" if maker == "schedule" else "the monitor"


def name_repository(url: str) -> str:
    """Return OWNER/NAME of a repository's address."""
    return urlsplit(url).path.strip("/")


def name_host(url: str) -> str:
    """Return the host of an address."""
    return urlsplit(url).hostname or url


def describe_reason(code: str | None) -> str:
    """Return why entries were rejected or a coin failed."""
    return UNKNOWN_REASON if code is None else REASONS.get(code, name_code(code))


def name_quota(name: str) -> str:
    """Return the label of a quota."""
    return QUOTAS.get(name, name_code(name))


def rate_quota(state: str) -> str:
    """Return the state of a quota as one of a check."""
    return _QUOTA_STATES[state]


def name_code(code: str) -> str:
    """Return a code as words: last_run is Last run."""
    return capitalize(code.replace("_", " ")).replace("Coingecko", "CoinGecko")


def capitalize(text: str) -> str:
    """Return a text with a capital letter; the others stay as they are."""
    return text[:1].upper() + text[1:]


def to_sentence(text: str) -> str:
    """Return a text with a capital letter and a full stop."""
    return f"{capitalize(text)}."


def describe_slots(expected: int, delivered: int, backfilled: int) -> str:
    """Return what became of the slots of a period."""
    left = max(0, expected - delivered - backfilled)
    return f"{delivered:,} of {expected:,} delivered, {backfilled:,} backfilled, {left:,} open"


def describe_state(status: Status) -> str:
    """Return the state of a deployment in one sentence, without a full stop."""
    going_on = [each for each in status.incidents if each.ended_at is None]
    if len(going_on) == 1:
        return f"An incident goes on: {name_code(going_on[0].incident)}"
    if going_on:
        return f"{len(going_on)} incidents go on"
    if status.newest_price_at is None:
        return "No prices yet"
    failed = sum(check.state == "unhealthy" for check in status.checks)
    if status.state == "unhealthy" and failed:
        return f"{format_plural(failed, 'check')} of {len(status.checks)} failed"
    warnings = sum(check.state == "warning" for check in status.checks)
    if status.state == "warning":
        return f"Prices arrive, with {format_plural(warnings, 'warning')}"
    return "Unhealthy" if status.state == "unhealthy" else "All is well"
