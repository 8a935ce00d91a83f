"""The local copies of an object store's files: how much disk space they may take."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

# A day of 500 coins every 15 minutes has about a megabyte, a day of the loop some tens.
MAX_CACHE_BYTES = 1_000_000_000
# A reader opens the files that it asked for within this time.
IN_USE_SECONDS = 3_600


def mark_as_used(copy: Path) -> None:
    """Keep a copy longer than those that nothing reads."""
    with contextlib.suppress(OSError):
        os.utime(copy)


def limit_cache(folder: Path) -> None:
    """Delete the copies that were used longest ago, until the rest has MAX_CACHE_BYTES.

    `folder` holds a folder for each archive. What was used within IN_USE_SECONDS stays.
    """
    with contextlib.suppress(OSError):
        copies = sorted(
            ((path.stat(), path) for path in folder.glob("*/*")), key=lambda copy: copy[0].st_mtime
        )
        excess = sum(found.st_size for found, _ in copies) - MAX_CACHE_BYTES
        for found, path in copies:
            if excess <= 0 or found.st_mtime > time.time() - IN_USE_SECONDS:
                break
            path.unlink(missing_ok=True)
            excess -= found.st_size
