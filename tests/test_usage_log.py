"""The usage log: what is kept, what is forgiven, what survives."""

from __future__ import annotations

import json
import logging
import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import usage_log
from tests.conftest import NOW
from usage_log import Usage

MONTH = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage_log.json"


def test_two_keys_are_enough_and_a_time_without_offset_is_utc(path: Path) -> None:
    path.write_text('[{"timestamp": "2026-01-15T18:00:18.521090", "duration_sec": 10.6}]')
    [usage] = usage_log.read(path).usages
    assert usage.started_at == datetime(2026, 1, 15, 18, 0, 18, 521090, tzinfo=UTC)
    assert usage.awake == (usage.started_at, usage.started_at + timedelta(seconds=310.6))
    assert (usage.api_credits, usage.db_seconds) == (0, None)


def test_what_is_written_is_the_contract_and_is_read_again(path: Path) -> None:
    full = Usage(NOW, 12.5, 3, 0.5, 2, 5.0, 12_345_678, is_skipped=False, is_metered=False)
    usage_log.add(path, [full, Usage(NOW + timedelta(hours=1), 1.0, 0, 0.0)], MONTH)
    assert json.loads(path.read_text())[0] == {
        "timestamp": "2026-11-20T12:00:30+00:00",
        "duration_sec": 12.5,
        "api_credits": 3,
        "db_seconds": 0.5,
        "backfill_credits": 2,
        "tail_seconds": 5.0,
        "db_bytes": 12_345_678,
        "metered": False,
    }
    assert list(json.loads(path.read_text())[1]) == [
        "timestamp",
        "duration_sec",
        "api_credits",
        "db_seconds",
    ]
    assert usage_log.read(path).usages[0] == full


@pytest.mark.parametrize(
    "text",
    ["", "{", "nonsense", '{"runs": []}', "[" * 100_000, "null"],
    ids=["empty", "cut off", "no JSON", "an object", "too deep", "null"],
)
def test_a_damaged_log_is_a_warning_and_an_empty_month(
    text: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(text)
    assert usage_log.read(path) == ([], False)
    assert "is damaged" in caplog.text
    usage_log.add(path, [Usage(NOW, 1.0)], MONTH)
    assert len(usage_log.read(path).usages) == 1


def test_a_damaged_run_costs_only_itself(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = {"timestamp": "2026-11-20T12:00:00Z", "duration_sec": 10}
    bad = [
        {"timestamp": "yesterday", "duration_sec": 10},
        {"timestamp": "2026-11-20T12:00:00Z"},
        {**good, "duration_sec": "10"},
        {**good, "duration_sec": 1e300},
        {**good, "db_seconds": True},
        {**good, "api_credits": float("nan")},
        {**good, "timestamp": 5},
        None,
        [],
    ]
    path.write_text(json.dumps([good, *bad]))
    reading = usage_log.read(path)
    assert (len(reading.usages), reading.is_whole) == (1, False)
    assert "9 of 10 runs are unreadable" in caplog.text


def test_a_clock_that_was_set_back_makes_no_negative_time(path: Path) -> None:
    path.write_text('[{"timestamp": "2026-11-20T12:00:00", "duration_sec": -3600}]')
    [usage] = usage_log.read(path).usages
    assert usage.duration_seconds == 0.0


def test_only_what_reaches_into_the_month_is_kept(path: Path) -> None:
    old = Usage(MONTH - timedelta(hours=1), 10.0)
    last = Usage(MONTH - timedelta(seconds=100), 10.0)  # its tail ends in the new month
    new = Usage(MONTH + timedelta(seconds=100), 10.0)
    usage_log.add(path, [old, last], MONTH - timedelta(days=30))
    usage_log.add(path, [new], MONTH)
    assert usage_log.read(path).usages == [last, new]


def test_a_run_is_kept_once_and_its_own_account_beats_the_databases(path: Path) -> None:
    own = Usage(NOW, 12.5, 3, 0.5, backfill_credits=2)
    usage_log.add(path, [own], MONTH)
    usage_log.add(path, [Usage(NOW, 11.0, 3, 0.5)], MONTH)
    assert usage_log.read(path).usages == [own]


def test_a_log_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "usage_log.json").mkdir()
    with caplog.at_level(logging.WARNING):
        usage_log.add(tmp_path / "usage_log.json", [Usage(NOW, 1.0)], MONTH)
    assert "cannot be written" in caplog.text


def _add(path: Path, number: int) -> None:
    usage_log.add(path, [Usage(NOW + timedelta(seconds=number), 1.0)], MONTH)


def test_runs_that_end_at_once_lose_no_entry(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        pool.starmap(_add, [(path, number) for number in range(40)])
    assert len(usage_log.read(path).usages) == 40
