"""What an archive holds, and what is missing from it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sentinel import console
from sentinel.archive import records
from sentinel.archive.day_file import DayFile, index_by_day
from sentinel.archive.store import Archive
from sentinel.errors import ArchiveDamaged
from sentinel.storage import retention
from sentinel.storage.connection import Connection

log = logging.getLogger("sentinel.archive")


@dataclass(frozen=True, slots=True)
class ArchiveStatus:
    """The state of an archive, as `archive.py status --json` prints it."""

    # The folder or the address of the object store.
    location: str
    # How many days are archived, and how many observations they hold.
    days: int
    rows: int
    first: date | None
    last: date | None
    # Days between the first and the last without a file.
    missing: Sequence[date]
    # Days that this database archived and whose files are gone.
    lost: Sequence[date]
    # How many days this database archived only in other places, by their location.
    elsewhere: Mapping[str, int]
    # Files of version 1, which are not in a folder of their month.
    outdated: int
    # Files whose bytes are not those that were written; None if no file was read.
    damaged: Sequence[str] | None
    # Days that are older than the retention and still in the database.
    overdue: Sequence[date]
    # Why the last attempt to archive the overdue days failed.
    last_error: str | None

    @property
    def is_healthy(self) -> bool:
        """Whether the user has nothing to do. Missing days alone are healthy."""
        return not (self.lost or self.elsewhere or self.damaged or self.overdue or self.last_error)


def examine(
    connection: Connection, archive: Archive, now: datetime, *, read_files: bool = False
) -> ArchiveStatus:
    """Return the status of an archive; with `read_files`, verify the bytes of every file.

    Raises ArchiveUnavailable if the archive cannot be listed.
    """
    files, lost = records.list_archived(connection, archive)
    stored = index_by_day(files)
    elsewhere = records.list_elsewhere(connection, archive, list(stored))
    overdue = retention.overdue_partitions(connection, now)
    first, last = (min(stored), max(stored)) if stored else (None, None)
    span = (last - first).days if first and last else 0
    _, error, _ = records.last_attempt(connection)
    return ArchiveStatus(
        location=archive.location,
        days=len(stored),
        rows=sum(file.rows for file in stored.values()),
        first=first,
        last=last,
        missing=[
            day for n in range(span) if first and (day := first + timedelta(days=n)) not in stored
        ],
        lost=lost,
        elsewhere=dict(Counter(place for place, _ in elsewhere)),
        outdated=sum(not file.is_in_month for file in files),
        damaged=_find_damaged(archive, list(stored.values())) if read_files else None,
        overdue=overdue,
        last_error=error if overdue else None,
    )


def _find_damaged(archive: Archive, files: Sequence[DayFile]) -> list[str]:
    """Return the names of the files whose bytes do not match their SHA-256."""
    found = []
    with console.show_progress() as progress:
        for done, file in enumerate(files):
            progress("reading", done, len(files))
            try:
                archive.fetch(file, refresh=True)
            except ArchiveDamaged as error:
                log.warning("%s", error)
                found.append(file.path)
    return found
