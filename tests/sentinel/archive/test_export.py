"""Days are written to Parquet files before they are dropped."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest

from safe_zone import Settings
from sentinel.archive import day_file, parquet
from sentinel.models import MarketRow
from sentinel.storage.connection import Session
from tests.conftest import NOW, FreshDatabase
from tests.sentinel.archive.helpers import (
    DAY,
    OLD,
    SPECIAL_IDS,
    count_rows,
    export_days,
    list_files,
    load_rows,
    make_rows,
    purge,
    read_content,
    read_points,
    to_content,
    to_points,
)


def test_a_dropped_day_is_a_file_with_the_same_rows(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    rows = make_rows(coins=SPECIAL_IDS, price=0.1)
    rows += [
        MarketRow("small", OLD, 1e-300, 5e-324, 1.7976931348623157e308),
        MarketRow(
            "late", OLD.replace(hour=23, minute=59, second=59, microsecond=999999), 2.0, 0.0, 0.0
        ),
        MarketRow("early", datetime(2026, 9, 15, tzinfo=UTC), 3.0, None, None, "backfilled"),
    ]
    load_rows(session, rows, OLD)
    purge(session, settings)
    [path] = list_files(folder)
    assert read_content(path) == to_content(rows)
    assert count_rows(fresh) == 0
    assert session.purged_rows == len(rows)
    assert fresh.query("SELECT to_regclass('sentinel.observations_20260915')") == [(None,)]
    file = day_file.parse_path(path.relative_to(path.parents[2]).as_posix())
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
    rows = make_rows(coins=SPECIAL_IDS)
    load_rows(session, rows, OLD)
    purge(session, settings)
    assert set(parquet.read_day(list_files(folder)[0])) == set(rows)


@pytest.mark.parametrize("coin_id", [*SPECIAL_IDS, ""])
def test_a_file_keeps_coin_ids_with_special_characters(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path, coin_id: str
) -> None:
    rows = make_rows(coins=[coin_id])
    load_rows(session, rows, OLD)
    purge(session, settings)
    assert count_rows(fresh) == 0
    assert read_content(list_files(folder)[0]) == to_content(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "times"),
    [("coin-{}", 300), ('a "{}",', 90), ("two\nlines {}", 90), ("a\r\nb {}", 90)],
)
def test_a_file_holds_every_row_of_a_large_day(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    folder: Path,
    pattern: str,
    times: int,
) -> None:
    coins = [pattern.format(n) for n in range(500)]
    start = datetime(2026, 9, 15, tzinfo=UTC)
    load_rows(session, make_rows(start, coins=coins, times=1), OLD)
    fresh.query(
        "INSERT INTO sentinel.observations (observed_at, price_usd, coin_key) "
        "SELECT %s + n * interval '1 minute', random(), coin_key "
        "FROM sentinel.coins, generate_series(1, %s) AS n",
        start,
        times,
    )
    [expected] = fresh.query("SELECT count(*), count(DISTINCT coin_id) FROM stored_rows")
    purge(session, settings)
    assert count_rows(fresh) == 0
    content = read_content(list_files(folder)[0])
    assert (len(content), len({row[0] for row in content})) == expected
    assert {row[0] for row in content} == set(coins)


def test_a_file_is_sorted_compressed_and_named_after_its_bytes(
    session: Session, settings: Settings, folder: Path
) -> None:
    coins = [f"coin-{n}" for n in range(60)]
    load_rows(session, make_rows(OLD.replace(hour=1), coins=coins, times=80), OLD)
    purge(session, settings)
    [path] = list_files(folder)
    file = day_file.parse_path(path.relative_to(path.parents[2]).as_posix())
    assert file
    assert (file.day, file.rows) == (DAY, 60 * 80)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with duckdb.default_connection().cursor() as engine:
        order = engine.execute(
            "SELECT coin_id, epoch_us(observed_at) FROM read_parquet(?)", [str(path)]
        ).fetchall()
        codecs = engine.execute(
            "SELECT DISTINCT compression FROM parquet_metadata(?)", [str(path)]
        ).fetchall()
        columns = engine.execute(
            "DESCRIBE FROM read_parquet(?, hive_partitioning = false)", [str(path)]
        ).fetchall()
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
    rows = make_rows(datetime(2026, 9, 15, tzinfo=UTC), times=96)
    load_rows(session, rows, OLD)
    purge(session, settings)
    [path] = list_files(folder)
    assert read_content(path) == to_content(rows)
    assert count_rows(fresh) == 0
    assert read_points(session, settings, OLD.replace(hour=0, minute=0), NOW) == to_points(
        row for row in rows if row.observed_at >= OLD.replace(hour=0, minute=0)
    )


def test_extra_float_digits_of_the_server_do_not_change_the_file(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    [(name,)] = fresh.query("SELECT current_database()")
    fresh.query(f"ALTER DATABASE {name} SET extra_float_digits = 0")
    rows = make_rows(price=0.1)
    load_rows(session, rows, OLD)
    purge(session, settings)
    assert read_content(list_files(folder)[0]) == to_content(rows)


@pytest.mark.parametrize("name", ["it's", "year=2026", "[old]", "what?", "a*", "a b", "ü"])
def test_the_folder_may_have_any_name(
    session: Session, settings: Settings, fresh: FreshDatabase, tmp_path: Path, name: str
) -> None:
    settings = replace(settings, archive_url=str(tmp_path / name))
    rows = make_rows()
    load_rows(session, rows, OLD)
    export_days(session, settings, DAY)
    assert read_points(session, settings, OLD, NOW) == to_points(rows)
    load_rows(session, make_rows(coins=["d"]), OLD)
    purge(session, settings)
    assert count_rows(fresh) == 0
    [path] = list_files(tmp_path / name)
    assert len(parquet.read_day(path)) == len(rows) + 4


def test_an_empty_day_is_dropped_without_a_file(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    load_rows(session, [], OLD)
    purge(session, settings)
    assert fresh.query("SELECT to_regclass('sentinel.observations_20260915')") == [(None,)]
    assert list_files(folder) == []
    assert fresh.query("SELECT * FROM sentinel.archived_days") == []


def test_without_an_archive_the_purge_logs_what_it_drops(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load_rows(session, make_rows(), OLD)
    purge(session, replace(settings, archive_url=None))
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "12 observations of 2026-09-15" in warning.getMessage()
    assert "ARCHIVE_URL" in warning.getMessage()
    assert count_rows(fresh) == 0
    assert not folder.exists()


def test_a_postponed_purge_does_not_log_that_rows_are_gone(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sentinel.storage.retention.PURGE_LOCK_TIMEOUT_SECONDS", 0.1)
    load_rows(session, [*make_rows(), *make_rows(OLD + timedelta(days=1))], OLD)
    with psycopg.connect(fresh.url) as reader:
        reader.execute("SELECT count(*) FROM sentinel.observations_20260916")
        purge(session, replace(settings, archive_url=None))
    assert count_rows(fresh) == 12
    assert "the purge waits" in caplog.text
    assert "dropped" not in caplog.text
