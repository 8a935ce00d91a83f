"""Archived days are loaded into the database again."""

from __future__ import annotations

from pathlib import Path

import pytest

import archive
from safe_zone import Settings
from sentinel.errors import ArchiveDamaged
from sentinel.storage.connection import Session
from tests.conftest import FreshDatabase
from tests.sentinel.archive.helpers import (
    KEPT,
    SPECIAL_IDS,
    count_rows,
    damage,
    export_days,
    list_files,
    load_rows,
    make_rows,
    open_archive,
)


def _restore(session: Session, settings: Settings) -> tuple[int, int]:
    """Restore all days; returns how many rows were inserted and replaced."""
    opened = open_archive(settings)
    return archive.restore_days(
        session, opened, [file for _, file in sorted(opened.days().items())]
    )


def test_restoring_inserts_a_lost_day_once(
    session: Session, settings: Settings, fresh: FreshDatabase
) -> None:
    load_rows(session, make_rows(KEPT, coins=SPECIAL_IDS), KEPT)
    export_days(session, settings, KEPT.date())
    before = fresh.query("SELECT * FROM stored_rows ORDER BY 1, 6")
    fresh.query("DROP TABLE sentinel.observations_20261118")
    assert _restore(session, settings) == (len(before), 0)
    assert fresh.query("SELECT * FROM stored_rows ORDER BY 1, 6") == before
    assert _restore(session, settings) == (0, 0)


def test_restoring_never_replaces_an_observed_value_by_a_backfilled_one(
    session: Session, settings: Settings, fresh: FreshDatabase
) -> None:
    load_rows(session, make_rows(KEPT, coins=["a"], source="backfilled"), KEPT)
    export_days(session, settings, KEPT.date())
    load_rows(session, make_rows(KEPT, coins=["a"], price=5.0), KEPT)
    assert _restore(session, settings) == (0, 0)
    assert fresh.query("SELECT DISTINCT price, source FROM stored_rows") == [(5.0, "observed")]


def test_restoring_does_not_change_observed_rows_of_the_database(
    session: Session, settings: Settings, fresh: FreshDatabase
) -> None:
    load_rows(session, make_rows(KEPT, coins=["a"]), KEPT)
    export_days(session, settings, KEPT.date())
    load_rows(session, make_rows(KEPT, coins=["a"], price=5.0), KEPT)
    _restore(session, settings)
    assert fresh.query("SELECT DISTINCT price FROM stored_rows") == [(5.0,)]


def test_a_damaged_file_is_not_restored(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    load_rows(session, make_rows(KEPT), KEPT)
    export_days(session, settings, KEPT.date())
    fresh.query("DROP TABLE sentinel.observations_20261118")
    damage(list_files(folder)[0])
    with pytest.raises(ArchiveDamaged):
        _restore(session, settings)
    assert count_rows(fresh, KEPT.date()) == 0
