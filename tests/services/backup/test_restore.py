"""Restoring: all of a backup, or nothing."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from sentinel import files
from sentinel.errors import ConfigurationError, SentinelError
from sentinel.storage import embedded_location, retention, schema
from services.backup import manifest
from services.backup.create import make_verified_backup
from services.backup.manifest import BackupFailed
from services.backup.restore import restore_backup
from services.backup.verification import restore_dump, verify_dump
from services.settings import MonitorSettings
from tests.conftest import NOW, FreshDatabase
from tests.services.backup.conftest import (
    change_member,
    flip_a_byte,
    list_backups,
    lose_a_row,
    pointing_at,
    read_days,
    truncate,
)
from tests.support.monitor import load

pytestmark = pytest.mark.before_first_run
DOUBLE_PRICES = "UPDATE sentinel.observations SET price_usd = price_usd * 2"


def _restore(monitor: MonitorSettings, backup: Path, *, should_back_up: bool = False) -> int:
    return restore_backup(monitor, backup, should_confirm=False, should_back_up=should_back_up)


def test_a_restore_brings_back_every_day_and_backs_up_the_stored_data_first(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    backup: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = read_days(filled)
    load(filled.address(), [(NOW + timedelta(days=3), "dogecoin", 1.0)], NOW)
    filled.query(DOUBLE_PRICES)
    assert _restore(monitor, backup, should_back_up=True) == 0
    assert read_days(filled) == before
    assert len(list_backups(backup.parent)) == 2
    assert "the same observations" in capsys.readouterr().out


def test_a_restored_database_accepts_new_rows_under_new_keys(
    monitor: MonitorSettings, filled: FreshDatabase, backup: Path
) -> None:
    filled.query(schema.DROP_SCHEMA)
    _restore(monitor, backup)
    load(filled.address(), [(NOW + timedelta(hours=1), "a-new-coin", 1.0)], NOW)
    assert filled.query("SELECT count(*) FROM sentinel.coins") == [(3,)]
    [(events,)] = filled.query(
        "INSERT INTO sentinel.wallet_events (recorded_at, observed_at, wallet_id, kind, coin_id) "
        "SELECT now(), now(), wallet_id, 'opened', 'ethereum' FROM sentinel.wallets "
        "RETURNING event_id"
    )
    assert events == 3
    assert filled.query("SELECT count(*) >= 0 FROM public.market_data") == [(True,)]


def test_a_portfolio_without_prices_is_backed_up_first_too(
    monitor: MonitorSettings, filled: FreshDatabase, backup: Path
) -> None:
    filled.query("TRUNCATE sentinel.observations")
    _restore(monitor, backup, should_back_up=True)
    assert len(list_backups(backup.parent)) == 2


@pytest.mark.parametrize("source", ["market_data", "sentinel.coins"])
def test_a_restore_is_refused_while_a_view_of_another_application_reads_our_tables(
    monitor: MonitorSettings, filled: FreshDatabase, backup: Path, source: str
) -> None:
    filled.query(f"CREATE SCHEMA app; CREATE VIEW app.v AS SELECT coin_id FROM {source}")
    filled.query(DOUBLE_PRICES)
    before = read_days(filled)
    with pytest.raises(BackupFailed, match=r"other objects depend on.*app\.v"):
        _restore(monitor, backup)
    assert read_days(filled) == before


def test_a_restore_keeps_the_count_of_the_egress(
    monitor: MonitorSettings, filled: FreshDatabase, backup: Path
) -> None:
    """What the month's backups received is not undone by restoring one of them."""
    counted = "INSERT INTO sentinel.egress VALUES (3000, '2026-11-20', 'services.backup')"
    filled.query(counted)
    _restore(monitor, backup)
    assert filled.query("SELECT received_bytes FROM sentinel.egress") == [(3000,)]


def test_a_restore_keeps_tables_of_other_applications(
    monitor: MonitorSettings, filled: FreshDatabase, backup: Path
) -> None:
    before = read_days(filled)
    filled.query("CREATE TABLE public.invoices AS SELECT 1 AS n")
    filled.query(DOUBLE_PRICES)
    _restore(monitor, backup)
    assert read_days(filled) == before
    assert filled.query("SELECT n FROM public.invoices") == [(1,)]


