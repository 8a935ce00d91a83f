"""End a process that listens but answers nothing, so that its container starts again.

Compose restarts a container that ended, never one that is only unhealthy. Most unhealthy processes
miss something that a restart does not bring back, such as the database. A process that hangs is
different. The loop ends itself if a tick hangs; API and dashboard are ended by their health checks.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

CHECKS_IN_A_ROW = 5
CONNECT_SECONDS = 2.0
PROC = Path("/proc")


def end_after_repeated_hangs(
    module: str, url: str, *, is_answering: bool, proc: Path = PROC, memory: Path | None = None
) -> bool:
    """Note the result of a health check, and end the process at the fifth hang in a row.

    Returns whether it was ended. Outside of a container of `module` this does nothing. `memory` is
    the folder that keeps the count between checks (default: that of temporary files, which a
    container loses when it ends).
    """
    main_process = _find_main_process(module, proc)
    count_file = (memory or Path(tempfile.gettempdir())) / f"{module}.hangs"
    if main_process is None or is_answering or not _is_listening(url):
        count_file.unlink(missing_ok=True)
        return False
    count = _read_count(count_file) + 1
    with contextlib.suppress(OSError):  # a full disk: then no hang is counted
        count_file.write_text(str(count))
    if count < CHECKS_IN_A_ROW:
        return False
    os.kill(main_process, signal.SIGKILL)  # a process that hangs may not handle SIGTERM
    return True


def _read_count(count_file: Path) -> int:
    text = count_file.read_text() if count_file.exists() else ""
    return int(text) if text.isdecimal() else 0  # a full disk leaves an empty file


def _is_listening(url: str) -> bool:
    """Return whether a process listens there. A process that still starts does not."""
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname, address.port), CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _find_main_process(module: str, proc: Path) -> int | None:
    """Return the process that the init process of a container started with `python -m module`."""
    started = f"-m\0{module}\0".encode()
    if started not in (proc / "1" / "cmdline").read_bytes():
        return None
    for path in proc.glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError):  # a process that has just ended
            if path.parent.name != "1" and started in path.read_bytes():
                return int(path.parent.name)
    return None
