"""Files that no process needs any more: drafts of killed processes, and the oldest of a kind."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# Long after every process that may still work on such a file.
LEFTOVER_AGE_SECONDS = 86_400
_PREFIX = "market-sentinel-files-"


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove files and folders that are older than LEFTOVER_AGE_SECONDS, if they are our own.

    A process that was killed could not remove them. An error leaves them in place.
    """
    newest = time.time() - LEFTOVER_AGE_SECONDS
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if found.st_mtime < newest and (
                sys.platform == "win32" or found.st_uid == os.geteuid()
            ):
                _remove(path)


def keep_newest(folder: Path, pattern: str, count: int) -> None:
    """Remove all files and folders of a pattern but the `count` newest."""
    with contextlib.suppress(OSError):
        found = sorted(folder.glob(pattern), key=lambda path: path.lstat().st_mtime)
        for path in found[:-count]:
            _remove(path)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder for unfinished files, and remove those of killed processes. Raises OSError."""
    remove_leftovers(Path(tempfile.gettempdir()), f"{_PREFIX}*")
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        yield Path(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
