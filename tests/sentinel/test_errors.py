"""Stop signals: an orderly way out, put off where half a deed would be worse than none."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from sentinel.errors import Interrupted, SentinelError, end_cleanly_on_signals, signals_held


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    end_cleanly_on_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_becomes_an_interruption_with_the_shells_exit_code() -> None:
    with pytest.raises(Interrupted, match="SIGTERM") as caught:
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.exit_code == 143


def test_a_held_signal_comes_at_the_end_of_the_outermost_block() -> None:
    done = []
    with pytest.raises(Interrupted, match="SIGINT"), signals_held():
        with signals_held():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with signals_held():
        pass  # it came once


def test_a_signal_is_held_while_another_thread_lives() -> None:
    release, done = threading.Event(), []
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        with pytest.raises(Interrupted), signals_held():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("whole")
    finally:
        release.set()
        thread.join()
    assert done == ["whole"]


def test_an_error_without_words_says_what_its_class_says() -> None:
    assert str(SentinelError()) == SentinelError.__doc__
