"""The embedded server: how processes start, share and stop it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psycopg
import pytest

from safe_zone import ROOT
from sentinel import process
from sentinel.errors import ConfigurationError, StorageUnavailable
from sentinel.storage import embedded_upgrade
from sentinel.storage.embedded import ensure_running
from sentinel.storage.embedded_location import has_database, locate_server
from sentinel.storage.embedded_server import responding_socket_dir
from tests.conftest import open_to_other_users
from tests.support.commands import Module

pytestmark = [
    pytest.mark.slow,  # each test starts its own server
    pytest.mark.skipif(sys.platform == "win32", reason="Windows uses the wheel's starter"),
]

# A server process forks the users of a database, so that only it imports this module.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


class User:
    """A process that uses the server of a state directory until `leave` or a kill."""

    def __init__(self, state_dir: Path) -> None:
        self._pipe, other_end = FORKS.Pipe()
        self.process = FORKS.Process(target=_use, args=(state_dir, other_end))
        self.process.start()
        other_end.close()

    def wait_until(self, state: str) -> None:
        """Wait until the process has reached a state: "started" or "connected"."""
        while self._pipe.recv() != state:
            pass

    def leave(self) -> None:
        self._pipe.close()
        self.process.join()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def _use(state_dir: Path, pipe: Connection) -> None:
    process.raise_interrupted_on_signals()
    pipe.send("started")
    with ensure_running(state_dir) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(1)")
            connection.execute("CREATE TABLE IF NOT EXISTS visits (pid int)")
            connection.execute("INSERT INTO visits VALUES (pg_backend_pid())")
        pipe.send("connected")
        with contextlib.suppress(EOFError):
            pipe.recv()


def _connected_user(state_dir: Path) -> User:
    user = User(state_dir)
    user.wait_until("connected")
    return user


def _reachable_folder(folder: Path) -> Path:
    """Let all users enter `folder`, so that root keeps its data there too, and return it."""
    open_to_other_users(folder)
    return folder


@pytest.fixture
def empty_state_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder with a space in its path that root's server can reach."""
    folder = _reachable_folder(tmp_path) / "a state dir"
    yield folder
    if (folder / "postgres").exists():
        with ensure_running(folder):
            pass  # the last process that leaves stops the server


