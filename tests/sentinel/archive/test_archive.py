"""The archive: days are archived before they are dropped, and can be read and restored."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import fsspec
import psycopg
import pytest

import archive
import database
from safe_zone import Settings
from sentinel.archive import day_file, export, parquet, reader, records, status, store
from sentinel.archive.store import Archive, open_configured_archive
from sentinel.errors import ArchiveDamaged, ArchiveUnavailable, ConfigurationError
from sentinel.models import LoadCounts, MarketRow, Source
from sentinel.storage import schema
from sentinel.storage.connection import Session
from sentinel.storage.partitions import Fingerprint
from sentinel.storage.retention import ArchiveBeforeDrop
from tests.conftest import NOW, FakeTime, FreshDatabase, Script
from tests.support import object_store
from tests.support.object_store import ObjectStore

OLD = datetime(2026, 9, 15, 8, 0, 0, 250001, tzinfo=UTC)  # older than the retention at NOW
DAY = OLD.date()
KEPT = datetime(2026, 11, 18, 8, tzinfo=UTC)
ODD_IDS = (
    "plain", "a,comma", 'a "quote"', '"', "two\nlines", "\r", "a\r\nb", "Ünïcode-币-🪙", " spaces ",
    "NULL", "\\N", "\\.", "it's", "tab\there", "C:\\x", "{}", "#",
)  # fmt: skip


def _rows(
    at: datetime = OLD,
    *,
    coins: Iterable[str] = ("b", "a", "c"),
    times: int = 4,
    price: float = 1.0,
    source: Source = "observed",
) -> list[MarketRow]:
    return [
        MarketRow(
            coin_id, at + timedelta(minutes=15 * n), price + i / 3, 1e9 / 7 if i % 2 else None,
            None if n % 2 else 0.1 + 0.2, source,
        )
        for n in range(times)
        for i, coin_id in enumerate(coins)
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def settings(fresh: FreshDatabase, folder: Path, tmp_path: Path) -> Settings:
    return Settings(database_url=fresh.url, archive_url=str(folder), state_dir=tmp_path / "state")


@pytest.fixture
def session(fresh: FreshDatabase, time_: FakeTime) -> Iterator[Session]:
    with Session(fresh.address(), clock=time_.monotonic, sleep=time_.sleep) as opened:
        yield opened


def _load(
    session: Session,
    rows: Iterable[MarketRow],
    now: datetime,
    archive_hook: ArchiveBeforeDrop | None = None,
) -> LoadCounts:
    return database.run_write_transaction(
        session,
        lambda connection, days: database.load_batch(connection, rows, lambda _id: None, days),
        now,
        archive_hook=archive_hook,
    )


def _purge(session: Session, settings: Settings, now: datetime = NOW) -> LoadCounts:
    """Load one row at `now` and purge the days that are older than the retention."""
    row = MarketRow("today", now, 1.0, None, None)
    return _load(session, [row], now, export.archive_hook(settings))


def _opened(settings: Settings) -> Archive:
    found = open_configured_archive(settings)
    assert found
    return found


def _export(session: Session, settings: Settings, *days: date) -> Mapping[date, Fingerprint]:
    return session.use(lambda c: dict(export.export_days(c, _opened(settings), days, NOW)))


def _points(
    session: Session,
    settings: Settings,
    start: datetime,
    stop: datetime,
    coins: Sequence[str] = ("a", "b", "c"),
) -> list[tuple[str, float, float]]:
    """Return (coin id, UNIX seconds, price) from database and archive."""
    found = session.use(
        lambda c: reader.read_points(c, _opened(settings), list(coins), start, stop)
    )
    return list(zip(*(column.tolist() for column in found[:3]), strict=True))


def _as_points(rows: Iterable[MarketRow]) -> list[tuple[str, float, float]]:
    return sorted((row.coin_id, row.observed_at.timestamp(), row.price_usd) for row in rows)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _content(path: Path) -> set[tuple[object, ...]]:
    """Return the rows of a file, read with DuckDB and none of the product's code."""
    with duckdb.connect() as engine:
        found = engine.execute(
            "SELECT coin_id, epoch_us(observed_at), price_usd, market_cap_usd, volume_24h_usd, "
            "source FROM read_parquet(?)",
            [str(path)],
        ).fetchall()
    assert len(found) == len(set(found))
    return set(found)


