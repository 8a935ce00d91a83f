"""The purge waits while a day is not archived."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from safe_zone import Settings
from sentinel.archive import export
from sentinel.models import LoadCounts, MarketRow
from sentinel.storage.connection import Session
from tests.conftest import NOW, FreshDatabase
from tests.sentinel.archive.helpers import (
    DAY,
    OLD,
    count_rows,
    damage,
    export_days,
    list_files,
    load_rows,
    make_rows,
    purge,
)


def test_a_purge_waits_while_the_archive_cannot_be_written(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load_rows(session, make_rows(), OLD)
    folder.write_text("in the way")
    assert purge(session, settings) == LoadCounts(inserted=1)
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "the purge of 3 days waits for the archive" in warning.getMessage()
    assert str(folder) in warning.getMessage()
    assert count_rows(fresh) == 12
    assert session.purged_rows == 0


def test_a_run_tries_a_failed_archive_again_after_one_hour(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load_rows(session, make_rows(), OLD)
    folder.write_text("in the way")
    purge(session, settings)
    folder.unlink()
    caplog.clear()
    purge(session, settings, NOW + timedelta(minutes=59))
    assert "waits for the archive" in caplog.text
    assert count_rows(fresh) == 12
    assert not folder.exists()
    caplog.clear()
    purge(session, settings, NOW + timedelta(minutes=61))
    assert not caplog.records
    assert count_rows(fresh) == 0
    assert len(list_files(folder)) == 1


def test_a_purge_waits_if_the_archived_files_are_gone(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load_rows(session, make_rows(), OLD)
    export_days(session, settings, DAY)
    list_files(folder)[0].unlink()
    purge(session, settings)
    assert "holds none of the 1 days that were archived there" in caplog.text
    assert count_rows(fresh) == 12


def test_a_purge_waits_if_the_days_file_is_damaged_and_names_it(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load_rows(session, make_rows(), OLD)
    export_days(session, settings, DAY)
    [path] = list_files(folder)
    damage(path)
    purge(session, settings)
    assert path.name in caplog.text
    assert count_rows(fresh) == 12
    [(problem,)] = fresh.query("SELECT state ->> 'problem' FROM sentinel.service_status")
    assert path.name in problem


def test_a_single_missing_file_is_written_again(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    rows = [*make_rows(), *make_rows(OLD + timedelta(days=1))]
    load_rows(session, rows, OLD)
    export_days(session, settings, DAY, DAY + timedelta(days=1))
    lost = list_files(folder)[0]
    lost.unlink()
    purge(session, settings)
    assert len(list_files(folder)) == 2
    assert lost.exists()
    assert count_rows(fresh) == 0


def test_a_purge_without_a_temporary_folder_keeps_the_rows_of_the_run(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load_rows(session, make_rows(), OLD)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert purge(session, settings) == LoadCounts(inserted=1)
    assert count_rows(fresh) == 12


@pytest.mark.slow
def test_a_locked_day_is_postponed_without_waiting_for_the_lock(
    session: Session,
    settings: Settings,
    fresh: FreshDatabase,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "LOCK_TIMEOUT_SECONDS", 0.1)
    load_rows(session, make_rows(), OLD)
    archive_hook = export.archive_hook(settings)
    assert archive_hook
    with psycopg.connect(fresh.url) as other:
        other.execute("LOCK TABLE sentinel.observations_20260915 IN ACCESS EXCLUSIVE MODE")
        assert session.use(lambda c: archive_hook(c, [OLD.date()], NOW)) == {}
    assert "another process is exporting, or has locked a day" in caplog.text


def test_a_day_is_dropped_even_if_the_database_has_no_space_for_its_record(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    fresh.query(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    )
    fresh.query(
        "CREATE TRIGGER full_disk BEFORE INSERT ON sentinel.archived_days EXECUTE FUNCTION "
        "full_disk()"
    )
    assert purge(session, settings) == LoadCounts(inserted=1)
    assert count_rows(fresh) == 0
    assert len(list_files(folder)) == 1


def test_a_damaged_file_does_not_stop_the_other_days(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    load_rows(session, [*make_rows(), *make_rows(OLD + timedelta(days=1))], OLD)
    export_days(session, settings, DAY)
    damage(list_files(folder)[0])
    purge(session, settings)
    assert count_rows(fresh) == 12
    assert count_rows(fresh, DAY + timedelta(days=1)) == 0


def test_a_failure_recorded_in_the_future_does_not_delay_the_next_attempt(
    session: Session, settings: Settings, fresh: FreshDatabase, folder: Path
) -> None:
    load_rows(session, make_rows(), OLD)
    folder.write_text("in the way")
    purge(session, settings, NOW + timedelta(days=5))
    folder.unlink()
    purge(session, settings, NOW)
    assert count_rows(fresh) == 0


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
        load_rows(session, rows, OLD)
        assert purge(session, settings) == LoadCounts(inserted=1)
        assert count_rows(fresh) == len(rows)
        [(problem,)] = fresh.query("SELECT state ->> 'problem' FROM sentinel.service_status")
        assert "No space left" in problem
        assert [path for path in disk.rglob("*") if path.is_file()] == []
    finally:
        subprocess.run(["umount", disk], check=True)
