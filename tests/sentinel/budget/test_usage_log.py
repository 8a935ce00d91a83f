"""The usage log: what it keeps, how it treats damage, and how it is merged."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from tests.conftest import NOW

MONTH = datetime(2026, 11, 1, tzinfo=UTC)


def _add(path: Path, *usages: Usage, since: datetime = MONTH) -> None:
    """Add runs one by one; the database recorded no others."""
    for usage in usages:
        usage_log.add_run(path, usage, since, NOW + timedelta(days=1), others=())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage_log.json"


def test_two_keys_are_enough_and_a_time_without_offset_is_utc(path: Path) -> None:
    path.write_text('[{"timestamp": "2026-01-15T18:00:18.521090", "duration_sec": 10.6}]')
    [usage] = usage_log.read(path).usages
    assert usage.started_at == datetime(2026, 1, 15, 18, 0, 18, 521090, tzinfo=UTC)
    assert usage.awake == (usage.started_at, usage.started_at + timedelta(seconds=310.6))
    assert (usage.api_credits, usage.db_seconds) == (0, None)


def test_the_file_matches_the_contract_and_is_read_again(path: Path) -> None:
    full = Usage(NOW, 12.5, 3, 0.5, 2, 5.0, 12_345_678, 345_678, is_skipped=False, is_metered=False)
    _add(path, full, Usage(NOW + timedelta(hours=1), 1.0, 0, 0.0))
    assert json.loads(path.read_text())[0] == {
        "timestamp": "2026-11-20T12:00:30+00:00",
        "duration_sec": 12.5,
        "api_credits": 3,
        "db_seconds": 0.5,
        "backfill_credits": 2,
        "tail_seconds": 5.0,
        "db_bytes": 12_345_678,
        "egress_bytes": 345_678,
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
    for _ in range(2):
        assert usage_log.read(path) == ([], False)
    _add(path, Usage(NOW, 1.0))
    assert len(usage_log.read(path).usages) == 1
    path.write_text(text)
    usage_log.read(path)
    assert ["is damaged" in message for message in caplog.messages] == [True, True]


def test_a_damaged_entry_does_not_affect_the_others(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = {"timestamp": "2026-11-20T12:00:00Z", "duration_sec": 10}
    bad = [
        {"timestamp": "yesterday", "duration_sec": 10},
        {"timestamp": "2026-11-20T12:00:00Z"},
        {**good, "duration_sec": "10"},
        {**good, "duration_sec": 1e300},
        {**good, "db_seconds": True},
        {**good, "api_credits": float("nan")},
        {**good, "timestamp": 5},
        {**good, "timestamp": "9999-12-31T23:59:59"},
        {**good, "timestamp": "0001-01-01T00:00:00+14:00"},
        {**good, "api_credits": 1.7e308},
        {**good, "db_bytes": 10**400},
        {**good, "egress_bytes": "many"},
        None,
        [],
    ]
    path.write_text(json.dumps([good, *bad]))
    reading = usage_log.read(path)
    assert (len(reading.usages), reading.is_complete) == (1, False)
    assert "14 of 15 runs are unreadable" in caplog.text


def test_a_clock_that_was_set_back_causes_no_negative_time(path: Path) -> None:
    path.write_text('[{"timestamp": "2026-11-20T12:00:00", "duration_sec": -3600}]')
    [usage] = usage_log.read(path).usages
    assert usage.duration_seconds == 0.0


def test_only_runs_that_last_into_the_month_are_kept(path: Path) -> None:
    old = Usage(MONTH - timedelta(hours=1), 10.0)
    last = Usage(MONTH - timedelta(seconds=100), 10.0)  # its tail ends in the new month
    new = Usage(MONTH + timedelta(seconds=100), 10.0)
    _add(path, old, last, since=MONTH - timedelta(days=30))
    _add(path, new)
    assert usage_log.read(path).usages == [last, new]


def test_a_runs_own_entry_replaces_the_databases_record(path: Path) -> None:
    own = Usage(NOW, 12.5, 3, 0.5, backfill_credits=2)
    later = Usage(NOW + timedelta(minutes=15), 12.5)
    _add(path, own._replace(api_credits=9), own)
    known = [Usage(NOW, 11.0, 3, 0.5)]
    usage_log.add_run(path, later, MONTH, NOW + timedelta(days=1), known)
    assert usage_log.read(path).usages == [own, later]


def test_a_killed_runs_entry_takes_over_the_credits_that_the_database_recorded(path: Path) -> None:
    _add(path, Usage(NOW, 0.0, 1, is_stored=False))
    recorded = Usage(NOW, 9.0, 7, 4.0, backfill_credits=6)
    later = Usage(NOW + timedelta(minutes=15), 3.0)
    usage_log.add_run(path, later, MONTH, NOW + timedelta(days=1), [recorded])
    killed, _ = usage_log.read(path).usages
    assert (killed.api_credits, killed.backfill_credits, killed.is_stored) == (7, 6, True)


def test_the_log_stays_incomplete_until_the_database_was_read(path: Path) -> None:
    until = NOW + timedelta(days=1)
    usage_log.add_run(path, Usage(NOW, 1.0), MONTH, until)  # the database was away
    assert not usage_log.read(path).is_complete
    usage_log.add_run(path, Usage(NOW + timedelta(hours=1), 1.0), MONTH, until)
    assert not usage_log.read(path).is_complete
    lost = Usage(NOW - timedelta(hours=5), 1.0)
    usage_log.add_run(path, Usage(NOW + timedelta(hours=2), 1.0), MONTH, until, [lost])
    reading = usage_log.read(path)
    assert (len(reading.usages), reading.is_complete) == (4, True)


def test_a_run_that_a_wrong_clock_dated_in_the_future_is_removed(path: Path) -> None:
    _add(path, Usage(NOW + timedelta(hours=20), 1.0))
    usage_log.add_run(path, Usage(NOW, 1.0), MONTH, NOW + timedelta(minutes=10), [])
    assert [usage.started_at for usage in usage_log.read(path).usages] == [NOW]


def test_two_entries_of_one_moment_are_one_run(path: Path) -> None:
    entry = {"timestamp": "2026-11-20T12:00:00Z", "duration_sec": 10, "api_credits": 1}
    path.write_text(json.dumps([entry, {**entry, "db_seconds": 1.0}, {**entry, "db_bytes": 5}]))
    assert len(usage_log.read(path).usages) == 1


def test_a_log_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "usage_log.json").mkdir()
    with caplog.at_level(logging.WARNING):
        _add(tmp_path / "usage_log.json", Usage(NOW, 1.0))
    assert "cannot be written" in caplog.text


def _add_one(path: Path, number: int) -> None:
    _add(path, Usage(NOW + timedelta(seconds=number), 1.0))


def test_runs_that_end_at_the_same_time_lose_no_entry(path: Path) -> None:
    # The lock excludes threads as it excludes processes: tests/sentinel/test_files.py.
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: _add_one(path, number), range(40)))
    assert len(usage_log.read(path).usages) == 40


def _days_of_minutes() -> list[Usage]:
    """A loop with one run a minute that does not use Neon, for four days."""
    return [
        Usage(
            NOW - timedelta(minutes=n), 1.5, 2, 0.25, 1, db_bytes=1000 - n // 100, is_metered=False
        )
        for n in reversed(range(4 * 1440))
    ]


def test_too_many_runs_are_summed_up_by_the_hour(path: Path) -> None:
    runs = _days_of_minutes()
    path.write_text(usage_log.to_text(runs[:-1]))
    _add(path, runs[-1])
    kept = usage_log.read(path).usages
    assert len(kept) < 26 * 60 + 3 * 24 + 60
    for name in ("runs", "api_credits", "backfill_credits"):
        assert sum(getattr(u, name) for u in kept) == sum(getattr(u, name) for u in runs)
    assert sum(u.duration_seconds for u in kept) == pytest.approx(1.5 * len(runs))
    recent = [u for u in kept if u.started_at > NOW - timedelta(hours=25)]
    assert all(u.runs == 1 for u in recent)
    assert kept[-1] == runs[-1]


def test_runs_on_neon_are_never_summed_up(path: Path) -> None:
    runs = [u._replace(is_metered=True) for u in _days_of_minutes()[:4000]]
    path.write_text(usage_log.to_text(runs[:-1]))
    _add(path, runs[-1])
    assert len(usage_log.read(path).usages) == 4000


def test_summed_up_runs_are_not_counted_again_from_the_database(path: Path) -> None:
    runs = _days_of_minutes()
    path.write_text(usage_log.to_text(runs[:-1]))
    _add(path, runs[-1])
    again = NOW + timedelta(minutes=1)
    own = runs[-1]._replace(started_at=again)
    usage_log.add_run(path, own, MONTH, again + timedelta(days=1), others=runs)
    kept = usage_log.read(path).usages
    assert sum(usage.api_credits for usage in kept) == 2 * (len(runs) + 1)
    assert sum(usage.runs for usage in kept) == len(runs) + 1
