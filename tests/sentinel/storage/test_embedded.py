"""The embedded server: how processes start, share and stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from safe_zone import ROOT
from sentinel.errors import ConfigurationError, StorageUnavailable
from sentinel.storage.embedded import _locate_server, ensure_running

pytestmark = [
    pytest.mark.slow,  # each test starts its own server
    pytest.mark.skipif(sys.platform == "win32", reason="Windows uses the wheel's starter"),
]

# A process that uses the server until its standard input ends.
USER = """
import sys
from pathlib import Path
import psycopg
from sentinel.storage.embedded import ensure_running
with ensure_running(Path(sys.argv[1])) as conninfo:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        connection.execute("CREATE TABLE IF NOT EXISTS visits (pid int)")
        connection.execute("INSERT INTO visits VALUES (pg_backend_pid())")
    print("ready", flush=True)
    sys.stdin.read()
"""


def _reachable_folder(folder: Path) -> Path:
    """Let all users enter `folder`, so that root keeps its data there too, and return it."""
    for path in (folder, *folder.parents):
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    return folder


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder with a space in its path that root's server can reach."""
    folder = _reachable_folder(tmp_path) / "a state dir"
    yield folder
    if (folder / "postgres").exists():
        with ensure_running(folder):
            pass  # the last process that leaves stops the server


def _user(state_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, state_dir],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _wait_until_ready(user: subprocess.Popen[str]) -> None:
    assert user.stdout is not None
    assert user.stdout.readline() == "ready\n"


def _kill(user: subprocess.Popen[str]) -> None:
    user.kill()
    user.communicate()


def _visits(conninfo: str) -> int:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT count(*) FROM visits").fetchone()
    return int(row[0]) if row else 0


def _pid_file(state_dir: Path) -> Path:
    return _locate_server(state_dir).data_dir / "postmaster.pid"


def _server_pid(state_dir: Path) -> int:
    return int(_pid_file(state_dir).read_text().splitlines()[0])


def test_the_server_starts_on_first_use_and_stops_after_the_last(state_dir: Path) -> None:
    with ensure_running(state_dir) as conninfo:
        with psycopg.connect(conninfo) as connection:
            assert connection.info.server_version >= 180_000
        with ensure_running(state_dir) as second:
            assert second == conninfo
        assert _pid_file(state_dir).exists()  # the first user still holds it
    assert not _pid_file(state_dir).exists()