@pytest.fixture(scope="session")
def prepared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a new server, for copies: initdb takes a second."""
    folder = _reachable_folder(tmp_path_factory.mktemp("prepared"))
    with ensure_running(folder):
        pass
    return locate_server(folder).data_dir


@pytest.fixture
def state_dir(empty_state_dir: Path, prepared_data: Path) -> Path:
    """The same folder with the data of a server that was stopped."""
    _copy_data(prepared_data, empty_state_dir)
    return empty_state_dir


def _copy_data(data: Path, state_dir: Path) -> None:
    subprocess.run(["cp", "-a", data, locate_server(state_dir).data_dir], check=True)


def _visits(conninfo: str) -> int:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT count(*) FROM visits").fetchone()
    return int(row[0]) if row else 0


def _pid_file(state_dir: Path) -> Path:
    return locate_server(state_dir).data_dir / "postmaster.pid"


def _server_pid(state_dir: Path) -> int:
    return int(_pid_file(state_dir).read_text().splitlines()[0])


def test_the_server_starts_on_first_use_and_stops_after_the_last(empty_state_dir: Path) -> None:
    for count in (0, 1):  # the second time on the data of the first
        with ensure_running(empty_state_dir) as conninfo:
            with psycopg.connect(conninfo) as connection:
                assert connection.info.server_version >= 180_000
                connection.execute("CREATE TABLE IF NOT EXISTS visits (pid int)")
            assert _visits(conninfo) == count
            with ensure_running(empty_state_dir) as second, psycopg.connect(second) as connection:
                assert second == conninfo
                connection.execute("INSERT INTO visits VALUES (1)")
            assert _pid_file(empty_state_dir).exists()  # the first user still holds it
        assert not _pid_file(empty_state_dir).exists()


def test_no_pg_variable_changes_how_the_server_is_set_up(
    empty_state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"PGDATA": "/nowhere", "PGPORT": "1", "PGDATESTYLE": "German", "PGTZ": "Asia/Tokyo"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with ensure_running(empty_state_dir) as conninfo, psycopg.connect(conninfo) as connection:
        assert connection.execute("SHOW port").fetchone() == ("5432",)
        assert connection.execute("SHOW DateStyle").fetchone() == ("ISO, MDY",)


def _open_psql(state_dir: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sentinel.storage.embedded", "-tAc", "SELECT 6 * 7"],
        cwd=ROOT,
        env=os.environ | environment | {"SENTINEL_STATE_DIR": str(state_dir)},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.mark.usefixtures("server")
def test_the_module_opens_psql(server_dir: Path) -> None:
    assert _open_psql(server_dir, {"PGHOSTADDR": "127.0.0.1", "PGSERVICE": "elsewhere"}) == "42\n"


def test_the_server_has_no_network_port_and_its_socket_is_closed_to_others(server: str) -> None:
    with psycopg.connect(server) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    [socket_dir] = [p.partition("=")[2] for p in server.split() if p.startswith("host=")]
    assert Path(socket_dir).stat().st_mode & 0o077 == 0


def test_processes_that_start_together_share_one_server(state_dir: Path) -> None:
    users = [User(state_dir) for _ in range(3)]
    for user in users:
        user.wait_until("connected")
    with ensure_running(state_dir) as conninfo:
        assert _visits(conninfo) == 3
    for user in users:
        assert _pid_file(state_dir).exists()
        user.leave()
        assert user.process.exitcode == 0
    assert not _pid_file(state_dir).exists()


def test_a_server_left_running_by_a_kill_9_is_reused_and_then_stopped(state_dir: Path) -> None:
    user = _connected_user(state_dir)
    pid = _server_pid(state_dir)
    user.kill()
    with ensure_running(state_dir) as conninfo:
        assert _server_pid(state_dir) == pid
        assert _visits(conninfo) == 1
    assert not _pid_file(state_dir).exists()


def test_a_stale_pid_file_with_a_pid_of_another_process_is_removed(state_dir: Path) -> None:
    with ensure_running(state_dir):
        content = _pid_file(state_dir).read_text().splitlines()
    _pid_file(state_dir).write_text("\n".join([str(os.getpid()), *content[1:]]) + "\n")
    with ensure_running(state_dir) as conninfo, psycopg.connect(conninfo):
        assert _server_pid(state_dir) != os.getpid()


def test_a_killed_server_recovers_with_every_committed_row(state_dir: Path) -> None:
    user = _connected_user(state_dir)
    os.kill(_server_pid(state_dir), signal.SIGKILL)
    user.kill()
    while responding_socket_dir(locate_server(state_dir)):  # the kernel is still ending it
        time.sleep(0.01)
    with ensure_running(state_dir) as conninfo:
        assert _visits(conninfo) == 1


def test_a_server_whose_socket_was_deleted_is_restarted_by_the_next_process(
    state_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ensure_running(state_dir) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("CREATE TABLE visits (pid int)")
        shutil.rmtree(locate_server(state_dir).socket_dir)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(conninfo)
        with ensure_running(state_dir) as again:
            assert again == conninfo
        assert _visits(conninfo) == 0  # the first user reaches it too
    assert [message.partition(" was ")[2] for message in caplog.messages] == [
        "deleted: restarting the server"
    ]


def test_the_db_service_ends_when_the_socket_is_deleted(
    state_dir: Path, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Connection(psycopg.Connection[tuple[Any, ...]]):
        def notifies(self, **_arguments: object) -> Any:
            shutil.rmtree(locate_server(state_dir).socket_dir)
            return iter(())

    monkeypatch.setattr(psycopg, "connect", Connection.connect)
    done = module("services.db", DATABASE_URL="", SENTINEL_STATE_DIR=str(state_dir))
    assert done.returncode == StorageUnavailable.exit_code
    assert "has lost its socket" in done.stderr
    assert not _pid_file(state_dir).exists()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can mount")
def test_a_start_that_a_full_disk_prevents_says_so(tmp_path: Path, prepared_data: Path) -> None:
    disk = _reachable_folder(tmp_path)
    mount = ["mount", "-t", "tmpfs", "-o", "mode=711,size=80m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed")
    try:
        _copy_data(prepared_data, disk)
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while filler.write(b"\0" * 65536):
                pass
        with pytest.raises(StorageUnavailable) as caught:
            ensure_running(disk).__enter__()
        assert "Free disk space there, then start again." in str(caught.value)
        (disk / "filler").unlink()
        with ensure_running(disk) as conninfo, psycopg.connect(conninfo):
            pass
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_an_interrupted_setup_starts_again(empty_state_dir: Path) -> None:
    base = locate_server(empty_state_dir).base
    (base / "data.draft" / "half").mkdir(parents=True)
    with ensure_running(empty_state_dir) as conninfo, psycopg.connect(conninfo):
        assert not (base / "data.draft").exists()


def test_the_error_of_a_failed_start_has_the_cause_and_the_log(state_dir: Path) -> None:
    settings = locate_server(state_dir).data_dir / "postgresql.auto.conf"
    content = settings.read_text()
    settings.write_text("no_such_setting = 1\n")
    with pytest.raises(StorageUnavailable, match=r"does not start: FATAL: .*server\.log"):
        ensure_running(state_dir).__enter__()
    settings.write_text(content)


@pytest.mark.parametrize(
    ("major", "steps"),
    [
        ("17", ["embedded-17.txt", "./backup_db.sh", "mv {}", "embedded.txt", "./restore_db.sh"]),
        ("99", ["git pull", "embedded.txt"]),  # newer than this checkout
    ],
)
def test_data_of_another_major_version_lead_to_the_steps_of_the_update(
    state_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    major: str,
    steps: list[str],
) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "embedded-17.txt").touch()
    monkeypatch.setattr(embedded_upgrade, "ROOT", tmp_path)
    server = locate_server(state_dir)
    version = server.data_dir / "PG_VERSION"
    content = version.read_text()
    version.write_text(f"{major}\n")
    with pytest.raises(StorageUnavailable) as caught:
        ensure_running(state_dir).__enter__()
    message = str(caught.value)
    assert f"is of PostgreSQL {major}, and the installed wheel" in message
    assert f"brings PostgreSQL {content.strip()}." in message
    positions = [message.index(step.format(server.base)) for step in steps]
    assert positions == sorted(positions)
    version.write_text(content)


def test_a_folder_that_cannot_be_created_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="SENTINEL_STATE_DIR"):
        ensure_running(tmp_path / "file" / "state").__enter__()


def test_a_socket_folder_that_is_open_to_others_is_refused(state_dir: Path) -> None:
    socket_dir = locate_server(state_dir).socket_dir
    socket_dir.mkdir()
    socket_dir.chmod(0o777)
    with pytest.raises(StorageUnavailable, match="open to other users"):
        ensure_running(state_dir).__enter__()


def test_a_path_with_special_characters_of_the_shell_works(
    tmp_path: Path, prepared_data: Path
) -> None:
    folder = _reachable_folder(tmp_path) / """quo"ted 'dol$HOME back`tick back\\slash"""
    _copy_data(prepared_data, folder)
    with ensure_running(folder) as conninfo, psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_path_with_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SENTINEL_STATE_DIR"):
        ensure_running(_reachable_folder(tmp_path) / "two\nlines").__enter__()


