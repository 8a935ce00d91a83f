"""An archive in an object store."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from safe_zone import Settings
from sentinel.archive import day_file, status
from sentinel.archive.store import Archive
from sentinel.errors import ArchiveUnavailable
from sentinel.models import LoadCounts
from sentinel.storage.connection import Session
from tests.conftest import NOW, FreshDatabase
from tests.sentinel.archive.helpers import (
    DAY,
    OLD,
    ArchiveCommand,
    count_rows,
    damage,
    export_days,
    load_rows,
    make_rows,
    open_archive,
    purge,
    read_points,
    to_points,
    today_midnight,
)
from tests.support.object_store import ObjectStore


def list_days(bucket: ObjectStore) -> list[str]:
    return [key for key in bucket.objects if "/observations-" in key]


@pytest.mark.slow
def test_a_day_in_an_object_store_is_downloaded_once(
    session: Session, remote: Settings, bucket: ObjectStore, fresh: FreshDatabase
) -> None:
    load_rows(session, make_rows(), OLD)
    purge(session, remote)
    assert count_rows(fresh) == 0
    [name] = list_days(bucket)
    content = bucket.objects[name]
    assert name.startswith(
        "bucket/market/days/observations/month=2026-09/observations-2026-09-15-12-"
    )
    assert hashlib.sha256(content).hexdigest() in name
    assert read_points(session, remote, OLD, NOW) == to_points(make_rows())
    bucket.requests.clear()
    assert read_points(session, remote, OLD, NOW) == to_points(make_rows())
    assert bucket.downloads == []


def test_files_are_downloaded_in_parallel(folder: Path) -> None:
    content = b"a day's rows"
    digest = hashlib.sha256(content).hexdigest()
    files = [day_file.DayFile(DAY + timedelta(days=n), 1, digest) for n in range(4)]
    stored = {file.path: content for file in files}
    all_asked = threading.Barrier(len(files))

    class Slow(Archive):
        """A store that responds only after it was asked for every file."""

        def _read(self, name: str, _max_bytes: int | None = None) -> bytes:
            all_asked.wait(30)
            return stored[name]

    paths = Slow("s3://bucket/days", None, folder).fetch_all(files)
    assert [path.name for path in paths] == [file.name for file in files]


@pytest.mark.slow
def test_a_damaged_cached_copy_is_downloaded_again(
    session: Session, remote: Settings, bucket: ObjectStore
) -> None:
    load_rows(session, make_rows(), OLD)
    purge(session, remote)
    read_points(session, remote, OLD, NOW)
    [copy] = remote.state_dir.rglob("*.parquet")
    damage(copy)
    bucket.requests.clear()
    assert read_points(session, remote, OLD, NOW) == to_points(make_rows())
    assert len(bucket.downloads) == 1


@pytest.mark.slow
def test_a_changed_day_replaces_its_object(
    session: Session, remote: Settings, bucket: ObjectStore
) -> None:
    load_rows(session, make_rows(), OLD)
    export_days(session, remote, DAY)
    [before] = list_days(bucket)
    load_rows(session, make_rows(coins=["d"]), OLD)
    purge(session, remote)
    [after] = list_days(bucket)
    assert after != before
    assert read_points(session, remote, OLD, NOW, ["a", "b", "c", "d"]) == to_points(
        [*make_rows(), *make_rows(coins=["d"])]
    )


@pytest.mark.slow
def test_an_error_of_the_store_postpones_the_purge(
    session: Session,
    remote: Settings,
    bucket: ObjectStore,
    fresh: FreshDatabase,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load_rows(session, make_rows(), OLD)
    bucket.error_status = (
        503 if bucket.scheme == "s3" else 403
    )  # gcsfs repeats a 503 for half a minute
    assert purge(session, remote) == LoadCounts(inserted=1)
    assert "waits for the archive" in caplog.text
    assert "hunter2" not in caplog.text
    assert count_rows(fresh) == 12
    bucket.error_status = None
    purge(session, remote, NOW + timedelta(hours=1))
    assert count_rows(fresh) == 0


def test_a_store_that_returns_other_bytes_is_an_error(
    session: Session, remote: Settings, bucket: ObjectStore, fresh: FreshDatabase
) -> None:
    load_rows(session, make_rows(), OLD)
    bucket.wrong_content = b"something else"
    with pytest.raises(ArchiveUnavailable, match="returned other bytes"):
        export_days(session, remote, DAY)
    assert fresh.query("SELECT * FROM sentinel.archived_days") == []
    assert purge(session, remote) == LoadCounts(inserted=1)
    assert count_rows(fresh) == 12


@pytest.mark.slow
def test_a_purge_reads_the_store_and_not_the_cached_copy(
    session: Session, remote: Settings, bucket: ObjectStore, fresh: FreshDatabase
) -> None:
    load_rows(session, make_rows(), OLD)
    export_days(session, remote, DAY)
    read_points(session, remote, OLD, NOW)
    bucket.wrong_content = b"something else"
    purge(session, remote)
    assert count_rows(fresh) == 12


def test_a_check_reads_the_store_and_not_the_cached_copies(
    session: Session, remote: Settings, bucket: ObjectStore
) -> None:
    load_rows(session, make_rows(), OLD)
    export_days(session, remote, DAY)
    read_points(session, remote, OLD, NOW)
    bucket.wrong_content = b"something else"
    found = session.use(lambda c: status.examine(c, open_archive(remote), OLD, read_files=True))
    assert [f"bucket/market/days/{path}" for path in found.damaged or ()] == list_days(bucket)


@pytest.mark.slow
def test_the_command_archives_into_an_object_store(
    command: ArchiveCommand, session: Session, bucket: ObjectStore
) -> None:
    today = today_midnight()
    load_rows(session, make_rows(today - timedelta(days=1)), today)
    environment = {"ARCHIVE_URL": f"{bucket.scheme}://bucket/days", **bucket.environment}
    done = command("export", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list_days(bucket)) == 1
    status = command("status", "--check", "--json", **environment)
    assert (status.returncode, json.loads(status.stdout)["rows"]) == (0, 12)
    bucket.error_status = 403  # as with a revoked key
    silent = command("status", **environment)
    assert (silent.returncode, len(silent.stderr.splitlines())) == (4, 1)
