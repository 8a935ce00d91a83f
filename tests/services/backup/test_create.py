"""Creating backups: each one is restored on trial and compared before it counts."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

import verify_db
from safe_zone import ROOT, Settings
from sentinel.errors import SentinelError, StorageUnavailable
from sentinel.storage import schema, service_status
from sentinel.storage.connection import Connection, Session, open_connection, parse_address
from services.backup import checksums, create, dump, report, rotation, verification
from services.backup.create import create_backup, make_verified_backup
from services.backup.locks import lock_backups
from services.backup.manifest import BackupFailed, BackupFile
from services.settings import MonitorSettings
from tests.conftest import NOW, FreshDatabase
from tests.services.backup.conftest import (
    flip_a_byte,
    list_backups,
    lose_a_row,
    pointing_at,
    truncate,
)
from tests.services.backup.test_rotation import write_backup
from tests.support.monitor import Target, load

pytestmark = pytest.mark.before_first_run


def test_a_backup_is_a_dump_with_a_manifest_of_its_contents(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert create_backup(monitor, folder, NOW) == 0
    [name] = list_backups(folder)
    assert name == "market-sentinel-20261120T120030Z.zip"
    content = json.loads((folder / f"{name}.json").read_text())
    assert sum(rows for rows, _ in content["contents"]["days"].values()) == 120
    assert "120 observations" in capsys.readouterr().out
    assert not list(folder.glob("*.partial"))
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600  # it holds a portfolio
    with open_connection(filled.address()) as connection:
        found = service_status.read_backup_status(connection)
    assert found
    assert (found.verified_at, found.rows, found.problem) == (NOW, 120, None)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be two users")
def test_a_backup_that_root_makes_belongs_to_the_owner_of_its_folder(
    monitor: MonitorSettings, folder: Path
) -> None:
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    create_backup(monitor, folder, NOW)
    assert {path.stat().st_uid for path in folder.iterdir()} == {65534}


def write_older_backups(database: FreshDatabase, folder: Path, days: int) -> list[BackupFile]:
    """Write backups of this database without its rows, one a day, the newest first."""
    name = create.describe_database(database.address())
    [(identity,)] = database.query(create.READ_IDENTITY)
    moments = [NOW - timedelta(days=day) for day in range(1, days + 1)]
    return [write_backup(folder, at, name, UUID(str(identity))) for at in moments]


def _damage_each_dump(monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]) -> None:
    def write_damaged(connection: Connection, path: Path) -> None:
        dump.write_dump(connection, path)
        damage(path)

    monkeypatch.setattr(create, "write_dump", write_damaged)


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, lose_a_row])
def test_a_damaged_dump_fails_with_a_message_and_deletes_no_older_backup(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    folder: Path,
    target: Target,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], None],
) -> None:
    write_older_backups(filled, folder, days=12)  # more daily backups than the rules keep
    before = list_backups(folder)
    _damage_each_dump(monkeypatch, damage)
    with pytest.raises(BackupFailed):
        create_backup(monitor, folder, NOW)
    assert list_backups(folder) == before
    [message] = target.messages
    assert "backup failed" in message
    assert "No older backup was deleted" in message
    with open_connection(filled.address()) as connection:
        found = service_status.read_backup_status(connection)
        health = verify_db.examine(connection, monitor.settings, NOW)
    assert found
    assert found.problem
    assert found.verified_at is None
    assert any("The last backup failed" in problem for problem in health.problems)


def test_after_a_verified_backup_older_ones_are_pruned_and_damaged_ones_reported(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path, target: Target
) -> None:
    oldest = write_older_backups(filled, folder, days=39)[-1]
    oldest.path.write_bytes(b"dumb")
    assert create_backup(monitor, folder, NOW) == 0
    assert len(list_backups(folder)) == 10
    assert (folder / f"{oldest.path.name}.damaged").exists()
    assert "damaged" in target.messages[0]


def test_a_database_made_anew_at_the_same_address_prunes_no_backup_of_the_lost_one(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    older = write_older_backups(filled, folder, days=39)
    with open_connection(filled.address()) as connection:
        schema.drop_schema(connection)
    load(filled.address(), [(NOW, "bitcoin", 1.0)], NOW)
    assert create_backup(monitor, folder, NOW) == 0
    assert all(backup.path.exists() for backup in older)


@pytest.mark.parametrize("has_schema", [False, True])
def test_a_backup_of_an_empty_database_fails(
    monitor: MonitorSettings, fresh: FreshDatabase, folder: Path, target: Target, has_schema: bool
) -> None:
    if has_schema:
        with open_connection(fresh.address()) as connection:
            schema.apply_migrations(connection)
    with pytest.raises(BackupFailed, match="an empty dump is no backup"):
        create_backup(pointing_at(monitor, fresh.url), folder, NOW)
    assert list_backups(folder) == []
    assert len(target.messages) == 1


def test_a_backup_to_a_full_disk_fails_with_a_message(
    monitor: MonitorSettings, tmp_path: Path, target: Target
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(small)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        with pytest.raises(BackupFailed, match="No space left"):
            create_backup(monitor, small, NOW)
        assert list_backups(small) == []
        assert not list(small.glob("*.partial"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert "No space left" in target.messages[0]


def test_a_scratch_database_that_cannot_be_created_is_reported(
    monitor: MonitorSettings, folder: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = f"{verification.CREATE_SCRATCH} TABLESPACE on_a_full_disk"
    monkeypatch.setattr(verification, "CREATE_SCRATCH", statement)
    with pytest.raises(BackupFailed, match=r"cannot be restored on trial: .*on_a_full_disk"):
        create_backup(monitor, folder, NOW)
    assert "on_a_full_disk" in target.messages[0]
    assert not list(folder.glob("*.partial"))


def test_an_unreachable_database_is_reported_without_the_outbox(
    server_dir: Path, folder: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "Session", partial(Session, sleep=lambda _: None))
    settings = Settings(
        database_url="postgresql://me:hunter2@127.0.0.1:9/market", state_dir=server_dir
    )
    monitor = MonitorSettings(settings=settings, alert_urls=(target.url,))
    with pytest.raises(SentinelError) as raised:
        create_backup(monitor, folder, NOW)
    assert raised.value.exit_code == 4
    assert "hunter2" not in str(raised.value) + target.messages[0]


def test_a_process_that_writes_meanwhile_does_not_fail_the_backup(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    stop = threading.Event()

    def write() -> None:
        for n in range(1, 10_000):
            if stop.is_set():
                return
            at = NOW + timedelta(seconds=n)
            load(filled.address(), [(at, "bitcoin", 1.0 * n)], NOW)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert create_backup(monitor, folder, NOW) == 0
    finally:
        stop.set()
        writer.join()


def test_no_purge_drops_a_day_that_the_snapshot_lists(
    filled: FreshDatabase, server_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_after_a_purge(connection: Connection) -> checksums.DatabaseContents:
        connection.execute("SELECT 1")  # takes the snapshot
        with pytest.raises(psycopg.errors.LockNotAvailable):
            filled.query("SET lock_timeout = '9ms'; DROP TABLE sentinel.observations_20261120")
        return checksums.read_contents(connection)

    monkeypatch.setattr(create, "_read_contents", lambda c, _: read_after_a_purge(c))
    folder.mkdir()
    backup = make_verified_backup(filled.address(), folder, server_dir, NOW)
    assert backup.manifest.contents.observations == 120


def test_an_index_of_the_user_does_not_stop_backups_but_a_table_of_theirs_does(
    filled: FreshDatabase, server_dir: Path, folder: Path
) -> None:
    """A restore would lose the rows of a table that no migration creates."""
    folder.mkdir()
    filled.query("CREATE INDEX ON sentinel.observations (observed_at)")
    assert make_verified_backup(filled.address(), folder, server_dir, NOW)
    filled.query("CREATE TABLE sentinel.notes (note text)")
    with pytest.raises(BackupFailed, match=r"sentinel\.notes.*move tables"):
        make_verified_backup(filled.address(), folder, server_dir, NOW)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("", "permission denied for sequence"),
        (
            "GRANT SELECT ON ALL SEQUENCES IN SCHEMA sentinel TO reader;"
            "ALTER TABLE sentinel.transactions ENABLE ROW LEVEL SECURITY",
            "row-level security policy",
        ),
    ],
)
def test_a_user_who_may_not_read_everything_gets_no_backup(
    filled: FreshDatabase, server_dir: Path, folder: Path, more: str, reason: str
) -> None:
    """The copy of a part would equal itself after the trial restore."""
    folder.mkdir()
    filled.query(
        "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA sentinel TO reader;"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA sentinel TO reader; {more}"
    )
    address = parse_address(psycopg.conninfo.make_conninfo(filled.url, user="reader"))
    try:
        with pytest.raises(StorageUnavailable, match=reason):
            make_verified_backup(address, folder, server_dir, NOW)
    finally:
        filled.query("DROP OWNED BY reader; DROP ROLE reader")


def test_output_settings_of_the_user_do_not_reach_the_dump(
    filled: FreshDatabase, server_dir: Path, folder: Path
) -> None:
    folder.mkdir()
    options = "-c datestyle=german -c timezone=Asia/Kathmandu -c extra_float_digits=-10"
    url = psycopg.conninfo.make_conninfo(filled.url, options=options, client_encoding="latin1")
    assert make_verified_backup(parse_address(url), folder, server_dir, NOW)


def test_a_second_backup_at_the_same_time_is_refused(
    monitor: MonitorSettings, folder: Path
) -> None:
    with (
        lock_backups(monitor.settings.state_dir),
        pytest.raises(SentinelError, match="Another backup"),
    ):
        create_backup(monitor, folder, NOW)


def test_leftovers_of_a_killed_backup_are_removed_and_other_files_kept(
    filled: FreshDatabase, server: str, server_dir: Path, folder: Path
) -> None:
    folder.mkdir()
    (folder / "market-sentinel-20261119T000000Z.zip.partial").write_bytes(b"half")
    film = folder / "film.mkv.partial"
    film.write_bytes(b"another file")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(verification.CREATE_SCRATCH)
    make_verified_backup(filled.address(), folder, server_dir, NOW)
    assert list_backups(folder) == [rotation.make_file_name(NOW)]
    assert list(folder.glob("*.partial")) == [film]


@pytest.mark.slow
def test_the_script_works_from_any_folder_and_hides_the_password(
    filled: FreshDatabase, server_dir: Path, tmp_path: Path
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"{filled.url} password=hunter2",
        "SENTINEL_STATE_DIR": str(server_dir),
    }
    done = subprocess.run(
        [ROOT / "backup_db.sh", "here"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [name] = list_backups(tmp_path / "here")
    assert "hunter2" not in done.stdout + done.stderr
    refused = subprocess.run(
        [ROOT / "restore_db.sh", f"here/{name}"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert refused.returncode == 2
    assert "Nothing was restored" in refused.stderr


def test_a_dump_bypasses_neons_pooler() -> None:
    pooled = parse_address("postgresql://u:p@ep-cool-1-pooler.eu.aws.neon.tech/db")
    assert "host=ep-cool-1.eu.aws.neon.tech" in verification.bypass_pooler(pooled).conninfo
    other = parse_address("postgresql://u:p@my-pooler.example.org/db")
    assert verification.bypass_pooler(other) == other
