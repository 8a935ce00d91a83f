"""Files that several processes write: whole or not at all, and one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl


def replace_atomically(path: Path, content: bytes) -> None:
    """Write beside the file and rename: a reader and a crash see the old or the new, never half.

    Raises OSError where there is no room or no right to write.
    """
    path = path.resolve()  # a symbolic link stays one
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "no regular file")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
        _sync_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """See to it that a new name outlives a power cut; Windows opens no folders."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Wait until nobody else is between reading and replacing `path`.

    The kernel lets go of the lock when a process ends, however it ends. Windows has no such lock:
    there the last writer wins.
    """
    if sys.platform == "win32":
        yield
        return
    handle = _open_lock(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _open_lock(path: Path) -> int:
    """The file beside `path` that is locked; to read only, for it may be another user's."""
    return os.open(path.with_name(f".{path.name}.lock"), os.O_RDONLY | os.O_CREAT, 0o644)


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Yield whether nobody else is inside a block of the same `path` just now; False also where
    that cannot be told, because there is no room for a lock."""
    if sys.platform == "win32":
        yield True
        return
    try:
        handle = _open_lock(path)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_alone = True
        except BlockingIOError:
            is_alone = False
        yield is_alone
    finally:
        os.close(handle)


@contextlib.contextmanager
def lock_or_refuse(path: Path, refusal: Exception) -> Iterator[None]:
    """A block of `path` that nobody else is inside of. Raises `refusal` where somebody is, or where
    that cannot be told."""
    with try_lock(path) as is_alone:
        if not is_alone:
            raise refusal
        yield
