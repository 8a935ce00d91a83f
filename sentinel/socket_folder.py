"""The folder of a unix socket: short, and closed to other users.

The path of a unix socket has at most 104 bytes on macOS and 108 on Linux. A state directory may be
longer, so its sockets are in a folder below /tmp that is named after it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

PARENT = Path("/tmp")  # noqa: S108 # nosec B108 (each socket has a closed folder of its own there)


def path_digest(path: Path) -> str:
    """Return a short name for a path, the same in every run."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def locate_socket_folder(path: Path) -> Path:
    """Return the folder of the sockets that belong to `path`."""
    return PARENT / f"market-sentinel-{path_digest(path.resolve())}"


def create_socket_folder(folder: Path, owner: tuple[int, int] | None = None) -> None:
    """Create a folder that only its owner can enter.

    Root gives it to another `owner` (user and group id). Raises PermissionError if another user
    prepared the folder, or can enter it.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if owner and folder.lstat().st_uid == 0:
        os.chown(folder, *owner)
    expected = owner[0] if owner else os.geteuid()
    found = folder.lstat()
    if found.st_uid != expected or found.st_mode & 0o777 != 0o700:
        raise PermissionError(
            f"The socket folder {folder} belongs to another user or is open to other users. "
            "Delete it and start again."
        )
