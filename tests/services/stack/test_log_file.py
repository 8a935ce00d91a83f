"""The log of a process of a stack: times, rotation, and a disk that is full."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel.process import write_in_signal_handler
from services.stack import log_file
from services.stack.log_file import LogFile
from tests.conftest import NOW

FULL = Path("/dev/full")  # every write to it fails with ENOSPC


@pytest.fixture
def descriptor() -> Iterator[int]:
    """A descriptor that stands in for stdout."""
    handle = os.open(os.devnull, os.O_WRONLY)
    yield handle
    os.close(handle)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api.log"


@pytest.fixture
def log(path: Path, descriptor: int) -> LogFile:
    return LogFile(path, [descriptor], lambda: NOW)


def test_each_line_has_its_time_also_if_it_is_written_in_parts(log: LogFile, path: Path) -> None:
    for part in (b"one\ntwo, ", b"and more\n", b"", b"three\n"):
        assert log.write(part) == len(part)
    time = "2026-11-20T12:00:30Z"
    assert path.read_text() == f"{time} one\n{time} two, and more\n{time} three\n"


def test_what_is_printed_below_python_is_in_the_log_too(
    log: LogFile, path: Path, descriptor: int
) -> None:
    log.write(b"before\n")
    os.write(descriptor, b"Fatal Python error: Segmentation fault\n")
    assert path.read_text().endswith(" before\nFatal Python error: Segmentation fault\n")


def test_only_its_owner_can_read_a_log(log: LogFile, path: Path) -> None:
    log.write(b"Your 0.35 BTC: $14,920\n")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_log_is_set_aside_and_the_oldest_deleted(
    monkeypatch: pytest.MonkeyPatch, log: LogFile, path: Path
) -> None:
    monkeypatch.setattr(log_file, "MAX_LOG_BYTES", 25)
    for number in range(5):
        log.write(b"line %d\n" % number)
    assert {file.name: file.read_text()[-2] for file in path.parent.iterdir()} == {
        "api.log": "4",
        "api.log.1": "3",
        "api.log.2": "2",
    }


def test_a_deleted_log_is_created_again(log: LogFile, path: Path) -> None:
    log.write(b"one\n")
    path.unlink()
    log.write(b"two\n")
    assert path.read_text().endswith("Z two\n")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_full_disk_raises_nothing_and_the_log_tells_how_many_lines_are_missing(
    log: LogFile, path: Path
) -> None:
    path.unlink()
    path.symlink_to(FULL)
    log._open()
    log.write(b"one\ntwo\n")
    log.write(b"three\n")
    path.unlink()
    log.write(b"four\n")
    time = "2026-11-20T12:00:30Z"
    assert path.read_text() == f"\n{time} 3 lines could not be written here\n{time} four\n"


def test_a_log_that_cannot_be_opened_raises_nothing(tmp_path: Path, descriptor: int) -> None:
    folder = tmp_path / "logs"
    log = LogFile(folder / "api.log", [descriptor])
    log.write(b"lost\n")
    folder.mkdir()
    log.write(b"found\n")
    assert "1 lines could not be written here" in (folder / "api.log").read_text()


def test_a_line_of_a_signal_handler_has_its_time_too(
    log: LogFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = io.TextIOWrapper(log, "utf-8", line_buffering=True)
    monkeypatch.setattr(sys, "stderr", stderr)
    write_in_signal_handler(b"stopping after this tick\n")
    assert path.read_text() == "2026-11-20T12:00:30Z stopping after this tick\n"
    stderr.detach()