def _as_content(rows: Iterable[MarketRow]) -> set[tuple[object, ...]]:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return {
        (row[0], (row.observed_at - epoch) // timedelta(microseconds=1), *row[2:]) for row in rows
    }


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _count(fresh: FreshDatabase, day: date = DAY) -> int:
    """Return the number of rows of a day in the database."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    [(rows,)] = fresh.query(
        "SELECT count(*) FROM sentinel.observations WHERE observed_at >= %s AND observed_at < %s",
        start,
        start + timedelta(days=1),
    )
    return int(rows)


# --- files -----------------------------------------------------------------------------------


def test_a_dropped_day_is_a_file_with_the_same_rows(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    rows = _rows(coins=ODD_IDS, price=0.1)
    rows += [
        MarketRow("small", OLD, 1e-300, 5e-324, 1.7976931348623157e308),
        MarketRow(
            "late", OLD.replace(hour=23, minute=59, second=59, microsecond=999999), 2.0, 0.0, 0.0
        ),
        MarketRow("early", datetime(2026, 9, 15, tzinfo=UTC), 3.0, None, None, "backfilled"),
    ]
    _load(session, rows, OLD)
    _purge(session, settings)
    [path] = _files(folder)
    assert _content(path) == _as_content(rows)
    assert _count(fresh) == 0
    assert session.purged_rows == len(rows)
    assert fresh.query("SELECT to_regclass('sentinel.observations_20260915')") == [(None,)]
    file = day_file.parse_name(path.name)
    assert file
    assert fresh.query(
        "SELECT day, rows, size_bytes, source_rows, sha256, location, archived_at FROM "
        "sentinel.archived_days"
    ) == [
        (DAY, len(rows), path.stat().st_size, len(rows), file.sha256, str(folder), NOW),
    ]


def test_read_day_returns_rows_that_can_be_loaded_again(
    session: Session, settings: Settings, folder: Path
) -> None:
    rows = _rows(coins=ODD_IDS)
    _load(session, rows, OLD)
    _purge(session, settings)
    assert set(parquet.read_day(_files(folder)[0])) == set(rows)


@pytest.mark.parametrize("coin_id", [*ODD_IDS, ""])
def test_a_file_keeps_coin_ids_with_special_characters(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path, coin_id: str
) -> None:
    rows = _rows(coins=[coin_id])
    _load(session, rows, OLD)
    _purge(session, settings)
    assert _count(fresh) == 0
    assert _content(_files(folder)[0]) == _as_content(rows)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["coin-{}", 'a "{}",', "two\nlines {}", "a\r\nb {}"])
def test_a_file_holds_every_row_of_a_large_day(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path, pattern: str
) -> None:
    coins = [pattern.format(n) for n in range(500)]
    start = datetime(2026, 9, 15, tzinfo=UTC)
    _load(session, _rows(start, coins=coins, times=1), OLD)
    fresh.query(
        "INSERT INTO sentinel.observations (observed_at, price_usd, coin_key) "
        "SELECT %s + n * interval '1 minute', random(), coin_key "
        "FROM sentinel.coins, generate_series(1, 900) AS n",
        start,
    )
    [expected] = fresh.query("SELECT count(*), count(DISTINCT coin_id) FROM stored_rows")
    _purge(session, settings)
    assert _count(fresh) == 0
    content = _content(_files(folder)[0])
    assert (len(content), len({row[0] for row in content})) == expected
    assert {row[0] for row in content} == set(coins)


def test_a_file_is_sorted_compressed_and_named_after_its_bytes(
    session: Session, settings: Settings, folder: Path
) -> None:
    coins = [f"coin-{n}" for n in range(60)]
    _load(session, _rows(OLD.replace(hour=1), coins=coins, times=80), OLD)
    _purge(session, settings)
    [path] = _files(folder)
    file = day_file.parse_name(path.name)
    assert file
    assert (file.day, file.rows) == (DAY, 60 * 80)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with duckdb.connect() as engine:
        order = engine.execute(
            "SELECT coin_id, epoch_us(observed_at) FROM read_parquet(?)", [str(path)]
        ).fetchall()
        codecs = engine.execute(
            "SELECT DISTINCT compression FROM parquet_metadata(?)", [str(path)]
        ).fetchall()
        columns = engine.execute("DESCRIBE FROM read_parquet(?)", [str(path)]).fetchall()
    assert order == sorted(order)
    assert len(order) == file.rows
    assert codecs == [("ZSTD",)]
    assert [column[:2] for column in columns] == [
        ("coin_id", "VARCHAR"),
        ("observed_at", "TIMESTAMP WITH TIME ZONE"),
        ("price_usd", "DOUBLE"),
        ("market_cap_usd", "DOUBLE"),
        ("volume_24h_usd", "DOUBLE"),
        ("source", "VARCHAR"),
    ]


@pytest.mark.parametrize("zone", ["America/St_Johns", "Pacific/Kiritimati", "Europe/Berlin"])
def test_the_time_zone_of_the_server_does_not_change_the_file(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path, zone: str
) -> None:
    [(name,)] = fresh.query("SELECT current_database()")
    fresh.query(f"ALTER DATABASE {name} SET timezone = '{zone}'")
    rows = _rows(datetime(2026, 9, 15, tzinfo=UTC), times=96)
    _load(session, rows, OLD)
    _purge(session, settings)
    [path] = _files(folder)
    assert _content(path) == _as_content(rows)
    assert _count(fresh) == 0
    assert _points(session, settings, OLD.replace(hour=0, minute=0), NOW) == _as_points(
        row for row in rows if row.observed_at >= OLD.replace(hour=0, minute=0)
    )


def test_extra_float_digits_of_the_server_do_not_change_the_file(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    [(name,)] = fresh.query("SELECT current_database()")
    fresh.query(f"ALTER DATABASE {name} SET extra_float_digits = 0")
    rows = _rows(price=0.1)
    _load(session, rows, OLD)
    _purge(session, settings)
    assert _content(_files(folder)[0]) == _as_content(rows)


@pytest.mark.parametrize("name", ["it's", "year=2026", "[old]", "what?", "a*", "a b", "ü"])
def test_the_folder_may_have_any_name(
    session: Session, settings: Settings, fresh: FreshDatabase, tmp_path: Path, name: str
) -> None:
    settings = replace(settings, archive_url=str(tmp_path / name))
    rows = _rows()
    _load(session, rows, OLD)
    _export(session, settings, DAY)
    assert _points(session, settings, OLD, NOW) == _as_points(rows)
    _load(session, _rows(coins=["d"]), OLD)
    _purge(session, settings)
    assert _count(fresh) == 0
    [path] = _files(tmp_path / name)
    assert len(parquet.read_day(path)) == len(rows) + 4


def test_an_empty_day_is_dropped_without_a_file(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    _load(session, [], OLD)
    _purge(session, settings)
    assert fresh.query("SELECT to_regclass('sentinel.observations_20260915')") == [(None,)]
    assert _files(folder) == []
    assert fresh.query("SELECT * FROM sentinel.archived_days") == []


def test_without_an_archive_the_purge_logs_what_it_drops(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _load(session, _rows(), OLD)
    _purge(session, replace(settings, archive_url=None))
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "12 observations of 2026-09-15" in warning.getMessage()
    assert "ARCHIVE_URL" in warning.getMessage()
    assert _count(fresh) == 0
    assert not folder.exists()


def test_a_postponed_purge_does_not_log_that_rows_are_gone(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sentinel.storage.retention.PURGE_LOCK_TIMEOUT_SECONDS", 0.1)
    _load(session, [*_rows(), *_rows(OLD + timedelta(days=1))], OLD)
    with psycopg.connect(fresh.url) as reader:
        reader.execute("SELECT count(*) FROM sentinel.observations_20260916")
        _purge(session, replace(settings, archive_url=None))
    assert _count(fresh) == 12
    assert "the purge waits" in caplog.text
    assert "are gone" not in caplog.text


# --- postponed purges ------------------------------------------------------------------------


def test_a_purge_waits_while_the_archive_cannot_be_written(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _load(session, _rows(), OLD)
    folder.write_text("in the way")
    assert _purge(session, settings) == LoadCounts(inserted=1)
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "the purge of 3 days waits for the archive" in warning.getMessage()
    assert str(folder) in warning.getMessage()
    assert _count(fresh) == 12
    assert session.purged_rows == 0


def test_a_run_tries_a_failed_archive_again_after_one_hour(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _load(session, _rows(), OLD)
    folder.write_text("in the way")
    _purge(session, settings)
    folder.unlink()
    caplog.clear()
    _purge(session, settings, NOW + timedelta(minutes=59))
    assert "waits for the archive" in caplog.text
    assert _count(fresh) == 12
    assert not folder.exists()
    caplog.clear()
    _purge(session, settings, NOW + timedelta(minutes=61))
    assert not caplog.records
    assert _count(fresh) == 0
    assert len(_files(folder)) == 1


def test_a_purge_waits_if_the_archived_files_are_gone(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _load(session, _rows(), OLD)
    _export(session, settings, DAY)
    _files(folder)[0].unlink()
    _purge(session, settings)
    assert "holds none of the 1 days that were archived there" in caplog.text
    assert _count(fresh) == 12


def test_a_purge_waits_if_the_days_file_is_damaged_and_names_it(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _load(session, _rows(), OLD)
    _export(session, settings, DAY)
    [path] = _files(folder)
    _damage(path)
    _purge(session, settings)
    assert path.name in caplog.text
    assert _count(fresh) == 12
    [(problem,)] = fresh.query("SELECT state ->> 'problem' FROM sentinel.service_status")
    assert path.name in problem


def test_a_single_missing_file_is_written_again(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    rows = [*_rows(), *_rows(OLD + timedelta(days=1))]
    _load(session, rows, OLD)
    _export(session, settings, DAY, DAY + timedelta(days=1))
    lost = _files(folder)[0]
    lost.unlink()
    _purge(session, settings)
    assert len(_files(folder)) == 2
    assert lost.exists()
    assert _count(fresh) == 0


def test_a_purge_without_a_temporary_folder_keeps_the_rows_of_the_run(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _load(session, _rows(), OLD)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert _purge(session, settings) == LoadCounts(inserted=1)
    assert _count(fresh) == 12


@pytest.mark.slow
def test_a_locked_day_is_postponed_without_waiting_for_the_lock(
    session: Session, settings: Settings, fresh: FreshDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    _load(session, _rows(), OLD)
    archive_hook = export.archive_hook(settings)
    assert archive_hook
    with psycopg.connect(fresh.url) as other:
        other.execute("LOCK TABLE sentinel.observations_20260915 IN ACCESS EXCLUSIVE MODE")
        assert session.use(lambda c: archive_hook(c, [OLD.date()], NOW)) == {}
    assert "another process is exporting, or has locked a day" in caplog.text


def test_a_day_is_dropped_even_if_the_database_has_no_space_for_its_record(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    _load(session, _rows(), OLD)
    fresh.query(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    )
    fresh.query(
        "CREATE TRIGGER full_disk BEFORE INSERT ON sentinel.archived_days EXECUTE FUNCTION "
        "full_disk()"
    )
    assert _purge(session, settings) == LoadCounts(inserted=1)
    assert _count(fresh) == 0
    assert len(_files(folder)) == 1


def test_a_damaged_file_does_not_stop_the_other_days(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    _load(session, [*_rows(), *_rows(OLD + timedelta(days=1))], OLD)
    _export(session, settings, DAY)
    _damage(_files(folder)[0])
    _purge(session, settings)
    assert _count(fresh) == 12
    assert _count(fresh, DAY + timedelta(days=1)) == 0


def test_a_failure_recorded_in_the_future_does_not_delay_the_next_attempt(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    _load(session, _rows(), OLD)
    folder.write_text("in the way")
    _purge(session, settings, NOW + timedelta(days=5))
    folder.unlink()
    _purge(session, settings, NOW)
    assert _count(fresh) == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root mounts a small disk")
@pytest.mark.parametrize("full", ["archive", "drafts"])
def test_a_purge_waits_while_a_disk_is_full(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    full: str,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64K", "none", str(disk)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        if full == "archive":
            settings = replace(settings, archive_url=str(disk))
        else:
            monkeypatch.setattr(tempfile, "tempdir", str(disk))
        dice = random.Random(1)
        rows = [
            MarketRow(f"coin-{n}", OLD, dice.random(), dice.random(), dice.random())
            for n in range(5_000)
        ]
        _load(session, rows, OLD)
        assert _purge(session, settings) == LoadCounts(inserted=1)
        assert _count(fresh) == len(rows)
        [(problem,)] = fresh.query("SELECT state ->> 'problem' FROM sentinel.service_status")
        assert "No space left" in problem
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


# --- changed days ----------------------------------------------------------------------------


def test_a_changed_day_replaces_its_file(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    _load(session, _rows(), OLD)
    _export(session, settings, DAY)
    [before] = _files(folder)
    changed = [*_rows(coins=["b", "a"], price=7.0), *_rows(coins=["d"])]
    _load(session, changed, OLD)
    _purge(session, settings)
    [after] = _files(folder)
    assert after.name != before.name
    assert _content(after) == _as_content(
        [*changed, *(row for row in _rows() if row.coin_id == "c")]
    )
    assert _count(fresh) == 0
    assert fresh.query("SELECT rows, source_rows FROM sentinel.archived_days") == [(16, 16)]


def test_an_unchanged_day_is_not_written_again(
    session: Session, settings: Settings, folder: Path
) -> None:
    _load(session, _rows(), OLD)
    first = _export(session, settings, DAY)
    [path] = _files(folder)
    inode = path.stat().st_ino
    assert _export(session, settings, DAY) == first
    assert path.stat().st_ino == inode


def test_a_merge_never_replaces_an_observed_value_by_a_backfilled_one(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    rows = [*_rows(coins=["a"]), *_rows(coins=["b"], source="backfilled")]
    _load(session, rows, OLD)
    _export(session, settings, DAY)
    fresh.query("DROP TABLE sentinel.observations_20260915")
    again = [*_rows(coins=["a"], price=9.0, source="backfilled"), *_rows(coins=["b"], price=5.0)]
    _load(session, again, OLD)
    _purge(session, settings)
    [path] = _files(folder)
    assert _content(path) == _as_content([*_rows(coins=["a"]), *_rows(coins=["b"], price=5.0)])


def test_rows_that_the_database_lost_stay_in_the_archive(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    _load(session, _rows(), OLD)
    _export(session, settings, DAY)
    fresh.query("DELETE FROM sentinel.observations_20260915 WHERE price_usd > 1.1")
    _purge(session, settings)
    assert _content(_files(folder)[0]) == _as_content(_rows())
    assert fresh.query("SELECT rows, source_rows FROM sentinel.archived_days") == [(12, 4)]


def test_a_row_that_arrives_before_the_drop_keeps_the_day(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    _load(session, _rows(), OLD)
    late = _rows(coins=["late"], times=1)
    real = export.archive_hook(settings)
    assert real

    def late_arrival(
        connection: psycopg.Connection, days: Sequence[date], now: datetime
    ) -> Mapping[date, Fingerprint]:
        safe = real(connection, days, now)
        with Session(fresh.address()) as other:
            _load(other, late, OLD)
        return safe

    assert _load(session, _rows(NOW), NOW, late_arrival) == LoadCounts(inserted=12)
    assert _count(fresh) == 13
    _purge(session, settings)
    assert _count(fresh) == 0
    [path] = _files(folder)
    assert _content(path) == _as_content([*_rows(), *late])


def test_of_two_files_of_a_day_the_one_with_more_rows_counts(
    session: Session, settings: Settings, folder: Path
) -> None:
    _load(session, _rows(times=9), OLD)
    _export(session, settings, DAY)
    [before] = _files(folder)
    content = before.read_bytes()
    _load(session, _rows(times=10), OLD)
    _export(session, settings, DAY)
    before.write_bytes(content)  # as if the process had ended before it removed the old file
    assert len(_files(folder)) == 2
    assert _opened(settings).days()[DAY].rows == 30
    assert _points(session, settings, OLD, NOW) == _as_points(_rows(times=10))


@pytest.mark.slow
@pytest.mark.parametrize("price", [2.0, 3.0, 4.0, 5.0])
def test_an_export_overtaken_by_a_purge_does_not_restore_old_values(
    session: Session, settings: Settings, fresh: FreshDatabase, price: float
) -> None:
    _load(session, _rows(), OLD)
    changed = _rows(price=price)
    plain = _opened(settings)

    @dataclass(frozen=True)
    class Meanwhile(Archive):
        """An archive whose day changes, is archived and is dropped just before a write."""

        def put(self, path: Path, day: date, rows: int) -> day_file.DayFile:
            with Session(fresh.address()) as other:
                _load(other, changed, OLD)
                _purge(other, settings)
            return super().put(path, day, rows)

    slow = Meanwhile(plain.url, plain.folder, plain.cache)
    session.use(lambda c: dict(export.export_days(c, slow, [DAY], NOW)))
    assert _points(session, settings, OLD, NOW) == _as_points(changed)


# --- reading database and archive ------------------------------------------------------------


def test_each_point_is_read_once_across_database_and_archive(
    session: Session, settings: Settings
) -> None:
    rows = [*_rows(), *_rows(KEPT)]
    _load(session, rows, OLD)
    _export(session, settings, DAY, KEPT.date())  # database and archive both hold both days
    assert _points(session, settings, OLD, NOW) == _as_points(rows)
    _purge(session, settings)  # each holds one of the days
    assert _points(session, settings, OLD, NOW) == _as_points(rows)
    start, stop = OLD + timedelta(minutes=15), KEPT + timedelta(minutes=30)
    assert _points(session, settings, start, stop, ["a"]) == _as_points(
        row for row in rows if row.coin_id == "a" and start <= row.observed_at < stop
    )
    assert _points(session, settings, OLD, NOW, []) == []
    assert _points(session, settings, OLD, NOW, ["unknown"]) == []


def test_points_have_nan_for_unknown_values_and_flags_for_observed_ones(
    session: Session, settings: Settings
) -> None:
    _load(session, [*_rows(coins=["a"]), *_rows(KEPT, coins=["a"], source="backfilled")], OLD)
    _purge(session, settings)
    found = session.use(lambda c: reader.read_points(c, _opened(settings), ["a"], OLD, NOW))
    assert found.is_observed.tolist() == [True] * 4 + [False] * 4
    assert [str(cap) for cap in found.market_cap_usd.tolist()] == ["nan"] * 8
    assert [str(v) for v in found.volume_24h_usd.tolist()] == [str(0.1 + 0.2), "nan"] * 4


def test_without_an_archive_only_the_database_is_read(session: Session, settings: Settings) -> None:
    _load(session, _rows(KEPT), OLD)
    _export(session, settings, KEPT.date())
    found = session.use(lambda c: reader.read_points(c, None, ["a"], OLD, NOW))
    assert found.coin_id.tolist() == ["a"] * 4


def test_a_damaged_file_in_the_requested_span_is_an_error(
    session: Session, settings: Settings, folder: Path
) -> None:
    _load(session, [*_rows(), *_rows(OLD + timedelta(days=2))], OLD)
    _purge(session, settings)
    damaged, _ = _files(folder)
    _damage(damaged)
    with pytest.raises(ArchiveDamaged, match=damaged.name):
        _points(session, settings, OLD, NOW)
    later = OLD + timedelta(days=1)
    assert _points(session, settings, later, NOW) == _as_points(_rows(OLD + timedelta(days=2)))


def test_a_span_that_ends_at_midnight_does_not_read_the_next_day(
    session: Session, settings: Settings, folder: Path
) -> None:
    _load(session, [*_rows(), *_rows(OLD + timedelta(days=1))], OLD)
    _purge(session, settings)
    _damage(_files(folder)[1])
    midnight = datetime(2026, 9, 16, tzinfo=UTC)
    assert _points(session, settings, OLD, midnight) == _as_points(_rows())


def test_a_day_that_is_purged_during_a_read_is_still_read(
    session: Session, settings: Settings, fresh: FreshDatabase
) -> None:
    _load(session, _rows(), OLD)
    plain = _opened(settings)

    @dataclass(frozen=True)
    class Meanwhile(Archive):
        """An archive that another process purges into just after it was listed."""

        def files(self) -> list[day_file.DayFile]:
            found = super().files()
            with Session(fresh.address()) as other:
                _purge(other, settings)
            return found

    meanwhile = Meanwhile(plain.url, plain.folder, plain.cache)
    found = session.use(lambda c: reader.read_points(c, meanwhile, ["a"], OLD, NOW))
    assert found.coin_id.tolist() == ["a"] * 4


def test_a_lost_day_in_the_requested_span_is_an_error(
    session: Session, settings: Settings, folder: Path
) -> None:
    _load(session, _rows(), OLD)
    _purge(session, settings)
    _files(folder)[0].unlink()
    with pytest.raises(ArchiveUnavailable):
        _points(session, settings, OLD, NOW)


def test_forgotten_days_are_not_expected_any_more(
    session: Session, settings: Settings, folder: Path
) -> None:
    _load(session, _rows(), OLD)
    _purge(session, settings)
    _files(folder)[0].unlink()
    opened = _opened(settings)
    session.use(lambda c: records.forget_days(c, records.list_archived(c, opened)[1]))
    assert not _points(session, settings, OLD, NOW)


def test_the_file_of_a_day_in_the_database_is_not_read(
    session: Session, settings: Settings, folder: Path
) -> None:
    _load(session, _rows(KEPT), KEPT)
    _export(session, settings, KEPT.date())
    _damage(_files(folder)[0])
    assert _points(session, settings, KEPT, NOW)


def test_two_databases_that_share_an_archive_keep_each_others_rows(
    session: Session, settings: Settings, folder: Path
) -> None:
    _load(session, _rows(KEPT), KEPT)
    _export(session, settings, KEPT.date())
    [other_file] = _files(folder)
    copy = other_file.read_bytes()
    session.use(lambda c: records.forget_days(c, [KEPT.date()]))
    _load(session, _rows(KEPT, price=7.0, coins=["others"]), KEPT)
    _export(session, settings, KEPT.date())
    other_file.write_bytes(copy)  # as if the other database had written at the same moment
    _load(session, _rows(KEPT, price=8.0, coins=["later"]), KEPT)
    _export(session, settings, KEPT.date())
    [one] = _files(folder)
    coins = {row.coin_id for row in parquet.read_day(one)}
    assert {"others", "later"} <= coins
    assert len(coins) > 2


# --- restoring -------------------------------------------------------------------------------


def _restore(session: Session, settings: Settings) -> tuple[int, int]:
    """Restore all days; returns how many rows were inserted and replaced."""
    opened = _opened(settings)
    return archive.restore_days(
        session, opened, [file for _, file in sorted(opened.days().items())]
    )


def test_restoring_inserts_a_lost_day_once(
    session: Session, settings: Settings, fresh: FreshDatabase
) -> None:
    _load(session, _rows(KEPT, coins=ODD_IDS), KEPT)
    _export(session, settings, KEPT.date())
    before = fresh.query("SELECT * FROM stored_rows ORDER BY 1, 6")
    fresh.query("DROP TABLE sentinel.observations_20261118")
    assert _restore(session, settings) == (len(before), 0)
    assert fresh.query("SELECT * FROM stored_rows ORDER BY 1, 6") == before
    assert _restore(session, settings) == (0, 0)


def test_restoring_never_replaces_an_observed_value_by_a_backfilled_one(
    session: Session, settings: Settings, fresh: FreshDatabase
) -> None:
    _load(session, _rows(KEPT, coins=["a"], source="backfilled"), KEPT)
    _export(session, settings, KEPT.date())
    _load(session, _rows(KEPT, coins=["a"], price=5.0), KEPT)
    assert _restore(session, settings) == (0, 0)
    assert fresh.query("SELECT DISTINCT price, source FROM stored_rows") == [(5.0, "observed")]


def test_restoring_does_not_change_observed_rows_of_the_database(
    session: Session, settings: Settings, fresh: FreshDatabase
) -> None:
    _load(session, _rows(KEPT, coins=["a"]), KEPT)
    _export(session, settings, KEPT.date())
    _load(session, _rows(KEPT, coins=["a"], price=5.0), KEPT)
    _restore(session, settings)
    assert fresh.query("SELECT DISTINCT price FROM stored_rows") == [(5.0,)]


def test_a_damaged_file_is_not_restored(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    _load(session, _rows(KEPT), KEPT)
    _export(session, settings, KEPT.date())
    fresh.query("DROP TABLE sentinel.observations_20261118")
    _damage(_files(folder)[0])
    with pytest.raises(ArchiveDamaged):
        _restore(session, settings)
    assert _count(fresh, KEPT.date()) == 0


# --- addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["s3://key:hunter2@bucket/days", "s3://key:p/hunter2@bucket/days", "gs://p hunter2@b"]
)
def test_an_address_with_a_password_is_an_error_that_does_not_repeat_it(
    url: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="holds a user or a password") as caught:
        store.open_archive(url, tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["memory://days", "nonsense://days", "S3://bucket/days"])
def test_an_address_with_an_unsupported_scheme_is_an_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ARCHIVE_URL begins with"):
        store.open_archive(url, tmp_path)


def test_a_folder_may_be_given_as_a_file_url(tmp_path: Path) -> None:
    assert store.open_archive(f"file://{tmp_path}/days", tmp_path).folder == (tmp_path / "days")


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "observations-2026-09-21-3.parquet",
        f"observations-2026-13-01-3-{'0' * 64}.parquet",
        f"observations-2026-09-21-3-{'0' * 64}.parquet.part",
        f".observations-2026-09-21-3-{'0' * 64}.parquet.x1",
    ],
)
def test_other_files_in_the_folder_are_ignored(name: str) -> None:
    assert day_file.parse_name(name) is None


# --- the command -----------------------------------------------------------------------------


@dataclass(frozen=True)
class ArchiveCommand:
    """Runs archive.py with a database and a folder."""

    script: Script
    url: str
    folder: Path

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {"DATABASE_URL": self.url, "ARCHIVE_URL": str(self.folder)} | environment
        done = self.script("archive.py", *arguments, **variables)
        assert "hunter2" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture
def command(script: Script, fresh: FreshDatabase, folder: Path) -> ArchiveCommand:
    return ArchiveCommand(script, fresh.url, folder)


def _today() -> datetime:
    """Return today's midnight by the real clock, which the command reads."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.mark.slow
def test_export_archives_all_closed_days_and_status_shows_them(
    command: ArchiveCommand, session: Session, folder: Path
) -> None:
    today = _today()
    rows = [row for n in range(4) for row in _rows(today - timedelta(days=n))]
    _load(session, rows, today)
    done = command("export")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 closed days with 36 observations" in done.stdout
    assert len(_files(folder)) == 3
    status = command("status", "--json", "--check")
    assert status.returncode == 0
    assert json.loads(status.stdout) == {
        "location": str(folder),
        "days": 3,
        "rows": 36,
        "first": str((today - timedelta(days=3)).date()),
        "last": str((today - timedelta(days=1)).date()),
        "missing": [],
        "lost": [],
        "damaged": [],
        "overdue": [],
        "last_error": None,
    }
    shown = command("status", "--check")
    assert "3 days with 36 observations" in shown.stdout
    assert "the bytes of every file match its digest" in shown.stdout


@pytest.mark.slow
def test_export_of_a_span_archives_only_that_span(
    command: ArchiveCommand, session: Session, folder: Path
) -> None:
    today = _today()
    _load(session, [row for n in range(5) for row in _rows(today - timedelta(days=n))], today)
    first, last = ((today - timedelta(days=n)).date() for n in (3, 2))
    done = command("export", "--from", str(first), "--to", str(last))
    assert (done.returncode, len(_files(folder))) == (0, 2)
    done = command("export", "--from", str(today.date() - timedelta(days=4)))
    assert (done.returncode, len(_files(folder))) == (0, 4)


@pytest.mark.slow
def test_status_with_check_exits_with_6_for_a_damaged_file(
    command: ArchiveCommand, session: Session, folder: Path
) -> None:
    today = _today()
    _load(session, _rows(today - timedelta(days=1)), today)
    command("export")
    [path] = _files(folder)
    _damage(path)
    plain = command("status", "--json")
    assert (plain.returncode, json.loads(plain.stdout)["damaged"]) == (0, None)
    looked = command("status", "--json", "--check")
    assert (looked.returncode, json.loads(looked.stdout)["damaged"]) == (6, [path.name])
    assert path.name in command("status", "--check").stdout
    again = command("export")
    assert again.returncode == 6
    assert path.name in again.stderr
    assert command("restore").returncode == 6


@pytest.mark.slow
def test_status_names_lost_and_missing_days(
    command: ArchiveCommand, session: Session, folder: Path
) -> None:
    today = _today()
    _load(session, [row for n in (1, 2, 4) for row in _rows(today - timedelta(days=n))], today)
    command("export")
    _files(folder)[1].unlink()
    found = command("status", "--json")
    assert found.returncode == 6
    parsed = json.loads(found.stdout)
    lost, never = ((today - timedelta(days=n)).date() for n in (2, 3))
    assert parsed["lost"] == [str(lost)]
    assert parsed["missing"] == [str(never), str(lost)]
    assert str(lost) in command("status").stdout


@pytest.mark.slow
def test_status_names_overdue_days_and_the_last_error(
    command: ArchiveCommand, session: Session, settings: Settings, folder: Path
) -> None:
    old = _today() - timedelta(days=70)
    _load(session, _rows(old), old)
    folder.write_text("in the way")
    _purge(session, settings, datetime.now(UTC))
    assert command("status").returncode == 4
    folder.unlink()
    found = command("status", "--json")
    assert found.returncode == 6
    assert str(old.date()) in json.loads(found.stdout)["overdue"]
    assert "cannot be" in json.loads(found.stdout)["last_error"]


@pytest.mark.slow
def test_restore_fills_an_empty_database(
    command: ArchiveCommand, session: Session, fresh: FreshDatabase
) -> None:
    today = _today()
    old = today - timedelta(days=70)
    _load(session, [*_rows(old), *_rows(today - timedelta(days=3))], old)
    assert command("export").returncode == 0
    session.use(schema.drop_schema)
    done = command("restore")
    assert done.returncode == 0
    assert "1 days restored: 12 observations were missing" in done.stdout
    assert "1 days older than the retention stay in the archive" in done.stderr
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(12,)]
    again = command("restore")
    assert "1 days restored: 0 observations were missing" in again.stdout


