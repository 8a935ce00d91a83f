"""The log of the embedded server: its size, and why a start failed."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from sentinel.files import give_to_folders_owner

MAX_LOG_BYTES = 1_000_000
# "the database system is starting up" is a reply to a client, and not a cause.
_FATAL = re.compile(r"(?:FATAL|PANIC):  (?!the database system is).*")


def limit_log(log_file: Path) -> None:
    """Empty the server's log once it is longer than MAX_LOG_BYTES, and keep its end beside it.

    The server writes on, because it only appends. Every process that uses the server calls this, so
    that the log of a server that runs for months stays short.
    """
    with contextlib.suppress(OSError):
        if log_file.stat().st_size > MAX_LOG_BYTES:
            end = log_file.read_bytes()[-MAX_LOG_BYTES:]
            os.truncate(log_file, 0)  # first: it makes room where the disk is full
            kept = log_file.with_suffix(".log.1")
            kept.touch(0o600)  # a statement in it may hold a transaction of the portfolio
            kept.write_bytes(end)
            give_to_folders_owner(kept)


def measure_log(log_file: Path) -> int:
    """Return the size of the log in bytes; 0 if there is none."""
    return log_file.stat().st_size if log_file.exists() else 0


def last_fatal_message(log_file: Path, start: int) -> str:
    """Return the last FATAL or PANIC message that was written after byte `start`, else the last
    line. What is before `start` belongs to earlier starts, and a full disk cuts off the last line.
    """
    try:
        text = log_file.read_bytes()[start:].decode(errors="replace")
    except OSError:
        return ""
    lines = text[: text.rfind("\n") + 1].splitlines()
    fatal = [found[0] for line in lines if (found := _FATAL.search(line))]
    return f"{fatal[-1]}." if fatal else "".join(lines[-1:])
