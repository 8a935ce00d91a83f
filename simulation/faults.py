"""Makes faults: a folder that is gone, a full disk, a connection that breaks."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path
from typing import Any

import psycopg


def hide(folder: Path, *, is_hidden: bool) -> None:
    """Put a file in the place of a folder, or the folder back."""
    hidden = folder.with_name(f"{folder.name}.hidden")
    if is_hidden and not hidden.exists():
        folder.rename(hidden)
        folder.touch()
    elif not is_hidden and hidden.exists():
        folder.unlink()
        hidden.rename(folder)


def fill_disk() -> None:
    """Let this process's writes to files fail from now on, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def free_disk() -> None:
    """Let writes to files succeed again."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def is_disk_full() -> bool:
    """Whether `fill_disk` is in force."""
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] == 0


def break_connection(connection: psycopg.Connection[Any]) -> None:
    """Close a connection to the server from the network's side."""
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as end:
            end.shutdown(socket.SHUT_RDWR)
