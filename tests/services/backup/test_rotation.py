"""Which backups are kept, and how the others are deleted or set aside."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.backup import checksums, manifest, rotation
from services.backup.manifest import BackupFile, BackupManifest
from services.backup.pruning import prune_backups
from tests.conftest import NOW
from tests.services.backup.conftest import list_backups

IDENTITY, OTHER_IDENTITY = UUID(int=1), UUID(int=2)
FIRST, LAST = (datetime.fromisoformat(text) for text in ("2025-01-01", "2027-01-01"))
MOMENTS = st.lists(st.datetimes(FIRST, LAST, timezones=st.just(UTC)), max_size=60)


def write_backup(
    folder: Path,
    at: datetime,
    database: str = "mine",
    identity: UUID | None = IDENTITY,
    kept_until: datetime | None = None,
) -> BackupFile:
    """Write a backup of that time with a valid manifest, without a database."""
    folder.mkdir(parents=True, exist_ok=True)
    dump = folder / rotation.make_file_name(at)
    dump.write_bytes(b"dump")
    empty = checksums.DatabaseContents("", {}, {}, None)
    sha256 = manifest.compute_sha256(dump)
    found = BackupManifest(at, database, sha256, 4, empty, identity, kept_until)
    backup = BackupFile(dump, found)
    manifest.write_manifest(backup)
    return backup


def _days_kept(folder: Path) -> list[int]:
    moments = map(rotation.parse_file_name, list_backups(folder))
    return sorted((NOW - at).days for at in moments if at)


def test_backups_are_pruned_to_seven_days_and_the_newest_of_each_week_and_month(
    folder: Path,
) -> None:
    for day in range(1, 40):
        write_backup(folder, NOW - timedelta(days=day))
    pruned = prune_backups(folder, write_backup(folder, NOW))
    assert _days_kept(folder) == [0, 1, 2, 3, 4, 5, 6, 12, 19, 20]
    assert len(list(folder.glob("*.json"))) == 10
    assert (len(pruned.deleted), pruned.damaged) == (30, [])


def test_damaged_backups_that_were_set_aside_are_pruned_by_the_same_rules(folder: Path) -> None:
    for day in range(1, 40):
        manifest.set_aside(write_backup(folder, NOW - timedelta(days=day)).path)
    prune_backups(folder, write_backup(folder, NOW))
    aside = list(folder.glob("*.damaged"))
    assert len([path for path in aside if ".json" not in path.name]) == 10
    assert len(aside) == 20  # each with its manifest


@pytest.mark.parametrize(
    ("database", "identity"),
    [
        ("another database", IDENTITY),  # a restored copy on another machine
        ("mine", OTHER_IDENTITY),  # a database made anew, or another machine's at the same address
        ("mine", None),  # of a schema that had no identity yet
    ],
)
def test_backups_of_other_databases_are_kept(
    folder: Path, database: str, identity: UUID | None
) -> None:
    for day in range(1, 40):
        write_backup(folder, NOW - timedelta(days=day), database, identity)
    prune_backups(folder, write_backup(folder, NOW))
    assert len(list_backups(folder)) == 40  # the rules count each database on its own


def test_data_that_a_restore_replaced_are_kept_for_a_week(folder: Path) -> None:
    replaced = write_backup(folder, NOW - timedelta(hours=3), kept_until=NOW + timedelta(days=6))
    prune_backups(folder, write_backup(folder, NOW))  # of the same day, so the rules keep this one
    assert replaced.path.exists()
    prune_backups(folder, write_backup(folder, NOW + timedelta(days=6)))
    assert not replaced.path.exists()


def test_dumps_of_pg_dump_and_other_files_are_kept(folder: Path) -> None:
    """Earlier versions made .dump files; only their owner knows when they are no longer needed."""
    folder.mkdir()
    others = [folder / "film.zip", folder / "family.dump"]
    for day in range(40):
        name = rotation.make_file_name(NOW - timedelta(days=day)).replace(".zip", ".dump")
        others += [folder / name, folder / f"{name}.json"]
    for path in others:
        path.write_bytes(b"PGDMP")
    pruned = prune_backups(folder, write_backup(folder, NOW))
    assert all(path.exists() for path in others)
    assert pruned == ([], [])


def test_the_newest_backup_is_kept_even_if_older_ones_have_later_times(folder: Path) -> None:
    for day in range(20):
        write_backup(folder, NOW + timedelta(days=400 + 40 * day))
    newest = write_backup(folder, NOW)
    prune_backups(folder, newest)
    assert newest.path.exists()


def test_a_damaged_backup_is_set_aside_and_does_not_count(folder: Path) -> None:
    damaged = write_backup(folder, NOW - timedelta(days=1)).path
    damaged.write_bytes(b"dumb")
    pruned = prune_backups(folder, write_backup(folder, NOW))
    assert pruned.damaged == [folder / f"{damaged.name}.damaged"]
    assert list_backups(folder) == [rotation.make_file_name(NOW)]


@given(MOMENTS)
def test_the_newest_backup_is_always_kept_and_no_more_than_the_rules_say(
    moments: list[datetime],
) -> None:
    kept = rotation.choose_kept(moments)
    assert kept <= set(moments)
    assert not moments or max(moments) in kept
    assert len(kept) <= rotation.DAILY + rotation.WEEKLY + rotation.MONTHLY
    assert rotation.choose_kept(kept) == kept  # pruning twice prunes nothing more


@pytest.mark.parametrize(
    ("days", "kept"),
    [
        (range(10), {0, 1, 2, 3, 4, 5, 6}),
        ([0, 30, 60, 90, 120, 150, 180], {0, 30, 60, 90, 120, 150}),
    ],
)
def test_days_without_a_backup_do_not_count(days: Iterable[int], kept: set[int]) -> None:
    found = rotation.choose_kept(NOW - timedelta(days=day) for day in days)
    assert kept <= {(NOW - at).days for at in found}


def test_only_file_names_of_backups_are_parsed() -> None:
    assert rotation.parse_file_name(rotation.make_file_name(NOW)) == NOW
    for name in ("family.zip", "market-sentinel-20269999T999999Z.zip", "market-sentinel.zip"):
        assert rotation.parse_file_name(name) is None
