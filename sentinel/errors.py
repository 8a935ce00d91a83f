"""The error family, sorted by what happens next, and the exit codes of every script.

SentinelError                 stop, exit 1: nobody foresaw it
├── ConfigurationError        stop, exit 2: a person has to change a setting, a flag or a file
├── ApiUnavailable            go on with what arrived, exit 3: the next run tries again
│   └── ApiRefused            the same, but asking again will not help: CoinGecko said no
│       └── CoinUnknown       skip this coin
├── StorageUnavailable        exit 4: the rows wait in the spool for the next run
├── ArchiveUnavailable        exit 4: the day stays in the database, the next run tries again
├── ArchiveDamaged            exit 6: a person has to bring the file back, or let it go
├── BudgetExhausted           exit 5, before any call or wake: the next month begins anew
└── Interrupted               exit 128 + signal: somebody asked the process to end
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_UNHEALTHY = 6


class SentinelError(Exception):
    """Market Sentinel met a problem that has no better name."""

    exit_code = EXIT_UNEXPECTED

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class ConfigurationError(SentinelError):
    """A setting is wrong. Correct it and start again."""

    exit_code = 2


class ApiUnavailable(SentinelError):
    """CoinGecko does not answer. The next run tries again."""

    exit_code = 3


class ApiRefused(ApiUnavailable):
    """CoinGecko refuses this request, so asking again does not help."""


class CoinUnknown(ApiRefused):
    """CoinGecko does not know this coin."""


class StorageUnavailable(SentinelError):
    """The database cannot be used. Fetched rows wait in the spool for the next run."""

    exit_code = 4


class ArchiveUnavailable(SentinelError):
    """The archive cannot be used. What it was to keep stays in the database."""

    exit_code = 4


class ArchiveDamaged(SentinelError):
    """A file of the archive is not what was written."""

    exit_code = EXIT_UNHEALTHY


class BudgetExhausted(SentinelError):
    """A free quota is used up. Runs go on when its month begins anew."""

    exit_code = 5


class Interrupted(SentinelError):
    """The run was asked to stop."""

    def __init__(self, signal_number: int) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(f"Stopped by {signal.Signals(signal_number).name}.")


@dataclass
class _Hold:
    """How many blocks hold signals back just now, and the one that came meanwhile."""

    depth: int = 0
    waiting: int | None = None


_hold = _Hold()


def _interrupt(signal_number: int, _frame: FrameType | None) -> None:
    if not _hold.depth:
        raise Interrupted(signal_number)
    _hold.waiting = signal_number


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Put off what would stop this process until the end of the block.

    Not by a signal mask: that is one thread's, and the kernel would find another thread.
    """
    _hold.depth += 1
    try:
        yield
    finally:
        _hold.depth -= 1
        if not _hold.depth and _hold.waiting is not None:
            number, _hold.waiting = _hold.waiting, None
            raise Interrupted(number)


def end_cleanly_on_signals() -> None:
    """Turn SIGTERM and Ctrl-C into `Interrupted`, so that every `finally` on the way out runs."""
    for name in ("SIGTERM", "SIGINT", "SIGALRM"):  # the last ends a run that hangs; not on Windows
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)


def format_annotation(kind: str, message: object) -> str:
    """A complaint of a `kind` (error, warning) as a line; GitHub Actions makes such lines an
    annotation of the run.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return f"error: {message}" if kind == "error" else str(message)
    escaped = str(message).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{kind}::{escaped}"


def describe_error(error: BaseException) -> str:
    """An error of whatever driver, in one line: its kind and what it says."""
    text = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def run_as_script(main: Callable[[], int]) -> NoReturn:
    """Run a script's `main`; a known trouble ends in its message on stderr and its exit code.

    An error nobody foresaw keeps its traceback: that is what a bug report needs.
    """
    end_cleanly_on_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a coin's name may not fit the terminal's code
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main()
        print(end="", flush=True)
    except SentinelError as error:
        print(format_annotation("error", error), file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:
        # The reader of our output (`| head`) went away: its choice, not an error.
        _leave_output()
        code = EXIT_OK
    except OSError as error:
        if _takes_output():
            raise
        _leave_output()
        text = f"The output cannot be written ({error.strerror}). What was done stays done."
        print(format_annotation("error", text), file=sys.stderr)
        code = ConfigurationError.exit_code
    sys.exit(code)


def _takes_output() -> bool:
    """Whether stdout takes another line."""
    try:
        os.write(sys.stdout.fileno(), b"\n")
    except OSError:
        return False
    return True


def _leave_output() -> None:
    """Let what is still to be written go nowhere: else it would fail once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