@pytest.mark.parametrize(
    "foreign",
    [
        "CREATE SCHEMA sentinel; CREATE TABLE sentinel.coins AS SELECT 7 AS n",
        "CREATE TABLE market_data (price numeric)",
    ],
)
def test_a_restore_does_not_replace_tables_of_another_application(
    monitor: MonitorSettings, fresh: FreshDatabase, backup: Path, foreign: str
) -> None:
    fresh.query(foreign)
    before = fresh.query("SELECT relname FROM pg_class WHERE relkind = 'r' ORDER BY 1")
    with pytest.raises(ConfigurationError, match="of another program"):
        _restore(pointing_at(monitor, fresh.url), backup, should_back_up=True)
    with pytest.raises(ConfigurationError, match="of another program"):  # nor on its own
        restore_dump(backup, manifest.read_manifest(backup).contents, fresh.address())
    assert fresh.query("SELECT relname FROM pg_class WHERE relkind = 'r' ORDER BY 1") == before


def _know_versions(monkeypatch: pytest.MonkeyPatch, versions: dict[int, Path]) -> None:
    monkeypatch.setattr(schema, "migrations", lambda: versions)


def test_a_backup_of_an_older_schema_is_restored_and_then_migrated(
    fresh: FreshDatabase, server_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    everything = schema.migrations()
    with monkeypatch.context() as patch:  # as of the code before the archive and the wallets
        _know_versions(patch, {n: path for n, path in everything.items() if n <= 6})
        for newer_table in ("egress", "price_targets", "incidents"):
            patch.delitem(retention.DELETE_EXPIRED_ROWS, newer_table)
        load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
        old = make_verified_backup(fresh.address(), folder, server_dir, NOW)
    before = read_days(fresh)
    fresh.query(DOUBLE_PRICES)
    verify_dump(old.path, old.manifest.contents, server_dir)
    restore_dump(old.path, old.manifest.contents, fresh.address())
    assert read_days(fresh) == before
    assert fresh.query("SELECT max(version) FROM sentinel.schema_version") == [(max(everything),)]
    assert fresh.query("SELECT count(*) FROM sentinel.wallets") == [(0,)]


def test_a_backup_of_a_newer_schema_is_refused(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    backup: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = read_days(filled)
    latest = schema.latest_version()
    known = {n: path for n, path in schema.migrations().items() if n < latest}
    _know_versions(monkeypatch, known)
    expected = f"schema version {latest}, this code knows {latest - 1}"
    with pytest.raises(ConfigurationError, match=expected):
        _restore(monitor, backup)
    assert read_days(filled) == before


def test_a_migration_that_fails_after_the_rows_leaves_the_old_data(
    filled: FreshDatabase, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.query(DOUBLE_PRICES)
    before = read_days(filled)
    migration = tmp_path / "new.sql"
    migration.write_text("SELECT 1 / 0")
    _know_versions(monkeypatch, {**schema.migrations(), 99: migration})
    with pytest.raises(BackupFailed, match="division by zero"):
        restore_dump(backup, manifest.read_manifest(backup).contents, filled.address())
    assert read_days(filled) == before


def test_a_damaged_database_can_be_replaced_without_a_backup_of_it(
    monitor: MonitorSettings, filled: FreshDatabase, backup: Path
) -> None:
    before = read_days(filled)
    filled.query("ALTER TABLE sentinel.observations RENAME COLUMN observed_at TO seen_at")
    filled.query("DROP TABLE sentinel.transactions CASCADE")
    filled.query("ALTER TABLE sentinel.coins RENAME TO coins_gone")
    with pytest.raises(SentinelError):
        _restore(monitor, backup, should_back_up=True)
    filled.query("DROP TABLE sentinel.coins_gone CASCADE")
    _restore(monitor, backup)
    assert read_days(filled) == before


def _delete_manifest(dump: Path) -> None:
    manifest.manifest_path(dump).unlink()


def _spoil_manifest(dump: Path) -> None:
    manifest.manifest_path(dump).write_text("{}")


@pytest.mark.parametrize("harm", [flip_a_byte, truncate, _delete_manifest, _spoil_manifest])
def test_a_damaged_backup_restores_nothing(
    monitor: MonitorSettings, filled: FreshDatabase, backup: Path, harm: Callable[[Path], None]
) -> None:
    harm(backup)
    before = read_days(filled)
    with pytest.raises(BackupFailed):
        _restore(monitor, backup)
    assert read_days(filled) == before


def _break_last_row(dump: Path) -> None:
    change_member(dump, "wallet_events.copy", lambda rows: rows + b"not a row\n")


def _lose_header(dump: Path) -> None:
    change_member(dump, "header.json", lambda _: b'{"schema_version": 8, "sequences": {"a": 1}}')


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (flip_a_byte, "the file is damaged"),
        (truncate, "the file is damaged"),
        (_lose_header, "the file is damaged"),
        (_break_last_row, "cannot be restored"),
        (lose_a_row, "table transactions: 1 rows, 2 expected"),
    ],
)
def test_a_restore_that_fails_at_any_point_changes_nothing(
    filled: FreshDatabase, backup: Path, harm: Callable[[Path], None], reason: str
) -> None:
    expected = manifest.read_manifest(backup).contents
    harm(backup)
    filled.query(DOUBLE_PRICES)
    before = read_days(filled)
    with pytest.raises(BackupFailed, match=reason):
        restore_dump(backup, expected, filled.address())
    assert read_days(filled) == before
    assert filled.query("SELECT count(*) > 0 FROM market_data") == [(True,)]


def test_a_restore_is_refused_while_a_monitor_runs(monitor: MonitorSettings, backup: Path) -> None:
    with (
        files.try_lock(monitor.settings.state_dir / "monitor"),
        pytest.raises(SentinelError, match="stop it first"),
    ):
        _restore(monitor, backup, should_back_up=True)


def test_a_dump_of_pg_dump_is_refused_with_the_command_that_restores_it(
    monitor: MonitorSettings, filled: FreshDatabase, fresh: FreshDatabase, folder: Path
) -> None:
    """Earlier versions made such files."""
    folder.mkdir()
    old = folder / "market-sentinel-20261119T000000Z.dump"
    programs = embedded_location.program("pg_dump").parent
    arguments = ["--format=custom", "--schema=sentinel", "--no-owner", "--no-privileges"]
    subprocess.run([programs / "pg_dump", *arguments, f"--file={old}", filled.url], check=True)
    with pytest.raises(ConfigurationError, match=r"python reset_db\.py") as raised:
        _restore(pointing_at(monitor, fresh.url), old)
    _, _, command = str(raised.value).rpartition("newer: ")
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "DATABASE_URL": fresh.url}
    subprocess.run(["sh", "-c", command], check=True, env=environment)
    assert read_days(fresh) == read_days(filled)


