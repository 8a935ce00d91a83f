"""The files and programs of one embedded server: set up the data, start and stop the server."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sentinel.errors import StorageUnavailable
from sentinel.socket_folder import create_socket_folder, locate_socket_folder
from sentinel.storage.embedded_locks import POLL_SECONDS
from sentinel.storage.embedded_log import last_fatal_message, limit_log, measure_log
from sentinel.storage.embedded_root import ServerOwner
from sentinel.storage.embedded_upgrade import explain_other_major

START_TIMEOUT_SECONDS = STOP_TIMEOUT_SECONDS = 60
MIN_FREE_BYTES = 16 * 2**20  # a segment of the write-ahead log
_NO_SPACE = os.strerror(errno.ENOSPC)
SERVER_OPTIONS = (
    "listen_addresses=",  # no network: only the socket
    "timezone=UTC",
    "max_wal_size=256MB",
    # Nothing replicates from this server, so it writes less to its log.
    "wal_level=minimal",
    "max_wal_senders=0",
    "log_checkpoints=off",
    # A crashed server ends; the next process that needs it starts it again.
    "restart_after_crash=off",
)


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """Where one embedded server lives, and which user it runs as."""

    # PostgreSQL's programs.
    bin_dir: Path
    # The server's folder: data, log and locks.
    base: Path
    # None: the user of this process.
    owner: ServerOwner | None

    @property
    def data_dir(self) -> Path:
        """The data directory."""
        return self.base / "data"

    @property
    def log_file(self) -> Path:
        """The server's log."""
        return self.base / "server.log"

    @property
    def socket_dir(self) -> Path:
        """The folder of the socket, one for each server."""
        return locate_socket_folder(self.base, self.owner.uid if self.owner else None)

    def run(
        self, program: str, *arguments: str | Path, inherited: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the owner and return how it ended.

        The program and its children inherit the file descriptors `inherited`. The output goes to a
        file, because a started server would keep a pipe open.
        """
        # The programs print paths as bytes, in whatever encoding the locale has.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as output:
            process = self.start(program, *arguments, output=output.fileno(), inherited=inherited)
            exit_code = process.wait()
            output.seek(0)
            return subprocess.CompletedProcess(process.args, exit_code, output.read())

    def start(
        self, program: str, *arguments: str | Path, output: int, inherited: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Start one of PostgreSQL's programs as the owner, with its output to a descriptor."""
        # PGHOST, PGDATA and so on of the user's environment must not change what is run.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        owner: dict[str, Any] = {}
        if self.owner:
            owner = {"user": self.owner.uid, "group": self.owner.gid, "extra_groups": []}
        return subprocess.Popen(
            [self.bin_dir / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment | {"LC_ALL": "C"},
            pass_fds=inherited,
            start_new_session=True,  # Ctrl-C in a terminal stops this process, not the server
            **owner,
        )


class _PidFile(NamedTuple):
    """What `postmaster.pid` says about a server.

    https://www.postgresql.org/docs/current/storage-file-layout.html
    """

    pid: int
    socket_path: Path
    # "starting", "ready" or "stopping"; empty at first.
    status: str

    @classmethod
    def read(cls, server: EmbeddedServer) -> _PidFile | None:
        """Return None if there is no file, or not all of it."""
        try:
            content = (server.data_dir / "postmaster.pid").read_bytes()
            lines = os.fsdecode(content).splitlines()
            path = Path(lines[4]) / f".s.PGSQL.{lines[3]}"
            return cls(int(lines[0]), path, "".join(lines[7:]).strip())
        except (OSError, IndexError, ValueError):
            return None


def responding_socket_dir(server: EmbeddedServer) -> Path | None:
    """Return the folder of the server's socket, or None if it accepts no connections."""
    found = _PidFile.read(server)
    if found is None or found.status != "ready":
        return None
    # A server that was killed leaves its file behind.
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.connect(str(found.socket_path))
        return found.socket_path.parent
    return None


def has_lost_socket(server: EmbeddedServer) -> bool:
    """Whether the server runs and the file of its socket was deleted.

    No process can connect to it then, and PostgreSQL never creates the file again. `rm` or a
    program that empties /tmp does that; PostgreSQL touches its files for systemd-tmpfiles.
    """
    found = _PidFile.read(server)
    # Path.exists would raise an error where another user has a closed folder of that name.
    return bool(found and found.status == "ready" and not os.path.exists(found.socket_path))  # noqa: PTH110


def start_server(server: EmbeddedServer, alive_lock: int) -> Path:
    """Start the server and return the folder of its socket; set up the data if there is none.

    The caller holds `alive_lock`, and the server inherits it. Raises StorageUnavailable.
    """
    if not server.data_dir.exists():
        _create_data(server, alive_lock)
    try:
        create_socket_folder(server.socket_dir, server.owner)
    except PermissionError as error:
        raise StorageUnavailable(str(error)) from error
    # Every process of a running server would hold the lock that we hold, so these are stale.
    for stale in (server.data_dir / "postmaster.pid", *server.socket_dir.glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)
    limit_log(server.log_file)
    log_start = measure_log(server.log_file)
    postmaster = _start_postmaster(server, alive_lock)
    if not _becomes_ready(server, postmaster):
        postmaster.send_signal(signal.SIGQUIT)  # ends at once, without a checkpoint
        postmaster.wait()
        raise StorageUnavailable(_explain_failed_start(server, log_start))
    postmaster.returncode = 0  # the server outlives this object, and maybe this process
    return server.socket_dir


def _explain_failed_start(server: EmbeddedServer, log_start: int) -> str:
    version = server.run("postgres", "--version").stdout
    cause = last_fatal_message(server.log_file, log_start)
    is_full = shutil.disk_usage(server.base).free < MIN_FREE_BYTES or _NO_SPACE in cause
    remedy = "Free disk space there, then start again. " if is_full else ""
    return explain_other_major(server.base, version) or (
        f"The embedded PostgreSQL in {server.base} does not start: "
        f"{cause or 'it ended without a message.'} {remedy}Its log is {server.log_file}."
    )


def _start_postmaster(server: EmbeddedServer, alive_lock: int) -> subprocess.Popen[bytes]:
    """Start the server without pg_ctl, which looks only ten times a second whether it is ready."""
    with server.log_file.open("ab") as log:
        if server.owner:
            os.fchown(log.fileno(), server.owner.uid, server.owner.gid)
        return server.start(
            *("postgres", "-D", server.data_dir, "-k", server.socket_dir),
            *(f"--{option}" for option in SERVER_OPTIONS),
            output=log.fileno(),
            inherited=[alive_lock],
        )


def _becomes_ready(server: EmbeddedServer, postmaster: subprocess.Popen[bytes]) -> bool:
    """Wait until the server accepts connections; False if it ends, or takes too long."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while postmaster.poll() is None and time.monotonic() < deadline:
        found = _PidFile.read(server)
        if found and found.status == "ready":
            return True
        time.sleep(POLL_SECONDS)
    return False


def stop_server(server: EmbeddedServer, has_processes: Callable[[], bool]) -> None:
    """Stop the server, wait until `has_processes` is False, and remove the folder of its socket."""
    found = _PidFile.read(server)
    if found and has_processes():  # or the pid may be that of another program by now
        with contextlib.suppress(ProcessLookupError):  # it was killed, and its processes follow
            os.kill(found.pid, signal.SIGINT)  # PostgreSQL's "fast" shutdown: ends its sessions
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while has_processes() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    with contextlib.suppress(OSError):
        server.socket_dir.rmdir()


def _create_data(server: EmbeddedServer, alive_lock: int) -> None:
    """Run initdb in a draft folder and rename it, so that data are complete where they exist."""
    draft = server.base / "data.draft"
    shutil.rmtree(draft, ignore_errors=True)
    done = server.run(
        *("initdb", "-D", draft, "--username=postgres"),
        "--auth-local=trust",  # the socket's folder is closed to other users
        "--auth-host=reject",
        *("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
        inherited=[alive_lock],
    )
    if done.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        lines = done.stdout.splitlines()
        errors = [line for line in lines if re.search("error|fatal", line, re.IGNORECASE)]
        raise StorageUnavailable(
            f"initdb cannot set up the embedded PostgreSQL in {server.base}: "
            f"{(errors or [done.stdout.strip()])[0]} Free disk space, or set SENTINEL_STATE_DIR to "
            "another folder, or DATABASE_URL to another PostgreSQL."
        )
    draft.rename(server.data_dir)
