"""Backups are proven: a dump counts once it was restored and compared, and only then is pruned."""

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
from sentinel.errors import SentinelError
from sentinel.storage import embedded, schema, service_status
from sentinel.storage.connection import open_connection, parse_address
from services.backup import __main__ as backup_command
from services.backup import checksums, pg_dump, rotation, tls_relay, verified_backup
from services.backup import manifest as archive
from services.backup.manifest import BackupFailed
from services.settings import MonitorSettings
from tests.conftest import NOW, FreshDatabase
from tests.support.monitor import Target, listening, load

COINS = ("bitcoin", "ethereum")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def target() -> Iterator[Target]:
    with listening() as listener:
        yield listener


@pytest.fixture
def monitor(fresh: FreshDatabase, server_dir: Path, target: Target) -> MonitorSettings:
    """The state directory is that of the tests' own server: dumps are tried out there."""
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


def _spoil(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, filter_: str) -> None:
    """Let pg_dump's output go through a shell filter before it is written."""
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


def test_a_backup_is_a_dump_with_what_it_holds_beside_it(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert backup_command.back_up(monitor, folder, NOW) == 0
    [name] = _backups(folder)
    assert name == "market-sentinel-20261120T120030Z.dump"
    manifest = json.loads((folder / f"{name}.json").read_text())
    assert sum(rows for rows, _ in manifest["contents"]["days"].values()) == 120
    assert "120 observations" in capsys.readouterr().out
    assert not list(folder.glob("*.partial"))
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600  # a portfolio is in it
    with open_connection(filled.address()) as connection:
        found = service_status.read_backup_status(connection)
    assert found
    assert (found.verified_at, found.rows, found.problem) == (NOW, 120, None)


@pytest.mark.parametrize("filter_", ["head -c 9000", FLIP], ids=["truncated", "a byte flipped"])
def test_a_spoilt_dump_is_no_backup_and_prunes_nothing_and_is_announced(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    folder: Path,
    target: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    filter_: str,
) -> None:
    for day in range(12):  # more than any rule keeps of days
        _old_backup(
            folder, NOW - timedelta(days=12 - day), verified_backup.identity(filled.address())
        )
    before = _backups(folder)
    with monkeypatch.context() as patch:
        _spoil(patch, tmp_path, filter_)
        with pytest.raises(BackupFailed):
            backup_command.back_up(monitor, folder, NOW)
    assert _backups(folder) == before
    [told] = target.messages
    assert "backup failed" in told
    assert "No older backup was deleted" in told
    with open_connection(filled.address()) as connection:
        found = service_status.read_backup_status(connection)
        health = verify_db.examine(connection, NOW, timedelta(minutes=15), 1e9)
    assert found
    assert found.problem
    assert found.verified_at is None
    assert any("the last backup failed" in problem for problem in health.problems)


def _old_backup(folder: Path, at: datetime, database: str) -> None:
    """A sound backup of a moment, without the second that making one takes."""
    folder.mkdir(parents=True, exist_ok=True)
    dump = folder / rotation.name_of(at)
    dump.write_bytes(b"dump")
    empty = checksums.Contents("", {}, {}, None)
    manifest = archive.Manifest(at, database, archive.digest_of(dump), 4, empty)
    archive.write_manifest(archive.BackupFile(dump, manifest))


def test_after_a_proven_backup_the_older_ones_are_pruned_by_the_rules(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    for day in range(1, 40):
        _old_backup(folder, NOW - timedelta(days=day), verified_backup.identity(filled.address()))
    backup_command.back_up(monitor, folder, NOW)
    kept = [rotation.moment_of(name) for name in _backups(folder)]
    assert NOW in kept
    days = [(NOW - at).days for at in kept if at]
    # Seven days, then the newest of each week and month before them.
    assert sorted(days) == [0, 1, 2, 3, 4, 5, 6, 12, 19, 20]
    assert len(list(folder.glob("*.json"))) == len(kept)


@pytest.mark.usefixtures("filled")
def test_an_older_backup_that_rotted_is_set_aside_and_told_of(
    monitor: MonitorSettings, folder: Path, target: Target
) -> None:
    at = NOW - timedelta(days=1)
    _old_backup(folder, at, "mine")
    (folder / rotation.name_of(at)).write_bytes(b"dumb")
    assert backup_command.back_up(monitor, folder, NOW) == 0
    assert _backups(folder) == [rotation.name_of(NOW)]
    assert (folder / f"{rotation.name_of(at)}.damaged").exists()
    assert "damaged" in target.messages[0]


@pytest.mark.usefixtures("filled")
def test_what_is_not_ours_in_the_folder_stays(monitor: MonitorSettings, folder: Path) -> None:
    folder.mkdir()
    film = folder / "film.mkv.partial"
    film.write_bytes(b"somebody else's")
    for day in range(1, 40):
        _old_backup(folder, NOW - timedelta(days=day), "another database")
    backup_command.back_up(monitor, folder, NOW)
    assert film.exists()
    assert len(_backups(folder)) == 40  # each database's own rules


def test_the_backup_just_made_stays_whatever_the_clock_says(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    for day in range(20):
        _old_backup(
            folder, NOW + timedelta(days=400 + 40 * day), verified_backup.identity(filled.address())
        )
    backup_command.back_up(monitor, folder, NOW)
    assert rotation.name_of(NOW) in _backups(folder)


@pytest.mark.parametrize("has_schema", [False, True])
def test_a_dump_of_an_empty_database_is_no_backup(
    monitor: MonitorSettings, fresh: FreshDatabase, folder: Path, target: Target, has_schema: bool
) -> None:
    if has_schema:
        with open_connection(fresh.address()) as connection:
            schema.apply_migrations(connection)
    with pytest.raises(BackupFailed, match="an empty dump is no backup"):
        backup_command.back_up(monitor, folder, NOW)
    assert _backups(folder) == []
    assert len(target.messages) == 1


@pytest.mark.usefixtures("filled")
def test_a_full_disk_is_no_backup_and_is_announced(
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
        pytest.skip("a small disk cannot be mounted here: that takes root")
    try:
        with pytest.raises(BackupFailed, match="No space left"):
            backup_command.back_up(monitor, small, NOW)
        assert _backups(small) == []
        assert not list(small.glob("*.partial"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert "No space left" in target.messages[0]


@pytest.mark.slow
def test_a_database_that_is_away_is_announced_past_the_outbox(
    server_dir: Path, folder: Path, target: Target
) -> None:
    settings = Settings(
        database_url="postgresql://me:hunter2@127.0.0.1:9/market", state_dir=server_dir
    )
    monitor = MonitorSettings(settings=settings, alert_urls=(target.url,))
    with pytest.raises(SentinelError) as trouble:
        backup_command.back_up(monitor, folder, NOW)
    assert trouble.value.exit_code == 4
    assert "hunter2" not in str(trouble.value) + target.messages[0]


def test_who_writes_meanwhile_changes_neither_dump_nor_comparison(
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
        assert backup_command.back_up(monitor, folder, NOW) == 0
    finally:
        stop.set()
        writer.join()


@pytest.mark.slow
def test_what_is_restored_is_what_was_saved_day_by_day(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = _days(filled)
    backup_command.back_up(monitor, folder, NOW)
    load(filled.address(), [(NOW + timedelta(days=3), "dogecoin", 1.0)], NOW)
    filled.query(
        "UPDATE sentinel.observations SET price_usd = price_usd * 2 WHERE observed_at < %s", NOW
    )
    assert _days(filled) != before
    [name] = _backups(folder)
    code = backup_command.restore_backup(monitor, folder / name, asks=False, saves=True)
    assert code == 0
    assert _days(filled) == before
    assert len(_backups(folder)) == 2  # what was there is backed up first
    assert "the same observations" in capsys.readouterr().out
    load(filled.address(), [(NOW + timedelta(hours=1), "bitcoin", 1.0)], NOW)  # and life goes on


@pytest.mark.slow
@pytest.mark.usefixtures("filled")
def test_a_portfolio_alone_is_backed_up_first_too(
    monitor: MonitorSettings, fresh: FreshDatabase, folder: Path
) -> None:
    backup_command.back_up(monitor, folder, NOW)
    [name] = _backups(folder)
    fresh.query("TRUNCATE sentinel.observations")
    fresh.query(
        "INSERT INTO sentinel.transactions (made_at, coin_id, quantity, price_usd, fee_usd, note) "
        "VALUES (now(), 'bitcoin', 1, 1, 0, '')"
    )
    backup_command.restore_backup(monitor, folder / name, asks=False, saves=True)
    assert len(_backups(folder)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("source", ["market_data", "sentinel.coins"])
def test_a_restore_refuses_while_another_programs_view_reads_our_tables(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path, source: str
) -> None:
    backup_command.back_up(monitor, folder, NOW)
    [name] = _backups(folder)
    filled.query(f"CREATE SCHEMA app; CREATE VIEW app.v AS SELECT coin_id FROM {source}")
    filled.query("UPDATE sentinel.observations SET price_usd = 7")
    before = _days(filled)
    with pytest.raises(BackupFailed, match=r"other objects depend on.*app\.v"):
        backup_command.restore_backup(monitor, folder / name, asks=False, saves=False)
    assert _days(filled) == before


@pytest.mark.slow
def test_a_restore_leaves_other_programs_tables_and_brings_the_view_back(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    backup_command.back_up(monitor, folder, NOW)
    [name] = _backups(folder)
    before = _days(filled)
    filled.query("CREATE TABLE public.invoices AS SELECT 1 AS n")
    filled.query("UPDATE sentinel.observations SET price_usd = 7")
    backup_command.restore_backup(monitor, folder / name, asks=False, saves=False)
    assert _days(filled) == before
    assert filled.query("SELECT n FROM public.invoices") == [(1,)]
    assert filled.query("SELECT count(*) >= 0 FROM public.market_data") == [(True,)]


def test_tables_of_our_names_that_are_not_ours_stay(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    backup_command.back_up(monitor, folder, NOW)
    [name] = _backups(folder)
    filled.query(schema.DROP_SCHEMA)
    filled.query("CREATE SCHEMA sentinel; CREATE TABLE sentinel.coins AS SELECT 7 AS n")
    with pytest.raises(BackupFailed, match="tables of another program"):
        backup_command.restore_backup(monitor, folder / name, asks=False, saves=True)
    assert filled.query("SELECT n FROM sentinel.coins") == [(7,)]


@pytest.mark.slow
def test_what_cannot_be_read_any_more_can_be_replaced(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    before = _days(filled)
    backup_command.back_up(monitor, folder, NOW)
    [name] = _backups(folder)
    filled.query("ALTER TABLE sentinel.observations RENAME COLUMN observed_at TO seen_at")
    filled.query("DROP TABLE sentinel.transactions")
    filled.query("ALTER TABLE sentinel.coins RENAME TO coins_gone")
    with pytest.raises(SentinelError):
        backup_command.restore_backup(monitor, folder / name, asks=False, saves=True)
    filled.query("DROP TABLE sentinel.coins_gone CASCADE")
    backup_command.restore_backup(monitor, folder / name, asks=False, saves=False)
    assert _days(filled) == before


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["flip", "cut", "manifest gone", "manifest nonsense"])
def test_a_damaged_backup_restores_nothing(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path, harm: str
) -> None:
    backup_command.back_up(monitor, folder, NOW)
    [name] = _backups(folder)
    dump = folder / name
    content = bytearray(dump.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
        dump.write_bytes(content)
    elif harm == "cut":
        dump.write_bytes(content[:-100])
    elif harm == "manifest gone":
        archive.manifest_path(dump).unlink()
    else:
        archive.manifest_path(dump).write_text("{}")
    before = _days(filled)
    with pytest.raises(BackupFailed):
        backup_command.restore_backup(monitor, dump, asks=False, saves=False)
    assert _days(filled) == before


def test_a_restore_that_breaks_off_leaves_everything_as_it_was(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path
) -> None:
    """The dump is cut where pg_restore notices only after it has said a lot."""
    backup_command.back_up(monitor, folder, NOW)
    [name] = _backups(folder)
    cut = folder / "cut.dump"
    content = (folder / name).read_bytes()
    cut.write_bytes(content[: len(content) - 3000])
    before = _days(filled)
    with pytest.raises(BackupFailed):
        pg_dump.restore(cut, filled.address())
    assert _days(filled) == before


@pytest.mark.usefixtures("filled")
def test_while_a_monitor_runs_nothing_is_restored(monitor: MonitorSettings, folder: Path) -> None:
    backup_command.back_up(monitor, folder, NOW)
    [name] = _backups(folder)
    with (
        files.try_lock(monitor.settings.state_dir / "monitor"),
        pytest.raises(SentinelError, match="stop it first"),
    ):
        backup_command.restore_backup(monitor, folder / name, asks=False, saves=True)


def test_a_second_backup_waits_its_turn(monitor: MonitorSettings, folder: Path) -> None:
    with (
        verified_backup.lock_backups(monitor.settings.state_dir),
        pytest.raises(SentinelError, match="Another backup"),
    ):
        backup_command.back_up(monitor, folder, NOW)


@pytest.mark.usefixtures("filled")
def test_leftovers_of_a_killed_backup_are_swept_up(monitor: MonitorSettings, folder: Path) -> None:
    folder.mkdir()
    (folder / "market-sentinel-20261119T000000Z.dump.partial").write_bytes(b"half")
    (folder / "market-sentinel-20261118T000000Z.dump").write_bytes(b"without a manifest")
    with psycopg.connect(_server_of(monitor), autocommit=True) as connection:
        connection.execute(verified_backup.MAKE_SCRATCH)
    backup_command.back_up(monitor, folder, NOW)
    assert _backups(folder) == [rotation.name_of(NOW)]
    assert not list(folder.glob("*.partial"))


def _server_of(monitor: MonitorSettings) -> str:
    with embedded.ensure_running(monitor.settings.state_dir) as conninfo:
        return conninfo


@pytest.mark.slow
def test_the_script_ends_in_0_from_any_folder_and_hides_the_password(
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
    assert "Nothing restored" in refused.stderr


def test_a_dump_goes_past_neons_pooler() -> None:
    pooled = parse_address("postgresql://u:p@ep-cool-1-pooler.eu.aws.neon.tech/db")
    assert "host=ep-cool-1.eu.aws.neon.tech" in pg_dump.direct(pooled).conninfo
    other = parse_address("postgresql://u:p@my-pooler.example.org/db")
    assert pg_dump.direct(other) == other


FIRST, LAST = (datetime.fromisoformat(text) for text in ("2025-01-01", "2027-01-01"))
MOMENTS = st.lists(st.datetimes(FIRST, LAST, timezones=st.just(UTC)), max_size=60)


@given(MOMENTS)
def test_the_newest_backup_is_always_kept_and_no_more_than_the_rules_say(
    moments: list[datetime],
) -> None:
    kept = rotation.to_keep(moments)
    assert kept <= set(moments)
    assert not moments or max(moments) in kept
    assert len(kept) <= rotation.DAILY + rotation.WEEKLY + rotation.MONTHLY
    assert rotation.to_keep(kept) == kept  # pruning twice prunes nothing more


@pytest.mark.parametrize(
    ("days", "kept"),
    [
        (range(10), {0, 1, 2, 3, 4, 5, 6}),
        ([0, 30, 60, 90, 120, 150, 180], {0, 30, 60, 90, 120, 150}),
    ],
)
def test_days_without_a_backup_do_not_count(days: list[int], kept: set[int]) -> None:
    found = rotation.to_keep(NOW - timedelta(days=day) for day in days)
    assert kept <= {(NOW - at).days for at in found}


def test_only_our_own_files_are_ours() -> None:
    assert rotation.moment_of(rotation.name_of(NOW)) == NOW
    for name in ("family.dump", "market-sentinel-20269999T999999Z.dump", "market-sentinel.dump"):
        assert rotation.moment_of(name) is None


@pytest.mark.slow
def test_a_million_rows_come_back_day_by_day_and_no_flipped_byte_passes(
    monitor: MonitorSettings, fresh: FreshDatabase, folder: Path
) -> None:
    coins = [f"coin-{n}" for n in range(200)]
    prices = [
        (NOW - timedelta(minutes=n), coin, 1.0 + n / 7) for n in range(5_000) for coin in coins
    ]
    load(fresh.address(), prices, NOW)
    before = _days(fresh)
    backup_command.back_up(monitor, folder, NOW)
    [name] = _backups(folder)
    content = (folder / name).read_bytes()
    dice = random.Random(7)
    for place in [0, len(content) - 1, *(dice.randrange(len(content)) for _ in range(10))]:
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << dice.randrange(8)
        (folder / name).write_bytes(spoilt)
        with pytest.raises(BackupFailed):
            archive.check(folder / name)
    (folder / name).write_bytes(content)
    fresh.query("TRUNCATE sentinel.observations")
    backup_command.restore_backup(monitor, folder / name, asks=False, saves=False)
    assert _days(fresh) == before


# --- over TLS --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "server.crt", folder / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files_ = ["-out", str(paths[0]), "-keyout", str(paths[1])]
    done = subprocess.run([*command, *names, *files_], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("no openssl here to make a certificate with")
    return paths


@pytest.fixture
def tls_port(certificate: tuple[Path, Path], filled: FreshDatabase) -> Iterator[int]:
    """The tests' server as one that speaks TLS only."""
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
                threading.Thread(target=tls_relay._pump, args=(back, outer), daemon=True).start()
                tls_relay._pump(outer, back)

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
def test_a_database_that_wants_tls_is_backed_up_and_restored_over_it(
    monitor: MonitorSettings,
    filled: FreshDatabase,
    folder: Path,
    tls_port: int,
    certificate: tuple[Path, Path],
    query: str,
) -> None:
    own = _over_tls(monitor, filled, tls_port, query.format(certificate[0]))
    before = _days(filled)
    assert backup_command.back_up(own, folder, NOW) == 0
    filled.query("UPDATE sentinel.observations SET price_usd = 7")
    [name] = _backups(folder)
    assert backup_command.restore_backup(own, folder / name, asks=False, saves=False) == 0
    assert _days(filled) == before


def test_a_server_nobody_vouches_for_gets_nothing(
    monitor: MonitorSettings, filled: FreshDatabase, folder: Path, tls_port: int
) -> None:
    address = _over_tls(monitor, filled, tls_port, "sslmode=verify-full&sslrootcert=system")
    url = address.settings.database_url
    assert url
    with tls_relay.way_to(parse_address(url)) as plain, pytest.raises(BackupFailed) as trouble:
        pg_dump.dump(plain, "00000003-00000001-1", folder.parent / "x.dump")
    assert "certificate" in str(trouble.value).lower()


def test_an_offer_of_channel_binding_is_taken_out_of_what_the_server_says() -> None:
    """A client without TLS refuses at its sight; servers with TLS and SCRAM make it."""
    offer = struct.pack("!i", 10) + b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
    hello = b"R" + struct.pack("!i", len(offer) + 4) + offer
    let_in = b"R" + struct.pack("!ii", 8, 0) + b"ZZZ"
    server, outside = socket.socketpair()
    inside, client = socket.socketpair()
    server.sendall(hello + let_in)
    server.close()
    tls_relay._greet(outside, inside)
    plain = struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0"
    expected = b"R" + struct.pack("!i", len(plain) + 4) + plain + let_in
    assert client.recv(4096) == expected
    for one in (outside, inside, client):
        one.close()


def test_tls_that_is_asked_for_and_not_to_be_had_is_refused(tmp_path: Path) -> None:
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
            tls_relay.way_to(parse_address(url)) as plain,
            pytest.raises(BackupFailed, match="does not speak it") as trouble,
        ):
            pg_dump.dump(plain, "00000003-00000001-1", tmp_path / "x.dump")
        assert "hunter2" not in str(trouble.value)
