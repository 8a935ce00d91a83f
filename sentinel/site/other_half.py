"""What the other half of a deployment publishes about itself, and whether that half is silent.

The scheduled pipeline and the monitor watch each other by these documents where they share no
database. A document comes from a place that others may write to, so nothing in it is trusted.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from pydantic import ValidationError

from sentinel.site.status import Maker, Status
from sentinel.storage.service_status import MAX_SCHEDULE_PAUSE, SILENCE_WINDOW

FILES: dict[Maker, str] = {"schedule": "status.json", "monitor": "monitor.json"}
MAX_BYTES = 1_000_000  # a document has some 50 kB
MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS = 1, 86_400  # both halves publish once an hour
# No figure, text, list or year of a half reaches these.
MAX_NUMBER, MAX_CHARACTERS, MAX_ITEMS = 1e18, 2_000, 1_000
MIN_YEAR, MAX_YEAR = 2000, 2999


class DocumentInvalid(ValueError):
    """A document is no status document of the other half. The message is one sentence."""


def parse_document(content: bytes, maker: Maker) -> Status:
    """Return the document of a half. Raises DocumentInvalid."""
    name = FILES[maker]
    if len(content) > MAX_BYTES:
        raise DocumentInvalid(f"{name} is larger than {MAX_BYTES:,} bytes")
    try:
        status = Status.model_validate_json(content)
    except ValidationError as error:
        raise DocumentInvalid(
            f"{name} is no status document ({error.error_count()} errors)"
        ) from None
    if status.maker != maker:
        raise DocumentInvalid(f"{name} was not written by the {maker}")
    if not MIN_INTERVAL_SECONDS <= status.interval_seconds <= MAX_INTERVAL_SECONDS:
        raise DocumentInvalid(f"{name} names an interval that no half has")
    if _is_implausible(status.model_dump()):
        raise DocumentInvalid(f"{name} has a number, time, text or list that no half has")
    return status


def is_silent(status: Status, now: datetime) -> bool:
    """Return whether a half has stopped: it made no new document in time.

    One that has been silent for SILENCE_WINDOW was switched off.
    """
    limit = timedelta(seconds=status.old_after_seconds)
    if status.maker == "schedule":
        limit = max(limit, MAX_SCHEDULE_PAUSE)
    return limit < now - status.generated_at <= SILENCE_WINDOW


def _is_implausible(value: object) -> bool:
    """Return whether a value, or a part of it, is too large to be drawn or written."""
    if isinstance(value, dict):
        return any(map(_is_implausible, value.values()))
    if isinstance(value, list):
        return len(value) > MAX_ITEMS or any(map(_is_implausible, value))
    if isinstance(value, str):
        return len(value) > MAX_CHARACTERS
    if isinstance(value, date):
        return not MIN_YEAR <= value.year <= MAX_YEAR
    return isinstance(value, int | float) and abs(value) > MAX_NUMBER
