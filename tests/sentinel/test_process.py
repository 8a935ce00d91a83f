"""Signals end a process cleanly, and wait while a step must not be interrupted."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from safe_zone import ROOT
from sentinel import process
from sentinel.errors import Interrupted
from sentinel.process import defer_signals, raise_interrupted_on_signals


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    raise_interrupted_on_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_raises_interrupted_with_the_exit_code_of_the_shell() -> None:
    with pytest.raises(Interrupted, match="SIGTERM") as caught:
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.exit_code == 143


def test_a_command_that_reads_the_archive_ends_without_a_word_from_duckdb() -> None:
    program = "import duckdb; from sentinel.process import run_as_script; run_as_script(lambda: 0)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stderr == b""


class _WindowsConsole(io.RawIOBase):
    """Takes the place of Python's class, which sends characters and not the bytes of its file."""

    def fileno(self) -> int:
        return 1

    def writable(self) -> bool:
        return True


def test_a_console_of_windows_keeps_its_own_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    console = io.TextIOWrapper(io.BufferedWriter(_WindowsConsole()), "utf-8")
    monkeypatch.setattr(sys, "stdout", console)
    assert process._drop_unwritable_output("stdout") is None
    assert sys.stdout is console


def test_a_deferred_signal_is_raised_at_the_end_of_the_outermost_block() -> None:
    done = []
    with pytest.raises(Interrupted, match="SIGINT"), defer_signals():
        with defer_signals():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with defer_signals():
        pass  # it was raised once


def test_a_signal_is_deferred_while_another_thread_runs() -> None:
    release, done = threading.Event(), []
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        with pytest.raises(Interrupted), defer_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("whole")
    finally:
        release.set()
        thread.join()
    assert done == ["whole"]
