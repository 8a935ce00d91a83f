"""The loop's visit to SENTINEL_PUBLISH_URL: write `monitor.json` and read the schedule's document.

It happens once an hour. Only the figures are read in a tick; a thread waits for the network.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from pipeline.publish_place import PublishPlace
from pipeline.site_figures import read_monitor_figures
from sentinel.errors import SentinelError
from sentinel.process import describe_error
from sentinel.site.other_half import FILES, DocumentInvalid, parse_document
from sentinel.site.status import Status
from sentinel.storage import service_status
from sentinel.storage.connection import Connection
from services.settings import MonitorSettings

log = logging.getLogger("sentinel.loop")

INTERVAL = timedelta(hours=1)
WAIT_SECONDS = 60.0  # at the end of a process that ticks once


class Visit(NamedTuple):
    """The last visit that has ended."""

    # The schedule's document; None: it was not published, or could not be read.
    schedule: Status | None
    # Why nothing was published, and since when; None: it was.
    problem: str | None = None
    failing_since: datetime | None = None


@dataclass(slots=True)
class Publication:
    """Publishes the monitor's status document. Without a place it does nothing."""

    monitor: MonitorSettings
    place: PublishPlace | None = None
    # None: no visit has ended yet.
    last: Visit | None = None
    _thread: threading.Thread | None = None
    # Whether the last error of the place or of the document is logged.
    _warned: set[str] = field(default_factory=set)

    def visit_if_due(self, connection: Connection, cadence: timedelta, now: datetime) -> None:
        """Read the figures and start a visit, if the last one is an hour ago.

        `cadence` is the pause between ticks. Raises psycopg.Error and SentinelError; other errors
        are logged.
        """
        if not self.place or (self._thread and self._thread.is_alive()):
            return
        if not _note_if_due(connection, now):
            return
        try:
            content = read_document(connection, self.monitor, max(INTERVAL, cadence), now)
        except (psycopg.Error, SentinelError):  # of the database, or a signal
            raise
        except Exception as error:
            # Prices and alerts must not end with the page.
            log.info("the figures cannot be read", exc_info=True)
            self._fail(error, now)
            return
        arguments = (self.place, content, now)
        self._thread = threading.Thread(target=self._visit, args=arguments, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until a visit under way ends, for WAIT_SECONDS at most."""
        if self._thread:
            self._thread.join(WAIT_SECONDS)

    def _visit(self, place: PublishPlace, content: bytes, now: datetime) -> None:
        try:
            found = place.exchange(FILES["monitor"], content, FILES["schedule"])
        except Exception as error:
            log.info("the visit failed", exc_info=True)
            self._fail(error, now)
        else:
            self._warned.discard("place")
            self.last = Visit(self._parse(found) if found else None)

    def _parse(self, content: bytes) -> Status | None:
        try:
            status = parse_document(content, "schedule")
        except DocumentInvalid as error:
            self._warn_once("document", f"the schedule is not watched by its document: {error}")
            return None
        self._warned.discard("document")
        return status

    def _fail(self, error: Exception, now: datetime) -> None:
        problem = str(error) if isinstance(error, SentinelError) else describe_error(error)
        self._warn_once("place", f"{FILES['monitor']} is not published: {problem}")
        self.last = Visit(None, problem, (self.last and self.last.failing_since) or now)

    def _warn_once(self, subject: str, text: str) -> None:
        """Log the first error of a subject: it repeats every hour."""
        if subject not in self._warned:
            log.warning("%s", text)
        self._warned.add(subject)


def read_document(
    connection: Connection, monitor: MonitorSettings, interval: timedelta, now: datetime
) -> bytes:
    """Return `monitor.json`, which is made each `interval`. Raises psycopg.Error.

    It lists no coins of the registry: the monitor also fetches those that the user holds.
    """
    status, _market = read_monitor_figures(
        *(connection, monitor.settings, monitor.options, now),
        interval=interval,
        with_market=False,
    )
    registry = status.registry.model_copy(update={"inactive_coins": [], "changes": []})
    return status.model_copy(update={"registry": registry}).model_dump_json(indent=1).encode()


def _note_if_due(connection: Connection, now: datetime) -> bool:
    """Return whether a visit is due, and note that it begins now: a restart must not repeat it."""
    last = service_status.read(connection, "monitor_page")
    # At `now` itself, this tick noted it, and repeats its work because the connection broke.
    if last and timedelta(0) < now - last.recorded_at < INTERVAL:
        return False
    service_status.record(connection, "monitor_page", {}, now)
    return True
