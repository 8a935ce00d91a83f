"""Backups: verification by a trial restore, pruning, restoring, and TLS."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import ssl
import stat
import struct
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

import verify_db
from safe_zone import ROOT, Settings
from sentinel import files
from sentinel.errors import ConfigurationError, SentinelError
from sentinel.storage import embedded, schema, service_status
from sentinel.storage.connection import open_connection, parse_address
from services.backup import checksums, manifest, pg_dump, rotation, tls_relay, verification
from services.backup.create import create_backup, describe_database
from services.backup.locks import lock_backups
from services.backup.manifest import BackupFailed
from services.backup.restore import restore_backup
from services.settings import MonitorSettings
from tests.conftest import NOW, FreshDatabase
from tests.support.monitor import Target, listening, load

COINS = ("bitcoin", "ethereum")
pytestmark = pytest.mark.before_first_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def target() -> Iterator[Target]:
    with listening() as listener:
        yield listener


@pytest.fixture
def monitor(fresh: FreshDatabase, server_dir: Path, target: Target) -> MonitorSettings:
    """Settings with the state directory of the tests' server: dumps are verified there."""
    settings = Settings(database_url=fresh.url, state_dir=server_dir)
    return MonitorSettings(settings=settings, alert_urls=(target.url,))


@pytest.fixture
def filled(fresh: FreshDatabase) -> FreshDatabase:
    prices = [
        (NOW - timedelta(hours=hour), coin, 100.0 + hour) for coin in COINS for hour in range(60)
    ]
    load(fresh.address(), prices, NOW)
    return fresh