@pytest.mark.slow
def test_without_an_archive_the_error_names_the_setting(command: ArchiveCommand) -> None:
    done = command("status", ARCHIVE_URL="")
    assert done.returncode == 2
    assert "ARCHIVE_URL" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "--from", "yesterday"], "--from 'yesterday' is not a day"),
        (["restore", "--to", "2026-02-30"], "--to '2026-02-30' is not a day"),
        (["export", "--from", "2026-10-02", "--to", "2026-10-01"], "is after --to"),
        (["restore"], "holds none of these days"),
        (["burn"], "invalid choice"),
        ([], "required"),
    ],
)
def test_an_invalid_option_exits_with_2(
    command: ArchiveCommand, arguments: list[str], words: str
) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    [
        "sftp://user:hunter2@host/days",
        "nonsense://user:hunter2@host/days",
        "memory://user:hunter2@days",
    ],
)
def test_an_unusable_address_exits_with_2_and_hides_the_password(
    command: ArchiveCommand, url: str
) -> None:
    done = command("status", ARCHIVE_URL=url)
    assert done.returncode == 2
    assert "ARCHIVE_URL begins with" in done.stderr


@pytest.mark.slow
def test_a_killed_export_leaves_complete_files_and_the_next_one_finishes(
    command: ArchiveCommand, session: Session, folder: Path, fresh: FreshDatabase
) -> None:
    today, days = _today(), 30
    coins = [f"coin-{n}" for n in range(100)]
    for n in range(1, days + 1):
        _load(session, _rows(today - timedelta(days=n), coins=coins), today)
    process = command.script.start(
        "archive.py", "export", DATABASE_URL=command.url, ARCHIVE_URL=str(folder)
    )
    while not _files(folder):
        assert process.poll() is None
    process.kill()
    process.communicate()
    written = _files(folder)
    assert 0 < len(written) < days
    for path in written:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in path.name
    assert command("export").returncode == 0
    assert len(_files(folder)) == days
    assert command("status", "--check").returncode == 0
    assert fresh.query("SELECT count(*), sum(rows) FROM sentinel.archived_days") == [
        (days, days * 400)
    ]


