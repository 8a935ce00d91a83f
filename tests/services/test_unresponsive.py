"""Ending a process that hangs: only in its container, and only after five checks in a row."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import unresponsive
from services.unresponsive import CHECKS_IN_A_ROW, end_after_repeated_hangs

MODULE = "services.api"
STARTED = b"python\0-m\0services.api\0"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that sleeps."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as found:
        yield found
        found.kill()


@pytest.fixture
def container(tmp_path: Path, process: subprocess.Popen[bytes]) -> Path:
    """The processes of a container of the API, as /proc lists them."""
    lines = {1: b"/sbin/docker-init\0--\0" + STARTED, process.pid: STARTED, 99: b"python\0-c\0"}
    for pid, line in lines.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cmdline").write_bytes(line)
    return tmp_path


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a server that accepts connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _check(container: Path, url: str, *, is_answering: bool = False) -> bool:
    return end_after_repeated_hangs(
        MODULE, url, is_answering=is_answering, proc=container, memory=container
    )


def test_the_fifth_hang_in_a_row_ends_the_process(
    container: Path, url: str, process: subprocess.Popen[bytes]
) -> None:
    assert [_check(container, url) for _ in range(CHECKS_IN_A_ROW)] == [False] * 4 + [True]
    assert process.wait(10) == -9


def test_a_count_that_a_full_disk_left_empty_begins_again(
    container: Path, url: str, process: subprocess.Popen[bytes]
) -> None:
    (container / f"{MODULE}.hangs").write_text("")
    assert [_check(container, url) for _ in range(CHECKS_IN_A_ROW)] == [False] * 4 + [True]
    assert process.wait(10) == -9


def test_an_answer_starts_the_count_again(
    container: Path, url: str, process: subprocess.Popen[bytes]
) -> None:
    for is_answering in [False] * 4 + [True] + [False] * 4:
        assert not _check(container, url, is_answering=is_answering)
    assert process.poll() is None


def test_a_process_that_does_not_listen_yet_does_not_hang(
    container: Path, process: subprocess.Popen[bytes]
) -> None:
    for _ in range(CHECKS_IN_A_ROW):
        assert not _check(container, "http://127.0.0.1:9")
    assert process.poll() is None


def test_outside_of_a_container_nothing_is_ended(
    container: Path, url: str, process: subprocess.Popen[bytes]
) -> None:
    (container / "1" / "cmdline").write_bytes(b"/lib/systemd/systemd\0")
    for _ in range(CHECKS_IN_A_ROW):
        assert not _check(container, url)
    assert process.poll() is None
    assert unresponsive._find_main_process("services.api", unresponsive.PROC) is None
