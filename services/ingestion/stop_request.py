"""SIGTERM and Ctrl-C as a request to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from sentinel.errors import Interrupted


class StopRequest:
    """The first SIGTERM or Ctrl-C ends the loop after the current tick, the second one at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._was_received = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._was_received:
            raise Interrupted(number)
        self._was_received = True
        # Not with print: the signal may interrupt a print of the main program.
        os.write(sys.stderr.fileno(), b"stopping after this tick\n")
        self._event.set()

    def is_set(self) -> bool:
        """Return whether a signal has arrived."""
        return self._event.is_set()

    def sleep(self, seconds: float) -> None:
        """Sleep until the time is over or a signal arrives."""
        self._event.wait(seconds)