@pytest.mark.slow
def test_concurrent_exports_archive_each_day_once(
    command: ArchiveCommand, session: Session, folder: Path
) -> None:
    today = _today()
    _load(session, [row for n in range(1, 6) for row in _rows(today - timedelta(days=n))], today)
    variables = {"DATABASE_URL": command.url, "ARCHIVE_URL": str(folder)}
    both = [command.script.start("archive.py", "export", **variables) for _ in range(2)]
    ends = [(process.communicate()[1], process.returncode) for process in both]
    assert ends == [("", 0)] * 2
    assert len(_files(folder)) == 5
    assert command("status", "--check").returncode == 0


# --- an object store -------------------------------------------------------------------------


@pytest.fixture(params=["s3", "gs"])
def bucket(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStore]:
    with object_store.run_object_store(request.param) as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        yield served
    fsspec.get_filesystem_class(served.scheme).clear_instance_cache()


@pytest.fixture
def remote(settings: Settings, bucket: ObjectStore) -> Settings:
    return replace(settings, archive_url=f"{bucket.scheme}://bucket/market/days")


@pytest.mark.slow
def test_a_day_in_an_object_store_is_downloaded_once(
    session: Session, remote: Settings, bucket: ObjectStore, fresh: FreshDatabase
) -> None:
    _load(session, _rows(), OLD)
    _purge(session, remote)
    assert _count(fresh) == 0
    [(name, content)] = bucket.objects.items()
    assert name.startswith("bucket/market/days/observations-2026-09-15-12-")
    assert hashlib.sha256(content).hexdigest() in name
    assert _points(session, remote, OLD, NOW) == _as_points(_rows())
    bucket.requests.clear()
    assert _points(session, remote, OLD, NOW) == _as_points(_rows())
    assert bucket.downloads == []


