"""A day that changes after it was archived is archived again, and no row is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import psycopg
import pytest

from safe_zone import Settings
from sentinel.archive import day_file, export
from sentinel.archive.store import Archive
from sentinel.models import LoadCounts
from sentinel.storage.connection import Session
from sentinel.storage.partitions import Fingerprint
from tests.conftest import NOW, FreshDatabase
from tests.sentinel.archive.helpers import (
    DAY,
    OLD,
    count_rows,
    export_days,
    list_files,
    load_rows,
    make_rows,
    open_archive,
    purge,
    read_content,
    read_points,
    to_content,
    to_points,
)


def test_a_changed_day_replaces_its_file(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    export_days(session, settings, DAY)
    [before] = list_files(folder)
    changed = [*make_rows(coins=["b", "a"], price=7.0), *make_rows(coins=["d"])]
    load_rows(session, changed, OLD)
    purge(session, settings)
    [after] = list_files(folder)
    assert after.name != before.name
    assert read_content(after) == to_content(
        [*changed, *(row for row in make_rows() if row.coin_id == "c")]
    )
    assert count_rows(fresh) == 0
    assert fresh.query("SELECT rows, source_rows FROM sentinel.archived_days") == [(16, 16)]


def test_an_unchanged_day_is_not_written_again(
    session: Session, settings: Settings, folder: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    first = export_days(session, settings, DAY)
    [path] = list_files(folder)
    inode = path.stat().st_ino
    assert export_days(session, settings, DAY) == first
    assert path.stat().st_ino == inode


def test_a_merge_never_replaces_an_observed_value_by_a_backfilled_one(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    rows = [*make_rows(coins=["a"]), *make_rows(coins=["b"], source="backfilled")]
    load_rows(session, rows, OLD)
    export_days(session, settings, DAY)
    fresh.query("DROP TABLE sentinel.observations_20260915")
    again = [
        *make_rows(coins=["a"], price=9.0, source="backfilled"),
        *make_rows(coins=["b"], price=5.0),
    ]
    load_rows(session, again, OLD)
    purge(session, settings)
    [path] = list_files(folder)
    assert read_content(path) == to_content(
        [*make_rows(coins=["a"]), *make_rows(coins=["b"], price=5.0)]
    )


def test_rows_that_the_database_lost_stay_in_the_archive(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    export_days(session, settings, DAY)
    fresh.query("DELETE FROM sentinel.observations_20260915 WHERE price_usd > 1.1")
    purge(session, settings)
    assert read_content(list_files(folder)[0]) == to_content(make_rows())
    assert fresh.query("SELECT rows, source_rows FROM sentinel.archived_days") == [(12, 4)]


def test_a_row_that_arrives_before_the_drop_keeps_the_day(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    late = make_rows(coins=["late"], times=1)
    real = export.archive_hook(settings)
    assert real

    def late_arrival(
        connection: psycopg.Connection, days: Sequence[date], now: datetime
    ) -> Mapping[date, Fingerprint]:
        safe = real(connection, days, now)
        with Session(fresh.address()) as other:
            load_rows(other, late, OLD)
        return safe

    assert load_rows(session, make_rows(NOW), NOW, late_arrival) == LoadCounts(inserted=12)
    assert count_rows(fresh) == 13
    purge(session, settings)
    assert count_rows(fresh) == 0
    [path] = list_files(folder)
    assert read_content(path) == to_content([*make_rows(), *late])


def test_of_two_files_of_a_day_the_one_with_more_rows_counts(
    session: Session, settings: Settings, folder: Path
) -> None:
    load_rows(session, make_rows(times=9), OLD)
    export_days(session, settings, DAY)
    [before] = list_files(folder)
    content = before.read_bytes()
    load_rows(session, make_rows(times=10), OLD)
    export_days(session, settings, DAY)
    before.write_bytes(content)  # as if the process had ended before it removed the old file
    assert len(list_files(folder)) == 2
    assert open_archive(settings).days()[DAY].rows == 30
    assert read_points(session, settings, OLD, NOW) == to_points(make_rows(times=10))


@pytest.mark.parametrize("price", [2.0, 3.0, 4.0, 5.0])
def test_an_export_overtaken_by_a_purge_does_not_restore_old_values(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    monkeypatch: pytest.MonkeyPatch,
    price: float,
) -> None:
    monkeypatch.setattr(export, "LOCK_TIMEOUT_SECONDS", 0.1)
    load_rows(session, make_rows(), OLD)
    changed = make_rows(price=price)
    plain = open_archive(settings)

    @dataclass(frozen=True)
    class Meanwhile(Archive):
        """An archive whose day changes, is archived and is dropped just before a write."""

        def put(self, path: Path, day: date, rows: int) -> day_file.DayFile:
            with Session(fresh.address()) as other:
                load_rows(other, changed, OLD)
                purge(other, settings)
            return super().put(path, day, rows)

    slow = Meanwhile(plain.url, plain.folder, plain.cache)
    session.use(lambda c: dict(export.export_days(c, slow, [DAY], NOW)))
    assert read_points(session, settings, OLD, NOW) == to_points(changed)
