"""SENTINEL_PUBLISH_URL: whether it can be read, and how old the documents in it are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from safe_zone import Settings
from sentinel.health.facts import CheckState, HealthCheck
from sentinel.times import format_age

if TYPE_CHECKING:
    from sentinel.site.status import Maker


def check(settings: Settings, now: datetime) -> Iterator[HealthCheck]:
    """Yield the checks, none if no address is set. Raises SentinelError and OSError."""
    if not settings.publish_url:
        return
    from pipeline.publish_place import open_place  # slow to import
    from sentinel.site.other_half import FILES

    if place := open_place(settings):
        for maker, name in FILES.items():
            yield _judge(maker, place.read(name), f"{name} in {place.location}", now)


def _judge(maker: Maker, content: bytes | None, where: str, now: datetime) -> HealthCheck:
    from sentinel.site.other_half import DocumentInvalid, is_silent, parse_document

    if content is None:
        return HealthCheck("publication", "ok", f"{where}: not published yet.")
    try:
        status = parse_document(content, maker)
    except DocumentInvalid as error:
        return HealthCheck("publication", "warning", f"{where}: {error}. Delete it.")
    state: CheckState = "warning" if is_silent(status, now) else "ok"
    age = format_age(now - status.generated_at)
    return HealthCheck("publication", state, f"{where}: {age} old.")
