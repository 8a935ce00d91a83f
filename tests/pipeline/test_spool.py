"""The spool: fetched data on disk that waits for the database."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.spool import Item, LoadWindow, Spool
from sentinel.models import FxRate, MarketRow, Rejection
from tests.conftest import NOW

ITEMS: list[Item] = [
    MarketRow("bitcoin", NOW, 92_000.123456789, None, 5.0),
    MarketRow("neo\u00a0🟥", NOW - timedelta(microseconds=1), 9e-18, 1.0, None, "backfilled"),
    Rejection("ghost", "null_price", '{"usd": null}', "run-1", NOW),
    FxRate(NOW, "idr", 16_250.5),
]


WINDOW = LoadWindow(NOW - timedelta(days=60), NOW, is_confirmed=True)
DAMAGED = (
    '["row", "cut',
    '["row"]',
    "null",
    '["what"]',
    '["row", 1, 2, 3, 4, 5, 6, 7]',
    '["row", "a", "2026-11-20T12:00:00", 1.0, null, null, "observed"]',  # no zone
    '["row", "a\\u0000", "2026-11-20T12:00:00+00:00", 1.0, null, null, "observed"]',
    '["row", "a\\ud800", "2026-11-20T12:00:00+00:00", 1.0, null, null, "observed"]',
    '["row", "a", "2026-11-20T12:00:00+00:00", NaN, null, null, "observed"]',
    '["row", "a", "2026-11-20T12:00:00+00:00", 1.0, null, null, "guessed"]',
    '["row", "a", "9999-12-31T23:59:00-14:00", 1.0, null, null, "observed"]',
    "[" * 100_000,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def _left_behind(folder: Path, run_id: str) -> Path:
    spool = Spool(folder)
    path = spool.write(run_id, ITEMS)
    spool.close()
    return path


def test_items_are_read_as_they_were_written_to_the_last_digit(folder: Path) -> None:
    path = _left_behind(folder, "run-1")
    assert list(Spool(folder).read([path], WINDOW)) == ITEMS


def test_files_of_earlier_runs_are_claimed_the_oldest_first(folder: Path) -> None:
    paths = [_left_behind(folder, name) for name in ("20261120-b", "20261119-a")]
    with Spool(folder).claim() as claimed:
        assert claimed == paths[::-1]


def test_a_file_of_a_running_run_is_not_claimed(folder: Path) -> None:
    running, other = Spool(folder), Spool(folder)
    running.write("run-1-000", ITEMS)
    running.write("run-1-001", ITEMS)
    with other.claim() as claimed:
        assert claimed == []
    with running.claim() as claimed:
        assert claimed == []
    running.close()
    with other.claim() as claimed:
        assert len(claimed) == 2


def test_two_runs_never_claim_the_same_file(folder: Path) -> None:
    _left_behind(folder, "run-1")
    with Spool(folder).claim() as first, Spool(folder).claim() as second:
        assert (len(first), len(second)) == (1, 0)


def test_a_damaged_line_is_skipped_and_the_file_is_kept(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _left_behind(folder, "run-1")
    text = path.read_text()
    path.write_text(text + "".join(f"{line}\n" for line in DAMAGED))
    spool = Spool(folder)
    with spool.claim() as claimed:
        assert list(spool.read(claimed, WINDOW)) == ITEMS
        spool.discard(claimed)
    assert "line 5 is damaged" in caplog.text
    assert [kept.suffix for kept in folder.iterdir()] == [".damaged"]


@pytest.mark.parametrize(
    ("window", "suffix"),
    [
        (WINDOW._replace(newest=NOW - timedelta(minutes=1)), ".left-out"),  # in the future
        (WINDOW._replace(oldest=NOW + timedelta(minutes=1)), ".left-out"),  # too old
        (WINDOW._replace(newest=NOW - timedelta(minutes=1), is_confirmed=False), ".jsonl"),
    ],
)
def test_a_file_with_rows_outside_the_window_is_kept(
    folder: Path, caplog: pytest.LogCaptureFixture, window: LoadWindow, suffix: str
) -> None:
    text = _left_behind(folder, "run-1").read_text()
    spool = Spool(folder)
    with spool.claim() as claimed:
        assert list(spool.read(claimed, window)) == [ITEMS[2]]  # the rejection
        spool.discard(claimed)
    [kept] = (path for path in folder.iterdir() if path.suffix != ".lock")
    assert (kept.suffix, kept.read_text()) == (suffix, text)
    assert "3 entries beyond the retention or in the future were not loaded" in caplog.text


def test_a_folder_among_the_files_is_passed_over(folder: Path) -> None:
    (folder / "x.jsonl").mkdir(parents=True)
    with Spool(folder).claim() as claimed:
        assert claimed == []
    assert Spool(folder).waiting_rows() == 0


def test_a_file_that_cannot_be_read_stays(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _left_behind(folder, "run-1")
    spool = Spool(folder)
    path.unlink()
    path.mkdir()
    assert list(spool.read([path], WINDOW)) == []
    spool.discard([path])
    assert path.exists()
    assert "cannot be read (Is a directory): it waits in the spool" in caplog.text


def test_a_half_written_file_of_a_killed_run_is_removed(folder: Path) -> None:
    killed = Spool(folder)
    path = killed.write("run-1", ITEMS)
    path.rename(folder / f".{path.name}.draft")
    killed._own.clear()  # as after a kill: the lock is released, and its file is left
    with Spool(folder).claim() as claimed:
        assert claimed == []
    assert list(folder.iterdir()) == []


def test_nothing_is_left_of_drained_files(folder: Path) -> None:
    _left_behind(folder, "run-1")
    spool = Spool(folder)
    with spool.claim() as claimed:
        own = spool.write("run-2", ITEMS)
        spool.discard([*claimed, *claimed, own])
    spool.close()
    assert list(folder.iterdir()) == []


def test_waiting_rows_are_counted(folder: Path) -> None:
    assert Spool(folder).waiting_rows() == 0
    _left_behind(folder, "run-1")
    assert Spool(folder).waiting_rows() == 2


def test_a_write_that_fails_leaves_nothing_half_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match="No space left"):
        Spool(folder).write("run-1", ITEMS)
    assert list(folder.iterdir()) == []