def test_a_path_that_is_too_long_for_postgresql_is_refused(tmp_path: Path) -> None:
    folder = _reachable_folder(tmp_path).joinpath(*["x" * 200] * 5)
    with pytest.raises(ConfigurationError, match=r"of less than 900 bytes"):
        ensure_running(folder).__enter__()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS names files in UTF-8 only")
def test_a_path_outside_ascii_works_in_the_c_locale(tmp_path: Path, prepared_data: Path) -> None:
    folder = _reachable_folder(tmp_path) / "Überblick"
    _copy_data(prepared_data, folder)
    in_c = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with ensure_running(folder):  # the second process reads the path in postmaster.pid
        assert _open_psql(folder, in_c | {"PGHOSTADDR": "127.0.0.1"}) == "42\n"
    assert _open_psql(folder, in_c) == "42\n"


def test_a_failed_start_leaves_no_process_running(state_dir: Path) -> None:
    control = locate_server(state_dir).data_dir / "global" / "pg_control"
    content = control.read_bytes()
    control.write_bytes(b"damaged" * 100)
    with pytest.raises(StorageUnavailable):
        ensure_running(state_dir).__enter__()
    control.write_bytes(content)
    with ensure_running(state_dir) as conninfo, psycopg.connect(conninfo):
        pass


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.15])
def test_a_signal_during_the_start_stops_the_server(state_dir: Path, moment: float) -> None:
    user = User(state_dir)
    user.wait_until("started")
    time.sleep(moment)
    user.process.terminate()
    user.process.join()
    assert user.process.exitcode != 0
    assert not _pid_file(state_dir).exists()


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can be two users"
)
def test_a_socket_folder_that_another_user_prepared_does_not_keep_the_server_from_starting(
    prepared_data: Path,
) -> None:
    with tempfile.TemporaryDirectory() as short:  # a socket's path has about a hundred bytes
        Path(short).chmod(0o711)
        state_dir = Path(short) / "state"
        _copy_data(prepared_data, state_dir)
        prepared = locate_server(state_dir).socket_dir
        prepared.mkdir(mode=0o777)
        os.chown(prepared, 65534, 65534)
        with ensure_running(state_dir) as conninfo, psycopg.connect(conninfo) as connection:
            found = Path(connection.info.host)
        prepared.rmdir()
        assert found == state_dir / "postgres" / "sockets"
        assert not found.exists()  # the last process removed it


