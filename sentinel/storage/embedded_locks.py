"""The lock files of the embedded server, and how processes wait for them.

Who can read a file can lock it, so only the server's owner can read these. Another program of the
owner may still hold one: nothing here waits without an end, or with signals deferred.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sentinel.files import close_to_others
from sentinel.process import defer_signals

if sys.platform != "win32":
    import fcntl
    import pwd

T = TypeVar("T")
POLL_SECONDS = 0.005  # a start takes about 0.04 s
LOCK_TABLE = Path("/proc/locks")  # Linux only


def open_lock(path: Path, stack: contextlib.ExitStack) -> int:
    """Open a file to lock and close it when `stack` unwinds."""
    handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, handle)
    close_to_others(handle, path.parent)
    return handle


def try_shared_lock(handle: int) -> bool:
    """Take a shared lock, or return False if another process holds the exclusive one."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    return False


def unlock(handle: int) -> None:
    """Release a lock."""
    fcntl.flock(handle, fcntl.LOCK_UN)


def repeat_until_done(attempt: Callable[[], T | None], timeout_seconds: float) -> T | None:
    """Repeat `attempt` until it returns a value, and return that; None after the timeout.

    Signals are deferred during an attempt and let through between two.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        with defer_signals():
            result = attempt()
        if result is not None or time.monotonic() > deadline:
            return result
        time.sleep(POLL_SECONDS)


def describe_holder(handle: int) -> str:
    """Return which process holds the lock of an open file, as far as the system says so.

    https://man7.org/linux/man-pages/man5/proc_locks.5.html
    """
    inode = os.fstat(handle).st_ino
    pids = set()
    with contextlib.suppress(OSError):
        for line in LOCK_TABLE.read_text().splitlines():
            fields = line.split()  # 1: FLOCK ADVISORY WRITE 4711 08:01:1234 0 EOF
            if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
                pids.add(fields[4])
    return ", ".join(map(_describe_process, sorted(pids))) or "another process"


def _describe_process(pid: str) -> str:
    with contextlib.suppress(OSError, KeyError):
        return f"process {pid} of user {pwd.getpwuid(Path('/proc', pid).stat().st_uid).pw_name}"
    return f"process {pid}"