def _backups(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.dump"))


def _days(database: FreshDatabase) -> list[tuple[object, ...]]:
    return database.query(
        "SELECT observed_at::date, count(*), md5(string_agg(o::text, '' ORDER BY o::text)) "
        "FROM sentinel.observations o GROUP BY 1 ORDER BY 1"
    )


def _filter_pg_dump(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, filter_: str) -> None:
    """Pipe the output of pg_dump through a shell filter."""
    real = embedded.program("pg_dump")
    script = tmp_path / "pg_dump"
    script.write_text(f'#!/bin/bash\nset -o pipefail\n"{real}" "$@" | {filter_}\n')
    script.chmod(0o755)
    programs = {"pg_dump": script}
    monkeypatch.setattr(
        pg_dump, "program", lambda name: programs.get(name) or embedded.program(name)
    )


FLIP = """python3 -c "
import sys
data = bytearray(sys.stdin.buffer.read())
data[data.rindex(b'\\x78\\x9c') + 40] ^= 1
sys.stdout.buffer.write(data)" """


def test_a_backup_is_a_dump_with_a_manifest_of_its_contents(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert create_backup(monitor, folder, NOW) == 0
    [name] = _backups(folder)
    assert name == "market-sentinel-20261120T120030Z.dump"
    content = json.loads((folder / f"{name}.json").read_text())
    assert sum(rows for rows, _ in content["contents"]["days"].values()) == 120
    assert "120 observations" in capsys.readouterr().out
    assert not list(folder.glob("*.partial"))
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600  # it holds a portfolio
    with open_connection(filled.address()) as connection:
        found = service_status.read_backup_status(connection)
    assert found
    assert (found.verified_at, found.rows, found.problem) == (NOW, 120, None)


@pytest.mark.parametrize("filter_", ["head -c 9000", FLIP], ids=["truncated", "a byte flipped"])
def test_a_damaged_dump_fails_with_a_message_and_deletes_no_older_backup(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    folder: Path,
    target: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    filter_: str,
) -> None:
    for day in range(12):  # more daily backups than the rules keep
        _old_backup(folder, NOW - timedelta(days=12 - day), describe_database(filled.address()))
    before = _backups(folder)
    with monkeypatch.context() as patch:
        _filter_pg_dump(patch, tmp_path, filter_)
        with pytest.raises(BackupFailed):
            create_backup(monitor, folder, NOW)
    assert _backups(folder) == before
    [message] = target.messages
    assert "backup failed" in message
    assert "No older backup was deleted" in message
    with open_connection(filled.address()) as connection:
        found = service_status.read_backup_status(connection)
        health = verify_db.examine(connection, NOW, timedelta(minutes=15), 1e9)
    assert found
    assert found.problem
    assert found.verified_at is None
    assert any("the last backup failed" in problem for problem in health.problems)


def _old_backup(folder: Path, at: datetime, database: str) -> None:
    """Write a valid backup of that time without running pg_dump, which takes a second."""
    folder.mkdir(parents=True, exist_ok=True)
    dump = folder / rotation.make_file_name(at)
    dump.write_bytes(b"dump")
    empty = checksums.DatabaseContents("", {}, {}, None)
    made = manifest.BackupManifest(at, database, manifest.compute_sha256(dump), 4, empty)
    manifest.write_manifest(manifest.BackupFile(dump, made))


def test_after_a_verified_backup_older_ones_are_pruned_by_the_rules(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    for day in range(1, 40):
        _old_backup(folder, NOW - timedelta(days=day), describe_database(filled.address()))
    create_backup(monitor, folder, NOW)
    kept = [rotation.parse_file_name(name) for name in _backups(folder)]
    assert NOW in kept
    days = [(NOW - at).days for at in kept if at]
    # Seven days, then the newest of each earlier week and month.
    assert sorted(days) == [0, 1, 2, 3, 4, 5, 6, 12, 19, 20]
    assert len(list(folder.glob("*.json"))) == len(kept)


@pytest.mark.usefixtures("filled")
def test_a_damaged_older_backup_is_set_aside_with_a_message(
    monitor: MonitorSettings, folder: Path, target: Target
) -> None:
    at = NOW - timedelta(days=1)
    _old_backup(folder, at, "mine")
    (folder / rotation.make_file_name(at)).write_bytes(b"dumb")
    assert create_backup(monitor, folder, NOW) == 0
    assert _backups(folder) == [rotation.make_file_name(NOW)]
    assert (folder / f"{rotation.make_file_name(at)}.damaged").exists()
    assert "damaged" in target.messages[0]


@pytest.mark.usefixtures("filled")
def test_other_files_and_backups_of_other_databases_are_kept(
    monitor: MonitorSettings, folder: Path
) -> None:
    folder.mkdir()
    film = folder / "film.mkv.partial"
    film.write_bytes(b"another file")
    for day in range(1, 40):
        _old_backup(folder, NOW - timedelta(days=day), "another database")
    create_backup(monitor, folder, NOW)
    assert film.exists()
    assert len(_backups(folder)) == 40  # the rules count each database on its own


def test_the_newest_backup_is_kept_even_if_older_ones_have_later_times(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    for day in range(20):
        _old_backup(
            folder, NOW + timedelta(days=400 + 40 * day), describe_database(filled.address())
        )
    create_backup(monitor, folder, NOW)
    assert rotation.make_file_name(NOW) in _backups(folder)


@pytest.mark.parametrize("has_schema", [False, True])
def test_a_backup_of_an_empty_database_fails(
    monitor: MonitorSettings, fresh: FreshDatabase, folder: Path, target: Target, has_schema: bool
) -> None:
    if has_schema:
        with open_connection(fresh.address()) as connection:
            schema.apply_migrations(connection)
    with pytest.raises(BackupFailed, match="an empty dump is no backup"):
        create_backup(monitor, folder, NOW)
    assert _backups(folder) == []
    assert len(target.messages) == 1


@pytest.mark.usefixtures("filled")
def test_a_backup_to_a_full_disk_fails_with_a_message(
    monitor: MonitorSettings, tmp_path: Path, target: Target
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(small)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        with pytest.raises(BackupFailed, match="No space left"):
            create_backup(monitor, small, NOW)
        assert _backups(small) == []
        assert not list(small.glob("*.partial"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert "No space left" in target.messages[0]


@pytest.mark.slow
def test_an_unreachable_database_is_reported_without_the_outbox(
    server_dir: Path, folder: Path, target: Target
) -> None:
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


@pytest.mark.slow
def test_a_restore_brings_back_every_day_of_the_backup(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = _days(filled)
    create_backup(monitor, folder, NOW)
    load(filled.address(), [(NOW + timedelta(days=3), "dogecoin", 1.0)], NOW)
    filled.query(
        "UPDATE sentinel.observations SET price_usd = price_usd * 2 WHERE observed_at < %s", NOW
    )
    assert _days(filled) != before
    [name] = _backups(folder)
    code = restore_backup(monitor, folder / name, should_confirm=False, should_back_up=True)
    assert code == 0
    assert _days(filled) == before
    assert len(_backups(folder)) == 2  # the stored data is backed up first
    assert "the same observations" in capsys.readouterr().out
    load(
        filled.address(), [(NOW + timedelta(hours=1), "bitcoin", 1.0)], NOW
    )  # the database still accepts rows


@pytest.mark.slow
@pytest.mark.usefixtures("filled")
def test_a_portfolio_without_prices_is_backed_up_first_too(
    monitor: MonitorSettings, fresh: FreshDatabase, folder: Path
) -> None:
    create_backup(monitor, folder, NOW)
    [name] = _backups(folder)
    fresh.query("TRUNCATE sentinel.observations")
    fresh.query(
        "INSERT INTO sentinel.transactions (made_at, coin_id, quantity, price_usd, fee_usd, note) "
        "VALUES (now(), 'bitcoin', 1, 1, 0, '')"
    )
    restore_backup(monitor, folder / name, should_confirm=False, should_back_up=True)
    assert len(_backups(folder)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("source", ["market_data", "sentinel.coins"])
def test_a_restore_is_refused_while_a_view_of_another_application_reads_our_tables(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path, source: str
) -> None:
    create_backup(monitor, folder, NOW)
    [name] = _backups(folder)
    filled.query(f"CREATE SCHEMA app; CREATE VIEW app.v AS SELECT coin_id FROM {source}")
    filled.query("UPDATE sentinel.observations SET price_usd = 7")
    before = _days(filled)
    with pytest.raises(BackupFailed, match=r"other objects depend on.*app\.v"):
        restore_backup(monitor, folder / name, should_confirm=False, should_back_up=False)
    assert _days(filled) == before


@pytest.mark.slow
def test_a_restore_keeps_tables_of_other_applications_and_recreates_the_view(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    create_backup(monitor, folder, NOW)
    [name] = _backups(folder)
    before = _days(filled)
    filled.query("CREATE TABLE public.invoices AS SELECT 1 AS n")
    filled.query("UPDATE sentinel.observations SET price_usd = 7")
    restore_backup(monitor, folder / name, should_confirm=False, should_back_up=False)
    assert _days(filled) == before
    assert filled.query("SELECT n FROM public.invoices") == [(1,)]
    assert filled.query("SELECT count(*) >= 0 FROM public.market_data") == [(True,)]


def test_a_restore_does_not_replace_tables_of_another_application(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    create_backup(monitor, folder, NOW)
    [name] = _backups(folder)
    filled.query(schema.DROP_SCHEMA)
    filled.query("CREATE SCHEMA sentinel; CREATE TABLE sentinel.coins AS SELECT 7 AS n")
    with pytest.raises(ConfigurationError, match="schema sentinel of another program"):
        restore_backup(monitor, folder / name, should_confirm=False, should_back_up=True)
    with pytest.raises(BackupFailed, match="tables of another application"):
        pg_dump.restore_dump(folder / name, filled.address())
    assert filled.query("SELECT n FROM sentinel.coins") == [(7,)]


def test_a_backup_of_an_older_schema_is_restored_and_then_migrated(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create_backup(monitor, folder, NOW)
    [name] = _backups(folder)
    migration = tmp_path / "new.sql"
    migration.write_text("CREATE TABLE sentinel.notes (note text)")
    newer = {**schema.migrations(), schema.latest_version() + 1: migration}
    monkeypatch.setattr(schema, "migrations", lambda: newer)
    restore_backup(monitor, folder / name, should_confirm=False, should_back_up=False)
    assert filled.query("SELECT count(*) FROM sentinel.notes") == [(0,)]
    assert filled.query("SELECT count(*) >= 0 FROM public.market_data") == [(True,)]


def test_a_restore_is_refused_where_another_program_has_a_table_market_data(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    create_backup(monitor, folder, NOW)
    [name] = _backups(folder)
    filled.query(schema.DROP_SCHEMA)
    filled.query("CREATE TABLE market_data (price numeric)")
    with pytest.raises(ConfigurationError, match="of another program"):
        restore_backup(monitor, folder / name, should_confirm=False, should_back_up=True)
    assert filled.query("SELECT to_regnamespace('sentinel')") == [(None,)]


@pytest.mark.slow
def test_a_damaged_database_can_be_replaced_without_a_backup_of_it(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    before = _days(filled)
    create_backup(monitor, folder, NOW)
    [name] = _backups(folder)
    filled.query("ALTER TABLE sentinel.observations RENAME COLUMN observed_at TO seen_at")
    filled.query("DROP TABLE sentinel.transactions")
    filled.query("ALTER TABLE sentinel.coins RENAME TO coins_gone")
    with pytest.raises(SentinelError):
        restore_backup(monitor, folder / name, should_confirm=False, should_back_up=True)
    filled.query("DROP TABLE sentinel.coins_gone CASCADE")
    restore_backup(monitor, folder / name, should_confirm=False, should_back_up=False)
    assert _days(filled) == before


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["flip", "cut", "manifest gone", "manifest nonsense"])
def test_a_damaged_backup_restores_nothing(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path, harm: str
) -> None:
    create_backup(monitor, folder, NOW)
    [name] = _backups(folder)
    dump = folder / name
    content = bytearray(dump.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
        dump.write_bytes(content)
    elif harm == "cut":
        dump.write_bytes(content[:-100])
    elif harm == "manifest gone":
        manifest.manifest_path(dump).unlink()
    else:
        manifest.manifest_path(dump).write_text("{}")
    before = _days(filled)
    with pytest.raises(BackupFailed):
        restore_backup(monitor, dump, should_confirm=False, should_back_up=False)
    assert _days(filled) == before


def test_a_restore_that_fails_halfway_changes_nothing(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    """The dump is truncated so late that pg_restore has already written most of its SQL."""
    create_backup(monitor, folder, NOW)
    [name] = _backups(folder)
    cut = folder / "cut.dump"
    content = (folder / name).read_bytes()
    cut.write_bytes(content[: len(content) - 3000])
    before = _days(filled)
    with pytest.raises(BackupFailed):
        pg_dump.restore_dump(cut, filled.address())
    assert _days(filled) == before


@pytest.mark.usefixtures("filled")
def test_a_restore_is_refused_while_a_monitor_runs(monitor: MonitorSettings, folder: Path) -> None:
    create_backup(monitor, folder, NOW)
    [name] = _backups(folder)
    with (
        files.try_lock(monitor.settings.state_dir / "monitor"),
        pytest.raises(SentinelError, match="stop it first"),
    ):
        restore_backup(monitor, folder / name, should_confirm=False, should_back_up=True)


def test_a_second_backup_at_the_same_time_is_refused(
    monitor: MonitorSettings, folder: Path
) -> None:
    with (
        lock_backups(monitor.settings.state_dir),
        pytest.raises(SentinelError, match="Another backup"),
    ):
        create_backup(monitor, folder, NOW)


@pytest.mark.usefixtures("filled")
def test_leftovers_of_a_killed_backup_are_removed(monitor: MonitorSettings, folder: Path) -> None:
    folder.mkdir()
    (folder / "market-sentinel-20261119T000000Z.dump.partial").write_bytes(b"half")
    (folder / "market-sentinel-20261118T000000Z.dump").write_bytes(b"without a manifest")
    with psycopg.connect(_server_of(monitor), autocommit=True) as connection:
        connection.execute(verification.CREATE_SCRATCH)
    create_backup(monitor, folder, NOW)
    assert _backups(folder) == [rotation.make_file_name(NOW)]
    assert not list(folder.glob("*.partial"))


def _server_of(monitor: MonitorSettings) -> str:
    with embedded.ensure_running(monitor.settings.state_dir) as conninfo:
        return conninfo


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
    [name] = _backups(tmp_path / "here")
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
    assert "host=ep-cool-1.eu.aws.neon.tech" in pg_dump.bypass_pooler(pooled).conninfo
    other = parse_address("postgresql://u:p@my-pooler.example.org/db")
    assert pg_dump.bypass_pooler(other) == other


FIRST, LAST = (datetime.fromisoformat(text) for text in ("2025-01-01", "2027-01-01"))
MOMENTS = st.lists(st.datetimes(FIRST, LAST, timezones=st.just(UTC)), max_size=60)


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
def test_days_without_a_backup_do_not_count(days: list[int], kept: set[int]) -> None:
    found = rotation.choose_kept(NOW - timedelta(days=day) for day in days)
    assert kept <= {(NOW - at).days for at in found}


def test_only_file_names_of_backups_are_parsed() -> None:
    assert rotation.parse_file_name(rotation.make_file_name(NOW)) == NOW
    for name in ("family.dump", "market-sentinel-20269999T999999Z.dump", "market-sentinel.dump"):
        assert rotation.parse_file_name(name) is None


@pytest.mark.slow
def test_a_million_rows_are_restored_and_every_flipped_bit_is_detected(
    monitor: MonitorSettings, fresh: FreshDatabase, folder: Path
) -> None:
    coins = [f"coin-{n}" for n in range(200)]
    prices = [
        (NOW - timedelta(minutes=n), coin, 1.0 + n / 7) for n in range(5_000) for coin in coins
    ]
    load(fresh.address(), prices, NOW)
    before = _days(fresh)
    create_backup(monitor, folder, NOW)
    [name] = _backups(folder)
    content = (folder / name).read_bytes()
    dice = random.Random(7)
    for place in [0, len(content) - 1, *(dice.randrange(len(content)) for _ in range(10))]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << dice.randrange(8)
        (folder / name).write_bytes(damaged)
        with pytest.raises(BackupFailed):
            manifest.check_backup(folder / name)
    (folder / name).write_bytes(content)
    fresh.query("TRUNCATE sentinel.observations")
    restore_backup(monitor, folder / name, should_confirm=False, should_back_up=False)
    assert _days(fresh) == before


# --- over TLS --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "server.crt", folder / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files_ = ["-out", str(paths[0]), "-keyout", str(paths[1])]
    done = subprocess.run([*command, *names, *files_], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("making a certificate needs openssl")
    return paths


@pytest.fixture
def tls_port(certificate: tuple[Path, Path], filled: FreshDatabase) -> Iterator[int]:
    """A port on which the tests' server accepts only TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    parts = psycopg.conninfo.conninfo_to_dict(filled.url)
    inner = f"{parts['host']}/.s.PGSQL.{parts['port']}"

    def serve(raw: socket.socket) -> None:
        with contextlib.suppress(OSError), raw:
            assert raw.recv(8) == tls_relay.SSL_REQUEST
            raw.sendall(b"S")
            with (
                context.wrap_socket(raw, server_side=True) as outer,
                socket.socket(socket.AF_UNIX) as back,
            ):
                back.connect(inner)
                threading.Thread(
                    target=tls_relay._copy_bytes, args=(back, outer), daemon=True
                ).start()
                tls_relay._copy_bytes(outer, back)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    raw, _ = listener.accept()
                    threading.Thread(target=serve, args=(raw,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _over_tls(
    monitor: MonitorSettings, filled: FreshDatabase, port: int, query: str
) -> MonitorSettings:
    name = psycopg.conninfo.conninfo_to_dict(filled.url)["dbname"]
    url = f"postgresql://postgres@127.0.0.1:{port}/{name}?{query}"
    return replace(monitor, settings=replace(monitor.settings, database_url=url))


@pytest.mark.slow
@pytest.mark.parametrize("query", ["sslmode=require", "sslmode=verify-full&sslrootcert={}"])
def test_a_database_that_requires_tls_is_backed_up_and_restored_over_tls(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    folder: Path,
    tls_port: int,
    certificate: tuple[Path, Path],
    query: str,
) -> None:
    own = _over_tls(monitor, filled, tls_port, query.format(certificate[0]))
    before = _days(filled)
    assert create_backup(own, folder, NOW) == 0
    filled.query("UPDATE sentinel.observations SET price_usd = 7")
    [name] = _backups(folder)
    assert restore_backup(own, folder / name, should_confirm=False, should_back_up=False) == 0
    assert _days(filled) == before


def test_a_server_with_an_untrusted_certificate_is_refused(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path, tls_port: int
) -> None:
    address = _over_tls(monitor, filled, tls_port, "sslmode=verify-full&sslrootcert=system")
    url = address.settings.database_url
    assert url
    with tls_relay.relay_tls(parse_address(url)) as plain, pytest.raises(BackupFailed) as raised:
        pg_dump.dump_database(plain, "00000003-00000001-1", folder.parent / "x.dump")
    assert "certificate" in str(raised.value).lower()


def test_the_relay_removes_the_offer_of_channel_binding() -> None:
    """Servers with TLS and SCRAM offer it; a client without TLS refuses it."""
    offer = struct.pack("!i", 10) + b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
    hello = b"R" + struct.pack("!i", len(offer) + 4) + offer
    authenticated = b"R" + struct.pack("!ii", 8, 0) + b"ZZZ"
    server, outside = socket.socketpair()
    inside, client = socket.socketpair()
    server.sendall(hello + authenticated)
    server.close()
    tls_relay._forward_authentication(outside, inside)
    plain = struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0"
    expected = b"R" + struct.pack("!i", len(plain) + 4) + plain + authenticated
    assert client.recv(4096) == expected
    for one in (outside, inside, client):
        one.close()


def test_a_server_without_tls_is_refused_if_sslmode_requires_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def refuse() -> None:
            raw, _ = listener.accept()
            with raw:
                raw.recv(8)
                raw.sendall(b"N")

        threading.Thread(target=refuse, daemon=True).start()
        url = f"postgresql://me:hunter2@127.0.0.1:{port}/x?sslmode=require"
        with (
            tls_relay.relay_tls(parse_address(url)) as plain,
            pytest.raises(BackupFailed, match="does not offer it") as raised,
        ):
            pg_dump.dump_database(plain, "00000003-00000001-1", tmp_path / "x.dump")
        assert "hunter2" not in str(raised.value)
