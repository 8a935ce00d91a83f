"""Points are read across database and archive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from safe_zone import Settings
from sentinel.archive import day_file, parquet, reader, records
from sentinel.archive.store import Archive
from sentinel.errors import ArchiveDamaged, ArchiveUnavailable
from sentinel.storage.connection import Session
from tests.conftest import NOW, FreshDatabase
from tests.sentinel.archive.helpers import (
    DAY,
    KEPT,
    OLD,
    damage,
    export_days,
    list_files,
    load_rows,
    make_rows,
    open_archive,
    purge,
    read_points,
    to_points,
)


def test_each_point_is_read_once_across_database_and_archive(
    session: Session, settings: Settings
) -> None:
    rows = [*make_rows(), *make_rows(KEPT)]
    load_rows(session, rows, OLD)
    export_days(session, settings, DAY, KEPT.date())  # database and archive both hold both days
    assert read_points(session, settings, OLD, NOW) == to_points(rows)
    purge(session, settings)  # each holds one of the days
    assert read_points(session, settings, OLD, NOW) == to_points(rows)
    start, stop = OLD + timedelta(minutes=15), KEPT + timedelta(minutes=30)
    assert read_points(session, settings, start, stop, ["a"]) == to_points(
        row for row in rows if row.coin_id == "a" and start <= row.observed_at < stop
    )
    assert read_points(session, settings, OLD, NOW, []) == []
    assert read_points(session, settings, OLD, NOW, ["unknown"]) == []


def test_points_have_nan_for_unknown_values_and_flags_for_observed_ones(
    session: Session, settings: Settings
) -> None:
    load_rows(
        session, [*make_rows(coins=["a"]), *make_rows(KEPT, coins=["a"], source="backfilled")], OLD
    )
    purge(session, settings)
    found = session.use(lambda c: reader.read_points(c, open_archive(settings), ["a"], OLD, NOW))
    assert found.is_observed.tolist() == [True] * 4 + [False] * 4
    assert [str(cap) for cap in found.market_cap_usd.tolist()] == ["nan"] * 8
    assert [str(v) for v in found.volume_24h_usd.tolist()] == [str(0.1 + 0.2), "nan"] * 4


def test_without_an_archive_only_the_database_is_read(session: Session, settings: Settings) -> None:
    load_rows(session, make_rows(KEPT), OLD)
    export_days(session, settings, KEPT.date())
    found = session.use(lambda c: reader.read_points(c, None, ["a"], OLD, NOW))
    assert found.coin_id.tolist() == ["a"] * 4


def test_a_damaged_file_in_the_requested_span_is_an_error(
    session: Session, settings: Settings, folder: Path
) -> None:
    load_rows(session, [*make_rows(), *make_rows(OLD + timedelta(days=2))], OLD)
    purge(session, settings)
    damaged, _ = list_files(folder)
    damage(damaged)
    with pytest.raises(ArchiveDamaged, match=damaged.name):
        read_points(session, settings, OLD, NOW)
    later = OLD + timedelta(days=1)
    assert read_points(session, settings, later, NOW) == to_points(
        make_rows(OLD + timedelta(days=2))
    )


def test_a_span_that_ends_at_midnight_does_not_read_the_next_day(
    session: Session, settings: Settings, folder: Path
) -> None:
    load_rows(session, [*make_rows(), *make_rows(OLD + timedelta(days=1))], OLD)
    purge(session, settings)
    damage(list_files(folder)[1])
    midnight = datetime(2026, 9, 16, tzinfo=UTC)
    assert read_points(session, settings, OLD, midnight) == to_points(make_rows())


def test_a_day_that_is_purged_during_a_read_is_still_read(
    session: Session, settings: Settings, fresh: FreshDatabase
) -> None:
    load_rows(session, make_rows(), OLD)
    plain = open_archive(settings)

    @dataclass(frozen=True)
    class Meanwhile(Archive):
        """An archive that another process purges into just after it was listed."""

        def files(self) -> list[day_file.DayFile]:
            found = super().files()
            with Session(fresh.address()) as other:
                purge(other, settings)
            return found

    meanwhile = Meanwhile(plain.url, plain.folder, plain.cache)
    found = session.use(lambda c: reader.read_points(c, meanwhile, ["a"], OLD, NOW))
    assert found.coin_id.tolist() == ["a"] * 4


def test_a_lost_day_in_the_requested_span_is_an_error(
    session: Session, settings: Settings, folder: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    purge(session, settings)
    list_files(folder)[0].unlink()
    with pytest.raises(ArchiveUnavailable):
        read_points(session, settings, OLD, NOW)


def test_forgotten_days_are_not_expected_any_more(
    session: Session, settings: Settings, folder: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    purge(session, settings)
    list_files(folder)[0].unlink()
    session.use(lambda c: records.forget_days(c, [], (date.min, date.max)))
    assert not read_points(session, settings, OLD, NOW)


def test_the_file_of_a_day_in_the_database_is_not_read(
    session: Session, settings: Settings, folder: Path
) -> None:
    load_rows(session, make_rows(KEPT), KEPT)
    export_days(session, settings, KEPT.date())
    damage(list_files(folder)[0])
    assert read_points(session, settings, KEPT, NOW)


def test_two_databases_that_share_an_archive_keep_each_others_rows(
    session: Session, settings: Settings, folder: Path
) -> None:
    load_rows(session, make_rows(KEPT), KEPT)
    export_days(session, settings, KEPT.date())
    [other_file] = list_files(folder)
    copy = other_file.read_bytes()
    session.use(lambda c: records.forget_days(c, [], (KEPT.date(), KEPT.date())))
    load_rows(session, make_rows(KEPT, price=7.0, coins=["others"]), KEPT)
    export_days(session, settings, KEPT.date())
    other_file.write_bytes(copy)  # as if the other database had written at the same moment
    load_rows(session, make_rows(KEPT, price=8.0, coins=["later"]), KEPT)
    export_days(session, settings, KEPT.date())
    [one] = list_files(folder)
    coins = {row.coin_id for row in parquet.read_day(one)}
    assert {"others", "later"} <= coins
    assert len(coins) > 2