def test_files_are_downloaded_in_parallel(folder: Path) -> None:
    content = b"a day's rows"
    digest = hashlib.sha256(content).hexdigest()
    files = [day_file.DayFile(DAY + timedelta(days=n), 1, digest) for n in range(4)]
    stored = {file.name: content for file in files}
    all_asked = threading.Barrier(len(files))

    class Slow(Archive):
        """A store that responds only after it was asked for every file."""

        def _read(self, name: str) -> bytes:
            all_asked.wait(30)
            return stored[name]

    paths = Slow("s3://bucket/days", None, folder).fetch_all(files)
    assert [path.name for path in paths] == [file.name for file in files]


def test_a_damaged_cached_copy_is_downloaded_again(
    session: Session, remote: Settings, bucket: ObjectStore
) -> None:
    _load(session, _rows(), OLD)
    _purge(session, remote)
    _points(session, remote, OLD, NOW)
    [copy] = remote.state_dir.rglob("*.parquet")
    _damage(copy)
    bucket.requests.clear()
    assert _points(session, remote, OLD, NOW) == _as_points(_rows())
    assert len(bucket.downloads) == 1


@pytest.mark.slow
def test_a_changed_day_replaces_its_object(
    session: Session, remote: Settings, bucket: ObjectStore
) -> None:
    _load(session, _rows(), OLD)
    _export(session, remote, DAY)
    [before] = bucket.objects
    _load(session, _rows(coins=["d"]), OLD)
    _purge(session, remote)
    [after] = bucket.objects
    assert after != before
    assert _points(session, remote, OLD, NOW, ["a", "b", "c", "d"]) == _as_points(
        [*_rows(), *_rows(coins=["d"])]
    )


