"""What the other half of a deployment publishes about itself, and whether that half is silent.

The scheduled pipeline and the monitor watch each other by these documents where they share no
database. A document comes from a place that others may write to, so nothing in it is trusted.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import ValidationError

from sentinel.site.status import Maker, Status
from sentinel.storage.service_status import LATE_INTERVALS, MAX_SCHEDULE_PAUSE, SILENCE_WINDOW

FILES: dict[Maker, str] = {"schedule": "status.json", "monitor": "monitor.json"}
MAX_BYTES = 1_000_000  # a document has some 50 kB


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
    return status


def is_silent(status: Status, now: datetime) -> bool:
    """Return whether a half has stopped: it made no new document in time.

    One that has been silent for SILENCE_WINDOW was switched off.
    """
    seconds = min(max(status.interval_seconds, 0), SILENCE_WINDOW.total_seconds())
    limit = LATE_INTERVALS * timedelta(seconds=seconds)
    if status.maker == "schedule":
        limit = max(limit, MAX_SCHEDULE_PAUSE)
    return limit < now - status.generated_at <= SILENCE_WINDOW
