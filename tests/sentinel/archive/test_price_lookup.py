"""The last prices at given times come from day files, and each is read once."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from safe_zone import Settings
from sentinel.archive.price_lookup import READ_SECONDS, PastPrice, PriceLookup
from sentinel.errors import ArchiveDamaged
from sentinel.storage.connection import Session
from tests.sentinel.archive.helpers import (
    OLD,
    damage,
    list_files,
    load_rows,
    make_rows,
    open_archive,
    purge,
)

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def test_the_last_price_at_or_before_a_time_is_found_if_it_is_not_a_day_old(
    session: Session, settings: Settings
) -> None:
    load_rows(session, [*make_rows(), *make_rows(OLD + 2 * DAY, coins=["a"], price=5.0)], OLD)
    purge(session, settings)
    last = OLD + 45 * MINUTE  # the four rows of a day are 15 minutes apart
    wanted = {
        ("a", OLD + 20 * MINUTE): PastPrice(1 + 1 / 3, OLD + 15 * MINUTE),
        ("b", OLD): PastPrice(1.0, OLD),
        ("c", last + DAY - MINUTE): PastPrice(1 + 2 / 3, last),
        ("a", OLD + 2 * DAY + MINUTE): PastPrice(5.0, OLD + 2 * DAY),
        ("b", OLD - MINUTE): None,
        ("c", last + DAY): None,
        ("c", OLD + 2 * DAY): None,
        ("unknown", OLD): None,
    }
    found = {key: price for key, price in wanted.items() if price}
    lookup, archive = PriceLookup(), open_archive(settings)
    assert lookup.find(archive, wanted) == (found, True)
    for file in list_files(archive.folder or Path()):
        file.unlink()
    assert lookup.find(archive, wanted) == (found, True)


def test_a_read_ends_after_its_time_and_the_next_one_continues(
    session: Session, settings: Settings
) -> None:
    days = [OLD + n * DAY for n in range(3)]
    load_rows(session, [row for day in days for row in make_rows(day)], OLD)
    purge(session, settings)
    ticks = iter([0.0, 0.0, READ_SECONDS, 10.0, 10.0, 10.0, 10.0])
    lookup = PriceLookup(files_at_once=1, clock=lambda: next(ticks))
    wanted: set[tuple[str, datetime]] = {("a", day) for day in days}
    found, is_complete = lookup.find(open_archive(settings), wanted)
    assert (len(found), is_complete) == (1, False)
    found, is_complete = lookup.find(open_archive(settings), wanted)
    assert (len(found), is_complete) == (3, True)


def test_a_damaged_file_is_an_error(session: Session, settings: Settings, folder: Path) -> None:
    load_rows(session, make_rows(), OLD)
    purge(session, settings)
    damage(list_files(folder)[0])
    with pytest.raises(ArchiveDamaged):
        PriceLookup().find(open_archive(settings), [("a", OLD)])