@pytest.mark.slow
def test_an_error_of_the_store_postpones_the_purge(
    session: Session,
    remote: Settings,
    bucket: ObjectStore,
    fresh: FreshDatabase,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _load(session, _rows(), OLD)
    bucket.error_status = (
        503 if bucket.scheme == "s3" else 403
    )  # gcsfs repeats a 503 for half a minute
    assert _purge(session, remote) == LoadCounts(inserted=1)
    assert "waits for the archive" in caplog.text
    assert "hunter2" not in caplog.text
    assert _count(fresh) == 12
    bucket.error_status = None
    _purge(session, remote, NOW + timedelta(hours=1))
    assert _count(fresh) == 0


def test_a_store_that_returns_other_bytes_is_an_error(
    session: Session, remote: Settings, bucket: ObjectStore, fresh: FreshDatabase
) -> None:
    _load(session, _rows(), OLD)
    bucket.wrong_content = b"something else"
    with pytest.raises(ArchiveUnavailable, match="returned other bytes"):
        _export(session, remote, DAY)
    assert fresh.query("SELECT * FROM sentinel.archived_days") == []
    assert _purge(session, remote) == LoadCounts(inserted=1)
    assert _count(fresh) == 12


def test_a_purge_reads_the_store_and_not_the_cached_copy(
    session: Session, remote: Settings, bucket: ObjectStore, fresh: FreshDatabase
) -> None:
    _load(session, _rows(), OLD)
    _export(session, remote, DAY)
    _points(session, remote, OLD, NOW)
    bucket.wrong_content = b"something else"
    _purge(session, remote)
    assert _count(fresh) == 12


def test_a_check_reads_the_store_and_not_the_cached_copies(
    session: Session, remote: Settings, bucket: ObjectStore
) -> None:
    _load(session, _rows(), OLD)
    _export(session, remote, DAY)
    _points(session, remote, OLD, NOW)
    bucket.wrong_content = b"something else"
    found = session.use(lambda c: status.examine(c, _opened(remote), OLD, read_files=True))
    assert [name.rpartition("/")[2] for name in bucket.objects] == found.damaged


@pytest.mark.slow
def test_the_command_archives_into_an_object_store(
    command: ArchiveCommand, session: Session, bucket: ObjectStore
) -> None:
    today = _today()
    _load(session, _rows(today - timedelta(days=1)), today)
    environment = {"ARCHIVE_URL": f"{bucket.scheme}://bucket/days", **bucket.environment}
    done = command("export", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(bucket.objects) == 1
    status = command("status", "--check", "--json", **environment)
    assert (status.returncode, json.loads(status.stdout)["rows"]) == (0, 12)
    bucket.error_status = 403  # as with a revoked key
    silent = command("status", **environment)
    assert (silent.returncode, len(silent.stderr.splitlines())) == (4, 1)
