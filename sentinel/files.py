"""Files that several processes write: atomic replacement, locks, and rights of other users."""

from __future__ import annotations

import contextlib
import errno
import glob
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sentinel.errors import ConfigurationError
from sentinel.leftovers import remove_leftovers

log = logging.getLogger("sentinel.files")

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


def replace_atomically(
    path: Path, content: bytes, *, new_mode: int = 0o600, is_durable: bool = True
) -> None:
    """Write a new file beside `path` and rename it, so that no reader ever sees half a file.

    After a crash, the file is either the old or the new one; if it need not be `is_durable`, it may
    also be empty. Permissions and symbolic links stay. A file that did not exist gets `new_mode`;
    only its owner can read it by default.

    Raises OSError if the disk is full or the folder is not writable.
    """
    path = path.resolve()  # replace the target of a symbolic link, not the link
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "not a regular file")
    mode = path.stat().st_mode & 0o777 if path.exists() else new_mode
    remove_leftovers(path.parent, f".{glob.escape(path.name)}.*{_DRAFT_SUFFIX}")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_DRAFT_SUFFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if is_durable:
                os.fsync(file.fileno())
            _give_to_owner(file.fileno(), path if path.exists() else path.parent)
        Path(name).chmod(mode)
        Path(name).replace(path)
        if is_durable:
            _sync_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def describe_os_error(error: OSError) -> str:
    """Return what the system refused, for which file, and what to do, without a period."""
    place = error.filename or "the file"
    if error.strerror is None:  # an error of our own, which says what to do
        return str(error).rstrip(".")
    if isinstance(error, PermissionError):
        remedy = "run the command as the owner of that file, or give it to your user (chown)"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free disk space there"
    else:
        remedy = "check that file and its disk"
    return f"{error.strerror}: {place}. {remedy[0].upper()}{remedy[1:]}"


def _sync_folder(folder: Path) -> None:
    """Make a new file name survive a power failure. Windows cannot open folders for this."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def create_folder(folder: Path, mode: int = 0o700) -> None:
    """Create a folder and its missing parents with these rights, whatever the umask is.

    What root creates belongs to the owner of the folder around it. A folder that exists keeps its
    rights. Raises OSError, FileExistsError if it is a file.
    """
    missing = [path for path in folder.parents if not path.exists()]
    for path in (*reversed(missing), folder):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            path.chmod(mode)
            give_to_folders_owner(path)
    folder.mkdir(exist_ok=True)


def create_closed_folder(folder: Path, mode: int = 0o700) -> None:
    """Create a folder that other users cannot enter, or close an existing one to them.

    `mode` are the rights that stay, of missing parents too. A folder that is not ours, or is shared
    on purpose as /tmp is, stays as it is, with a warning. Raises OSError.
    """
    create_folder(folder, mode)
    found = folder.stat()
    open_rights = found.st_mode & 0o077 & ~mode
    if sys.platform == "win32" or not open_rights:
        return
    if found.st_mode & stat.S_ISVTX or os.geteuid() not in (0, found.st_uid):
        log.warning("%s is open to other users: move the files to a folder of your own.", folder)
        return
    folder.chmod(found.st_mode & 0o777 & ~open_rights)
    log.warning("%s was open to other users. Now only its owner can read it.", folder)


def close_to_others(handle: int, folder: Path) -> None:
    """Let only those use an open file who may write in its folder, mostly one user."""
    if sys.platform != "win32":
        writers = folder.stat().st_mode & 0o022
        with contextlib.suppress(PermissionError):  # another user's file
            os.fchmod(handle, 0o600 | writers * 3)  # may write there: may read and write this
        _give_to_owner(handle, folder)


def give_to_folders_owner(path: Path) -> None:
    """Let what root made belong to the owner of its folder, who may need it after root."""
    if sys.platform != "win32" and os.geteuid() == 0:
        owner = path.parent.stat()
        with contextlib.suppress(PermissionError):  # a network disk that does not trust root
            os.chown(path, owner.st_uid, owner.st_gid)


def _give_to_owner(handle: int, place: Path) -> None:
    """Let a file that root wrote belong to the owner of `place`, who may need it after root."""
    if sys.platform != "win32" and os.geteuid() == 0:
        owner = place.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


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

    False also if the lock file cannot be opened, for example because the disk is full: then with a
    warning, because no other process holds the lock.
    """
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(_open_lock_file(path))
            has_lock = lock_descriptor(handle, blocking=False)
        except OSError as error:
            log.warning("%s cannot be locked: %s.", path, describe_os_error(error))
            has_lock = False
        yield has_lock


@contextlib.contextmanager
def lock_or_refuse(path: Path, refusal: Exception) -> Iterator[None]:
    """Lock `path` during the block.

    Raises `refusal` if another process holds the lock, ConfigurationError if it cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(_open_lock_file(path))
            has_lock = lock_descriptor(handle, blocking=False)
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be locked: {describe_os_error(error)}."
            ) from error
        if not has_lock:
            raise refusal
        yield


@contextlib.contextmanager
def _open_lock_file(path: Path) -> Iterator[int]:
    """Open the lock file beside `path`; closing it unlocks.

    Who can read a file can lock it, so only those can read it who may write in the folder. NFS
    locks only files that are open for writing: flock(2).
    """
    lock_file = path.with_name(f".{path.name}.lock")
    handle = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        close_to_others(handle, path.parent)
        yield handle
    finally:
        os.close(handle)
