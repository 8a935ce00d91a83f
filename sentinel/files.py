"""Files that several processes write: atomic replacement and locks."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sentinel.leftovers import remove_leftovers

if sys.platform == "win32":
    from filelock import lock_descriptor
else:
    import fcntl

    def lock_descriptor(fd: int, *, blocking: bool = True) -> bool:
        """Lock an open file as filelock's function does, whose import would take a run 40 ms."""
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
            return True
        return False


_DRAFT_SUFFIX = ".draft"


def replace_atomically(path: Path, content: bytes) -> None:
    """Write a new file beside `path` and rename it, so that no reader ever sees half a file.

    After a crash, the file is either the old or the new one. Permissions and symbolic links stay.

    Raises OSError if the disk is full or the folder is not writable.
    """
    path = path.resolve()  # replace the target of a symbolic link, not the link
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "not a regular file")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    remove_leftovers(path.parent, f".{glob.escape(path.name)}.*{_DRAFT_SUFFIX}")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_DRAFT_SUFFIX)
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
    """Make a new file name survive a power failure. Windows cannot open folders for this."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock for `path` during the block; wait until other processes release it.

    Two threads of one process exclude each other too. The system releases the lock when a process
    ends, even after a kill. Raises OSError if the lock file cannot be created.
    """
    with _open_lock_file(path) as handle:
        lock_descriptor(handle)
        yield


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Try to lock `path` during the block without waiting; yield whether that succeeded.

    False also if the lock file cannot be created, for example because the disk is full.
    """
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(_open_lock_file(path))
            has_lock = lock_descriptor(handle, blocking=False)
        except OSError:
            has_lock = False
        yield has_lock


@contextlib.contextmanager
def lock_or_refuse(path: Path, refusal: Exception) -> Iterator[None]:
    """Lock `path` during the block. Raises `refusal` if the lock is not available."""
    with try_lock(path) as has_lock:
        if not has_lock:
            raise refusal
        yield


@contextlib.contextmanager
def _open_lock_file(path: Path) -> Iterator[int]:
    """Open the lock file beside `path`, which may belong to another user; closing it unlocks.

    NFS locks only files that are open for writing: flock(2).
    """
    lock_file = path.with_name(f".{path.name}.lock")
    try:
        handle = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError:
        handle = os.open(lock_file, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)
