"""The archive's files as other tools see them, and files of version 1 in the present layout."""

from __future__ import annotations

import ast
import importlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safe_zone import ROOT, Settings
from sentinel.archive import coin_list, export, parquet, records, status
from sentinel.archive.day_file import parse_path
from sentinel.errors import ArchiveUnavailable
from sentinel.storage.connection import Session
from tests.conftest import NOW
from tests.sentinel.archive.helpers import (
    DAY,
    OLD,
    ArchiveCommand,
    damage,
    export_days,
    list_files,
    load_rows,
    make_rows,
    open_archive,
    purge,
    read_content,
    read_points,
    to_points,
)

WRITE_VERSION_1 = """
COPY (SELECT * FROM read_parquet('{source}', hive_partitioning = false)
      ORDER BY coin_id, observed_at)
TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""


@pytest.fixture
def old_file(session: Session, settings: Settings, folder: Path) -> Path:
    """An archived day as version 1 wrote it."""
    load_rows(session, make_rows(), OLD)
    export_days(session, settings, DAY)
    archive = open_archive(settings)
    [file], [path] = archive.files(), list_files(folder)
    with duckdb.default_connection().cursor() as engine:
        engine.execute(WRITE_VERSION_1.format(source=path, path=folder / "day"))
    old = archive.put(folder / "day", DAY, file.rows)._replace(is_in_month=False)
    (folder / old._replace(is_in_month=True).path).rename(folder / old.path)
    session.use(lambda c: records.replace_file(c, archive, file, old, 1))
    path.unlink()
    (folder / "day").unlink()
    return folder / old.path


def test_all_days_have_one_schema_whatever_is_unknown_on_a_day(
    session: Session, settings: Settings, folder: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    next_day = OLD + timedelta(days=1)
    load_rows(session, [row._replace(market_cap_usd=None) for row in make_rows(next_day)], next_day)
    export_days(session, settings, DAY, next_day.date())
    tables = [pq.ParquetFile(path).read() for path in list_files(folder)]
    joined = pa.concat_tables(tables)
    assert len(joined) == 24
    assert all(field.nullable for field in joined.schema)
    metadata = pq.ParquetFile(list_files(folder)[0]).metadata.row_group(0)
    encodings = {
        column.path_in_schema: column.encodings
        for column in (metadata.column(n) for n in range(metadata.num_columns))
    }
    assert "RLE_DICTIONARY" in encodings["source"]


def test_a_day_lies_in_the_folder_of_its_month(
    session: Session, settings: Settings, folder: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    export_days(session, settings, DAY)
    [path] = list_files(folder)
    assert path.parent == folder / "observations" / f"month={DAY:%Y-%m}"
    with duckdb.default_connection().cursor() as engine:
        query = "SELECT DISTINCT month FROM read_parquet(?)"
        months = engine.execute(query, [str(folder / "observations/**/*.parquet")]).fetchall()
    assert months == [(f"{DAY:%Y-%m}",)]


@pytest.mark.parametrize("library", ["duckdb", "pandas"])
def test_the_documented_line_reads_a_coin_of_a_month(
    session: Session, settings: Settings, folder: Path, library: str
) -> None:
    load_rows(session, make_rows(), OLD)
    export_days(session, settings, DAY)
    text = (ROOT / "docs" / "archive.md").read_text(encoding="utf-8")
    text = text.replace("/mnt/disk/market-sentinel", str(folder))
    text = text.replace("2026-10", f"{DAY:%Y-%m}").replace("bitcoin", "a")
    block = ast.parse(text.partition("```python\n")[2].partition("```")[0])
    [line] = [ast.unparse(line) for line in block.body if ast.unparse(line).startswith(library)]
    found = eval(line, {library: importlib.import_module(library)})  # noqa: S307
    assert len(found) == sum(row.coin_id == "a" for row in make_rows())


@pytest.mark.parametrize("folder_name", ["", "observations/", "observations/month=2026-10/"])
def test_a_file_in_the_folder_of_another_month_is_no_day_file(folder_name: str) -> None:
    name = f"observations-2026-09-21-3-{'0' * 64}.parquet"
    found = parse_path(f"{folder_name}{name}")
    assert (found is not None) == (folder_name == "")
    right = parse_path(f"observations/month=2026-09/{name}")
    assert right is not None
    assert right.is_in_month


def read_coins(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.ParquetFile(folder / coin_list.NAME).read().to_pylist()
    return rows


def test_the_list_of_coins_says_what_an_id_means_and_forgets_none(
    session: Session, settings: Settings, folder: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    archive = open_archive(settings)
    session.use(
        lambda c: c.execute(
            "UPDATE sentinel.coins SET symbol = 'btc', name = 'Bitcoin', rank = 1 "
            "WHERE coin_id = 'a'"
        )
    )
    session.use(lambda c: coin_list.write_coins(c, archive))
    [first, *others] = read_coins(folder)
    assert first == {"coin_id": "a", "symbol": "btc", "name": "Bitcoin", "rank": 1}
    assert [coin["coin_id"] for coin in others] == ["b", "c"]
    written = (folder / coin_list.NAME).stat().st_mtime_ns
    session.use(lambda c: coin_list.write_coins(c, archive))
    assert (folder / coin_list.NAME).stat().st_mtime_ns == written
    session.use(lambda c: c.execute("UPDATE sentinel.coins SET observed_at = NULL"))
    session.use(lambda c: coin_list.write_coins(c, archive))
    assert [coin["coin_id"] for coin in read_coins(folder)] == ["a", "b", "c"]


def test_a_file_of_version_1_is_read_and_rewritten_without_losing_a_row(
    session: Session, settings: Settings, folder: Path, old_file: Path
) -> None:
    archive = open_archive(settings)
    assert read_points(session, settings, OLD, NOW) == to_points(make_rows())
    before = read_content(old_file)
    assert session.use(lambda c: status.examine(c, archive, OLD)).outdated == 1
    [file] = archive.files()
    session.use(lambda c: export.rewrite_file(c, archive, file))
    [path] = list_files(folder)
    assert not old_file.exists()
    assert read_content(path) == before
    assert all(field.nullable for field in pq.ParquetFile(path).schema_arrow)
    found = session.use(lambda c: status.examine(c, archive, OLD))
    assert (found.outdated, found.lost, found.days) == (0, [], 1)
    # The record names the new file, so that the day is not exported again.
    modified = path.stat().st_mtime_ns
    export_days(session, settings, DAY)
    assert path.stat().st_mtime_ns == modified


def test_a_file_that_another_process_has_rewritten_is_left_alone_and_its_day_is_read(
    session: Session,
    settings: Settings,
    folder: Path,
    old_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = open_archive(settings)
    [file] = archive.files()
    read = parquet.read_points

    def rewrite_and_read(*arguments: Any) -> parquet.Points:
        """The reader has listed the old file; before it opens it, another process rewrites it."""
        for _ in range(2):
            session.use(lambda c: export.rewrite_file(c, archive, file))
        assert not old_file.exists()
        return read(*arguments)

    monkeypatch.setattr(parquet, "read_points", rewrite_and_read)
    assert read_points(session, settings, OLD, NOW) == to_points(make_rows())
    assert len(list_files(folder)) == 1


@pytest.mark.slow
def test_rewrite_leaves_a_damaged_file_and_exits_with_6(
    command: ArchiveCommand, folder: Path, old_file: Path
) -> None:
    damage(old_file)
    result = command("rewrite")
    assert result.returncode == 6
    assert "is damaged" in result.stderr
    assert old_file.exists()
    damage(old_file)
    result = command("rewrite")
    assert result.stdout == "1 files are in the folders of their months now.\n"
    assert (folder / coin_list.NAME).exists()


def test_days_that_were_archived_in_another_place_are_named(
    session: Session, settings: Settings, folder: Path, tmp_path: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    export_days(session, settings, DAY)
    mistyped = replace(settings, archive_url=str(tmp_path / "typo"))
    found = session.use(lambda c: status.examine(c, open_archive(mistyped), OLD))
    assert found.elsewhere == {str(folder): 1}
    assert not found.is_healthy
    purge(session, settings)
    with pytest.raises(ArchiveUnavailable, match=r"was archived in .*, and the archive .*typo"):
        read_points(session, mistyped, OLD, NOW)


def test_a_day_may_be_archived_in_two_places(
    session: Session, settings: Settings, folder: Path, tmp_path: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    export_days(session, settings, DAY)
    mistyped = replace(settings, archive_url=str(tmp_path / "second"))
    export_days(session, mistyped, DAY)
    # Both places have the day now, and a file that is gone from the first is missed there.
    assert session.use(lambda c: status.examine(c, open_archive(mistyped), OLD)).is_healthy
    [path] = list_files(folder)
    path.unlink()
    found = session.use(lambda c: status.examine(c, open_archive(settings), OLD))
    assert found.lost == [DAY]


@pytest.mark.slow
def test_forget_removes_days_of_another_place_from_the_list(
    command: ArchiveCommand, session: Session, settings: Settings, tmp_path: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    elsewhere = replace(settings, archive_url=str(tmp_path / "elsewhere"))
    export_days(session, elsewhere, DAY)
    shown = command("status")
    assert f"1 more days were archived in {tmp_path / 'elsewhere'}" in shown.stdout
    assert json.loads(command("status", "--json").stdout)["elsewhere"]
    assert str(DAY) in command("forget").stdout
    assert "more days" not in command("status").stdout
