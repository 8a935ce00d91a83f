"""The last price of coins at given times, from the archive, remembered by the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from sentinel.archive import parquet
from sentinel.archive.day_file import DayFile
from sentinel.archive.store import Archive

# A price stands for the time after it for at most a day.
MAX_PRICE_AGE = timedelta(days=1)
# One request reads files for about this long. The next one continues.
READ_SECONDS = 3.0
FILES_AT_ONCE = 16
# Five years of twenty coins are 36,500 prices.
MAX_REMEMBERED = 400_000

# A coin id and a time.
Wanted = tuple[str, datetime]


@dataclass(frozen=True, slots=True)
class PastPrice:
    """A price in USD and the time of its observation."""

    price_usd: float
    observed_at: datetime


@dataclass(slots=True)
class PriceLookup:
    """Finds prices in day files. A file never changes, so each price is read once."""

    files_at_once: int = FILES_AT_ONCE
    clock: Callable[[], float] = time.monotonic
    # None: the files of that time hold no price.
    _known: dict[Wanted, PastPrice | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(
        self, archive: Archive, wanted: Collection[Wanted]
    ) -> tuple[dict[Wanted, PastPrice], bool]:
        """Return the last price at or before each time, not older than MAX_PRICE_AGE.

        The second value is False if the time was too short for all files. Raises
        ArchiveUnavailable and ArchiveDamaged.
        """
        with self._lock:  # one request reads; others wait for what it finds
            unread = [each for each in wanted if each not in self._known]
            is_complete = not unread or self._read(archive, unread)
            found = {each: price for each in wanted if (price := self._known.get(each))}
            if len(self._known) > MAX_REMEMBERED:
                self._known.clear()
        return found, is_complete

    def _read(self, archive: Archive, wanted: Sequence[Wanted]) -> bool:
        """Read every 512th day first, then every 256th: an unfinished line is coarse, not short.

        Return False if the time is over before all days are read.
        """
        files = archive.days()
        by_day: dict[date, list[Wanted]] = {}
        for each in wanted:
            if any(day in files for day in _days_of(each)):
                by_day.setdefault(each[1].astimezone(UTC).date(), []).append(each)
        stop = self.clock() + READ_SECONDS
        days = sorted(by_day, key=lambda day: day.toordinal() & -day.toordinal(), reverse=True)
        for first in range(0, len(days), self.files_at_once):
            if self.clock() >= stop:
                return False
            batch = days[first : first + self.files_at_once]
            self._read_batch(archive, files, [each for day in batch for each in by_day[day]])
        return True

    def _read_batch(
        self, archive: Archive, files: dict[date, DayFile], wanted: Sequence[Wanted]
    ) -> None:
        days = sorted({day for each in wanted for day in _days_of(each) if day in files})
        paths = archive.fetch_all(files[day] for day in days)
        prices = parquet.read_last_prices(paths, wanted)  # an error here leaves nothing known
        self._known.update(dict.fromkeys(wanted))
        for coin_id, at, price_usd, observed_at in prices:
            if at - observed_at < MAX_PRICE_AGE:
                self._known[coin_id, at] = PastPrice(price_usd, observed_at)


def _days_of(wanted: Wanted) -> Iterator[date]:
    """Yield the days whose files may hold the price: the day, and mostly the day before."""
    at = wanted[1].astimezone(UTC)
    yield at.date()
    if (before := at - MAX_PRICE_AGE + timedelta(microseconds=1)).date() != at.date():
        yield before.date()
