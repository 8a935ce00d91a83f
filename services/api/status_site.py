"""The public page's files for those at home: rendered from the monitor's database, on request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sentinel.budget import neon_api

# How often the files are rendered at most. With the market it takes a second,
INTERVAL = timedelta(minutes=1)
# and 0.4 MB of Neon's egress.
NEON_INTERVAL = timedelta(hours=1)


@dataclass(slots=True)
class StatusSite:
    """The files by path, and when they were rendered."""

    interval: timedelta = INTERVAL
    files: Mapping[str, bytes] = field(default_factory=dict)
    rendered_at: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def for_database(cls, database_url: str | None) -> StatusSite:
        """Return a site whose files are rendered as often as the database's quota allows."""
        return cls(NEON_INTERVAL if neon_api.endpoint_of(database_url) else INTERVAL)

    def get_files(
        self, now: datetime, render: Callable[[], Mapping[str, bytes]]
    ) -> Mapping[str, bytes]:
        """Return the files; render them again if they are old, one request for all."""
        with self._lock:
            # After a clock that went back, they are old too.
            if not self.rendered_at or not timedelta(0) <= now - self.rendered_at < self.interval:
                self.files, self.rendered_at = render(), now
            return self.files
