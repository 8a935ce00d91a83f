"""A command as a process: its entry point, the signals that end it, and its last message."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from sentinel.errors import EXIT_OK, ConfigurationError, Interrupted, SentinelError


def run_as_script(main: Callable[[], int]) -> NoReturn:
    """Run a command's `main` and exit with the code that it returns.

    A SentinelError ends in its message on stderr and its exit code. An unexpected error keeps its
    traceback, because a bug report needs it.
    """
    configure_logging()
    raise_interrupted_on_signals()
    atexit.register(_skip_last_collection)
    for stream in (sys.stdout, sys.stderr):
        # A coin's name may contain characters that the terminal's encoding lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main()
        print(end="", flush=True)
    except SentinelError as error:
        print(format_annotation("error", error), file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:
        # The reader of the output (`| head`) closed it on purpose, so this is no error.
        _discard_output()
        code = EXIT_OK
    except OSError as error:
        if _can_write_output():
            raise
        _discard_output()
        text = f"The output cannot be written ({error.strerror}). Completed work is kept."
        print(format_annotation("error", text), file=sys.stderr)
        code = ConfigurationError.exit_code
    sys.exit(code)


def _skip_last_collection() -> None:
    """Keep the interpreter from searching all objects for cycles before it ends: 0.06 s."""
    # duckdb reports every object on stderr that it finds uncollected.
    if "duckdb" not in sys.modules:
        gc.freeze()


def _can_write_output() -> bool:
    """Whether stdout accepts another line."""
    try:
        os.write(sys.stdout.fileno(), b"\n")
    except OSError:
        return False
    return True


def _discard_output() -> None:
    """Send the rest of stdout to the null device.

    Otherwise Python's flush at exit would fail a second time.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- signals ---------------------------------------------------------------------------------


def raise_interrupted_on_signals() -> None:
    """Turn SIGTERM, Ctrl-C and SIGALRM into `Interrupted`, so that every `finally` block runs.

    SIGALRM ends a run that hangs; Windows does not have it.
    """
    for name in ("SIGTERM", "SIGINT", "SIGALRM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)


@dataclass
class _DeferredSignals:
    """Whether signals are deferred now, and the signal that arrived meanwhile."""

    # How many nested blocks defer signals.
    depth: int = 0
    # The number of the last signal that arrived inside such a block.
    pending: int | None = None


_deferred = _DeferredSignals()


def _interrupt(signal_number: int, _frame: FrameType | None) -> None:
    if not _deferred.depth:
        raise Interrupted(signal_number)
    _deferred.pending = signal_number


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Delay `Interrupted` until the end of the block.

    A signal mask would not do: a mask belongs to one thread, and the kernel would deliver the
    signal to another thread of the process.
    """
    _deferred.depth += 1
    try:
        yield
    finally:
        _deferred.depth -= 1
        if not _deferred.depth and _deferred.pending is not None:
            number, _deferred.pending = _deferred.pending, None
            raise Interrupted(number)


# --- messages --------------------------------------------------------------------------------


def configure_logging(*, verbose: bool = False) -> None:
    """Send log records to stderr, one line each: warnings and errors, or everything if verbose."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AnnotationFormatter())
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    logging.getLogger("psycopg").setLevel(logging.ERROR)


class _AnnotationFormatter(logging.Formatter):
    """Formats warnings so that GitHub Actions shows them as annotations."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return format_annotation("warning", text) if record.levelno >= logging.WARNING else text


def format_annotation(kind: str, message: object) -> str:
    """Return a message of a `kind` (error, warning) as one line for stderr.

    GitHub Actions turns lines of this form into annotations of the run:
    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return f"error: {message}" if kind == "error" else str(message)
    # The escapes are those of the Actions toolkit; a bare line break would end the annotation.
    escaped = str(message).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{kind}::{escaped}"


def describe_error(error: BaseException) -> str:
    """Return any library's error as one line: its class and its message."""
    text = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
