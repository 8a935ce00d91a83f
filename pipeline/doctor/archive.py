"""The archive: whether it can be listed, if one is configured."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from safe_zone import Settings
from sentinel.health.facts import HealthCheck


def check(settings: Settings, _now: datetime) -> Iterator[HealthCheck]:
    """Yield the check. Raises ConfigurationError, ArchiveUnavailable."""
    if not settings.archive_url:
        text = "ARCHIVE_URL is not set: days older than 60 are dropped (docs/archive.md)."
        yield HealthCheck("archive", "ok", text)
        return
    from sentinel.archive.store import open_archive  # slow to import

    archive = open_archive(settings.archive_url, settings.state_dir / "archive")
    yield HealthCheck("archive", "ok", f"{len(archive.days())} days at {archive.location}.")