def test_the_module_opens_psql(state_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sentinel.storage.embedded", "-tAc", "SELECT 6 * 7"],
        cwd=ROOT,
        env=os.environ | {"SENTINEL_STATE_DIR": str(state_dir)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "42\n"


def test_stored_data_survive_a_restart(state_dir: Path) -> None:
    user = _user(state_dir)
    _wait_until_ready(user)
    user.communicate("")
    with ensure_running(state_dir) as conninfo:
        assert _visits(conninfo) == 1


def test_the_server_has_no_network_port_and_its_socket_is_closed_to_others(state_dir: Path) -> None:
    with ensure_running(state_dir) as conninfo, psycopg.connect(conninfo) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        [socket_dir] = [p.partition("=")[2] for p in conninfo.split() if p.startswith("host=")]
        assert Path(socket_dir).stat().st_mode & 0o077 == 0


def test_processes_that_start_together_share_one_server(state_dir: Path) -> None:
    users = [_user(state_dir) for _ in range(3)]
    for user in users:
        _wait_until_ready(user)
    with ensure_running(state_dir) as conninfo:
        assert _visits(conninfo) == 3
    for user in users:
        assert _pid_file(state_dir).exists()
        user.communicate("")
        assert user.returncode == 0
    assert not _pid_file(state_dir).exists()


def test_a_server_left_running_by_a_kill_9_is_reused_and_then_stopped(state_dir: Path) -> None:
    user = _user(state_dir)
    _wait_until_ready(user)
    pid = _server_pid(state_dir)
    _kill(user)
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
    user = _user(state_dir)
    _wait_until_ready(user)
    os.kill(_server_pid(state_dir), signal.SIGKILL)
    _kill(user)
    with ensure_running(state_dir) as conninfo:
        assert _visits(conninfo) == 1


def test_an_interrupted_setup_starts_again(state_dir: Path) -> None:
    base = _locate_server(state_dir).base
    (base / "data.draft" / "half").mkdir(parents=True)
    with ensure_running(state_dir) as conninfo, psycopg.connect(conninfo):
        assert not (base / "data.draft").exists()


def test_the_error_of_a_failed_start_has_the_cause_and_the_log(state_dir: Path) -> None:
    with ensure_running(state_dir):
        pass
    version = _locate_server(state_dir).data_dir / "PG_VERSION"
    version.write_text("9.6\n")
    with pytest.raises(StorageUnavailable) as caught:
        ensure_running(state_dir).__enter__()
    assert "incompatible" in str(caught.value)
    assert "server.log" in str(caught.value)
    version.write_text("18\n")


def test_a_folder_that_cannot_be_created_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="SENTINEL_STATE_DIR"):
        ensure_running(tmp_path / "file" / "state").__enter__()


def test_a_socket_folder_that_is_open_to_others_is_refused(state_dir: Path) -> None:
    socket_dir = _locate_server(state_dir).socket_dir
    socket_dir.mkdir()
    socket_dir.chmod(0o777)
    with pytest.raises(StorageUnavailable, match="open to other users"):
        ensure_running(state_dir).__enter__()


def test_a_path_with_special_characters_of_the_shell_works(tmp_path: Path) -> None:
    folder = _reachable_folder(tmp_path) / """quo"ted 'dol$HOME back`tick back\\slash"""
    with ensure_running(folder) as conninfo, psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_path_with_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SENTINEL_STATE_DIR"):
        ensure_running(_reachable_folder(tmp_path) / "two\nlines").__enter__()


def test_a_failed_start_leaves_no_process_running(state_dir: Path) -> None:
    with ensure_running(state_dir):
        control = _locate_server(state_dir).data_dir / "global" / "pg_control"
    content = control.read_bytes()
    control.write_bytes(b"damaged" * 100)
    with pytest.raises(StorageUnavailable):
        ensure_running(state_dir).__enter__()
    control.write_bytes(content)
    with ensure_running(state_dir) as conninfo, psycopg.connect(conninfo):
        pass


def test_a_signal_during_the_start_stops_the_server(state_dir: Path) -> None:
    program = USER.replace(
        "import sys\n",
        "import sys\nfrom sentinel import process\nprocess.raise_interrupted_on_signals()\n",
        1,
    )
    for moment in (0.25, 0.32, 0.4):
        user = subprocess.Popen(
            [sys.executable, "-c", program, state_dir],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moment)
        user.terminate()
        user.communicate()
        assert not _pid_file(state_dir).exists()


def test_a_closed_umask_of_root_leaves_the_lock_files_readable(state_dir: Path) -> None:
    before = os.umask(0o077)
    try:
        with ensure_running(state_dir) as conninfo, psycopg.connect(conninfo):
            pass
    finally:
        os.umask(before)
    base = _locate_server(state_dir).base
    assert all(lock.stat().st_mode & 0o044 for lock in base.glob("*.lock"))


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="needs root and its closed home"
)
def test_root_keeps_data_in_a_system_folder_if_the_home_is_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = _locate_server(closed / ".sentinel")
    assert server.base.parent == Path("/var/lib/market-sentinel")
    assert closed.stat().st_mode & 0o777 == 0o700
    server.base.rmdir()


@pytest.mark.soak
@pytest.mark.slow
def test_the_server_starts_after_kills_at_any_moment_of_its_start(state_dir: Path) -> None:
    for moment in (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8):
        user = _user(state_dir)
        time.sleep(moment)
        _kill(user)
    with ensure_running(state_dir) as conninfo, psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