def test_other_users_can_neither_read_nor_lock_anything_of_the_server(state_dir: Path) -> None:
    state_dir.chmod(0o755)
    with ensure_running(state_dir) as conninfo, psycopg.connect(conninfo):
        base = locate_server(state_dir).base
        assert state_dir.stat().st_mode & 0o066 == 0
        assert base.stat().st_mode & 0o077 == 0
        locks = [lock.stat() for lock in base.glob("*.lock")]
        assert {lock.st_mode & 0o777 for lock in locks} == {0o600}
        assert {lock.st_uid for lock in locks} == {base.stat().st_uid}


ONLY_ROOT = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="needs root and its closed home"
)


@ONLY_ROOT
def test_root_keeps_data_in_a_system_folder_if_the_home_is_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not has_database(closed / ".sentinel")
    server = locate_server(closed / ".sentinel")
    assert has_database(closed / ".sentinel")
    assert server.base.parent == Path("/var/lib/market-sentinel")
    assert closed.stat().st_mode & 0o777 == 0o700
    (server.base / "data").mkdir()
    closed.chmod(0o711)
    assert locate_server(closed / ".sentinel").base == server.base  # the data stay in use
    (server.base / "data").rmdir()
    server.base.rmdir()


@ONLY_ROOT
def test_data_that_a_closed_folder_hides_from_roots_server_are_not_replaced(tmp_path: Path) -> None:
    open_to_other_users(tmp_path)
    state_dir = tmp_path / "state"
    base = locate_server(state_dir).base
    assert base == state_dir / "postgres"
    (base / "data").mkdir()
    state_dir.chmod(0o700)
    with pytest.raises(ConfigurationError, match=f"chmod o.x {state_dir}"):
        locate_server(state_dir)
    state_dir.chmod(0o711)
    assert locate_server(state_dir).base == base


@pytest.mark.parametrize("has_data", [pytest.param(False, marks=pytest.mark.soak), True])
def test_the_server_starts_after_kills_at_any_moment_of_its_start(
    empty_state_dir: Path, prepared_data: Path, has_data: bool
) -> None:
    if has_data:
        _copy_data(prepared_data, empty_state_dir)
    for moment in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3):
        user = User(empty_state_dir)
        user.wait_until("started")
        time.sleep(moment)
        user.kill()
    with ensure_running(empty_state_dir) as conninfo, psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