def test_without_a_url_that_command_names_the_embedded_server(
    monitor: MonitorSettings, tmp_path: Path
) -> None:
    old = tmp_path / "an old.dump"
    old.write_bytes(b"PGDMP\1\20\0")
    with pytest.raises(ConfigurationError) as raised:
        _restore(pointing_at(monitor, ""), old)
    assert f"{embedded_location.program('pg_restore')} --no-owner" in str(raised.value)
    assert f"--file=- '{old}' | python -m sentinel.storage.embedded" in str(raised.value)


def test_every_flipped_bit_is_detected(backup: Path) -> None:
    content = backup.read_bytes()
    dice = random.Random(7)
    for place in [0, len(content) - 1, *(dice.randrange(len(content)) for _ in range(100))]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << dice.randrange(8)
        backup.write_bytes(damaged)
        with pytest.raises(BackupFailed):
            manifest.check_backup(backup)


@pytest.mark.slow
def test_several_hundred_thousand_rows_are_backed_up_and_restored_on_trial(
    filled: FreshDatabase, server_dir: Path, folder: Path
) -> None:
    folder.mkdir()
    filled.query(
        "INSERT INTO sentinel.observations (observed_at, price_usd, coin_key) "
        "SELECT %s::timestamptz - interval '1 second' * (1 + n), random(), coin_key "
        "FROM generate_series(1, 12000) AS n, generate_series(101, 125) AS coin_key",
        NOW,
    )
    backup = make_verified_backup(filled.address(), folder, server_dir, NOW)
    assert backup.manifest.contents.observations == 300_120
