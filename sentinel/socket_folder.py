"""The folder of a unix socket: short, and closed to other users.

The path of a unix socket has at most 104 bytes on macOS and 108 on Linux. A state directory may be
longer, so its sockets are in a folder below /tmp that is named after it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

# Leaves room for the longest name: Supervisor adds its pid to `supervisor.sock`.
MAX_FOLDER_BYTES = 104 - len("/supervisor.sock.4194304") - 1
PARENT = Path("/tmp")  # noqa: S108 # nosec B108 (each socket has a closed folder of its own there)


def path_digest(path: Path) -> str:
    """Return a short name for a path, the same in every run."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def locate_socket_folder(path: Path, owner: int | None = None) -> Path:
    """Return the folder of the sockets that belong to `path`; `owner` (None: we) is its user id.

    Another user may prepare the folder below /tmp, which would keep us from starting. Then it is a
    folder in `path`, where it is short enough.
    """
    path = path.resolve()
    common, own = PARENT / f"market-sentinel-{path_digest(path)}", path / "sockets"
    is_short = len(os.fsencode(own)) <= MAX_FOLDER_BYTES
    if own.exists() or (is_short and _is_of_another_user(common, owner)):
        return own
    return common


def _is_of_another_user(folder: Path, owner: int | None) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return folder.lstat().st_uid not in (0, os.geteuid() if owner is None else owner)
    return False


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
