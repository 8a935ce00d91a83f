"""The files and programs of one embedded server: set up the data, start and stop the server."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sentinel.errors import StorageUnavailable
from sentinel.socket_folder import create_socket_folder, locate_socket_folder
from sentinel.storage.embedded_root import ServerOwner

START_TIMEOUT_SECONDS = 60
MAX_LOG_BYTES = 1_000_000
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


class ProgramResult(NamedTuple):
    """How a program ended, and what it printed."""

    exit_code: int
    output: str


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
        return locate_socket_folder(self.base)

    def run(
        self, program: str, *arguments: str | Path, inherited: Sequence[int] = ()
    ) -> ProgramResult:
        """Run one of PostgreSQL's programs as the owner and return how it ended.

        The program and its children inherit the file descriptors `inherited`. The output goes to a
        file, because a started server would keep a pipe open.
        """
        # PGHOST, PGDATA and so on of the user's environment must not change what is run.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [self.bin_dir / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                cwd="/",
                env=environment | {"LC_ALL": "C"},
                pass_fds=inherited,
                start_new_session=True,  # Ctrl-C in a terminal stops this process, not the server
                **self._as_owner(),
            )
            output.seek(0)
            return ProgramResult(done.returncode, output.read())

    def _as_owner(self) -> dict[str, Any]:
        if self.owner is None:
            return {}
        return {"user": self.owner.uid, "group": self.owner.gid, "extra_groups": []}


def responding_socket_dir(server: EmbeddedServer) -> Path | None:
    """Return the folder of the server's socket, or None if it accepts no connections.

    The pid file names the folder: https://www.postgresql.org/docs/current/storage-file-layout.html
    """
    try:
        lines = (server.data_dir / "postmaster.pid").read_text().splitlines()
        port, folder = lines[3], lines[4]
    except (OSError, IndexError):
        return None
    ready = server.run("pg_isready", "--quiet", f"--host={folder}", f"--port={port}")
    return Path(folder) if ready.exit_code == 0 else None


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
    if server.log_file.exists() and server.log_file.stat().st_size > MAX_LOG_BYTES:
        server.log_file.unlink()
    options = [f"-k {server.socket_dir}", *(f"-c {option}" for option in SERVER_OPTIONS)]
    done = server.run(
        *("pg_ctl", "start", "-D", server.data_dir, "-l", server.log_file),
        *("-w", "-t", str(START_TIMEOUT_SECONDS), "-o", " ".join(options)),
        inherited=[alive_lock],
    )
    if done.exit_code != 0:
        cause = _last_fatal_message(server.log_file) or done.output.strip()
        server.run("pg_ctl", "stop", "-D", server.data_dir, "-m", "immediate", "-w")
        raise StorageUnavailable(
            f"The embedded PostgreSQL in {server.base} does not start: {cause} "
            f"Its log is {server.log_file}."
        )
    return server.socket_dir


def stop_server(server: EmbeddedServer) -> None:
    """Stop the server and remove the folder of its socket."""
    server.run("pg_ctl", "stop", "-D", server.data_dir, "-m", "fast", "-w")
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
    if done.exit_code != 0:
        shutil.rmtree(draft, ignore_errors=True)
        lines = done.output.splitlines()
        errors = [line for line in lines if re.search("error|fatal", line, re.IGNORECASE)]
        raise StorageUnavailable(
            f"initdb cannot set up the embedded PostgreSQL in {server.base}: "
            f"{(errors or [done.output.strip()])[0]} Free disk space, or set SENTINEL_STATE_DIR to "
            "another folder, or DATABASE_URL to another PostgreSQL."
        )
    draft.rename(server.data_dir)


def _last_fatal_message(log_file: Path) -> str:
    """Return the last FATAL or PANIC message of the server's log, or an empty string."""
    try:
        lines = log_file.read_text(errors="replace").splitlines()[-20:]
    except OSError:
        return ""
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return fatal[-1].partition("] ")[2] + "." if fatal else ""
