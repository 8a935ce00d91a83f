"""The log of a process of a stack: each line with its time, rotated, and never an error.

Each process writes its own log. A full disk must not end a process because it logs a line: lines
that cannot be written are counted, and the log says how many they were once the disk has room.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel.files import give_to_folders_owner

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LOG_FOLDER = "logs"  # in the folder of a stack
MAX_LOG_BYTES = 5_000_000
OLD_LOGS = 2
MAX_TAIL_BYTES = 10_000


def locate_log(folder: Path, name: str) -> Path:
    """Return the log of a process of the stack in `folder`."""
    return folder / LOG_FOLDER / f"{name}.log"


def redirect_output(path: Path) -> None:
    """Send stdout and stderr of this process to a log, also what C code and subprocesses print."""
    log = LogFile(path.absolute(), (1, 2))
    text = io.TextIOWrapper(log, "utf-8", "backslashreplace", line_buffering=True)
    sys.stdout = sys.stderr = text


def read_tail(path: Path) -> list[str]:
    """Return the last lines of a log; none if it does not exist."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - MAX_TAIL_BYTES))
            return log.read().decode(errors="replace").rstrip().splitlines()
    except FileNotFoundError:
        return []


def find_last_line(lines: Sequence[str], before: datetime) -> str:
    """Return the last line that is older than `before`; empty if there is none."""
    time = _format_time(before)
    return next((line for line in reversed(lines) if line[: len(time)] < time), "")


def _format_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LogFile(io.BufferedIOBase):
    """A file that `descriptors` write to. It keeps OLD_LOGS older files, with numbers."""

    def __init__(
        self, path: Path, descriptors: Sequence[int], now: Callable[[], datetime] = _utc_now
    ) -> None:
        self.name = str(path)
        self._path = path
        self._descriptors = descriptors
        self._now = now
        self._is_line_start = True
        # Lines that could not be written since the last one that was.
        self._lost_lines = 0
        # A signal handler may write while its own thread writes.
        self._lock = threading.RLock()
        with contextlib.suppress(OSError):
            self._open()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write lines, each after its time. Raises nothing; returns the length of `data`."""
        content = bytes(data)
        with self._lock:
            try:
                self._ensure_open()
                if self._lost_lines:
                    self._report_lost_lines()
                self._write_all(self._add_times(content))
            except OSError:
                self._lost_lines += max(1, content.count(b"\n"))
            self._is_line_start = content.endswith(b"\n")
        return len(content)

    def _report_lost_lines(self) -> None:
        # The last line that was written may not be whole.
        time = _format_time(self._now())
        text = f"\n{time} {self._lost_lines} lines could not be written here\n"
        self._write_all(text.encode())
        self._lost_lines, self._is_line_start = 0, True

    def _add_times(self, content: bytes) -> bytes:
        time = f"{_format_time(self._now())} ".encode()
        lines = content.splitlines(keepends=True)
        return (time if self._is_line_start else b"") + time.join(lines)

    def _write_all(self, text: bytes) -> None:
        while text:
            text = text[os.write(self._descriptors[0], text) :]

    def _ensure_open(self) -> None:
        """Open the file again if a user deleted it; begin a new one if it is full."""
        try:
            is_full = self._path.stat().st_size > MAX_LOG_BYTES
        except FileNotFoundError:
            self._open()
            return
        if is_full:
            for number in range(OLD_LOGS, 0, -1):
                newer = self._old_path(number - 1) if number > 1 else self._path
                with contextlib.suppress(FileNotFoundError):
                    newer.replace(self._old_path(number))
            self._open()

    def _old_path(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _open(self) -> None:
        """Open the file, which only its owner can read: it may name what a portfolio holds."""
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for descriptor in self._descriptors:
            os.dup2(handle, descriptor)
        os.close(handle)
        give_to_folders_owner(self._path)
