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
from typing import Any, NoReturn

from sentinel.errors import EXIT_OK, ConfigurationError, Interrupted, SentinelError


def run_as_script(main: Callable[[], int]) -> NoReturn:
    """Run a command's `main` and exit with the code that it returns.

    A SentinelError ends in its message on stderr and its exit code. An unexpected error keeps its
    traceback, because a bug report needs it. Output that finds no room on a full disk is dropped:
    on stderr only the message is lost, on stdout a code of 0 becomes 2.
    """
    # Here, because it sets a signal handler, which a thread of a cluster's worker cannot.
    from sentinel.startup import open_missing_streams

    open_missing_streams()
    stdout = _drop_unwritable_output("stdout")
    _drop_unwritable_output("stderr")
    configure_logging()
    raise_interrupted_on_signals()
    atexit.register(_skip_last_collection)
    code: str | int | None
    try:
        code = main()
    except SentinelError as error:
        print(format_annotation("error", error), file=sys.stderr)
        code = error.exit_code
    except SystemExit as done:  # from argparse
        code = done.code
    sys.stdout.flush()
    lost = _check_output(stdout)
    sys.exit(code or lost)


def _skip_last_collection() -> None:
    """Keep the interpreter from searching all objects for cycles before it ends: 0.06 s."""
    # duckdb reports every object on stderr that it finds uncollected.
    if "duckdb" not in sys.modules:
        gc.freeze()


# --- standard streams ------------------------------------------------------------------------


class _LossyFile(io.FileIO):
    """A file that drops what the system refuses to write, and remembers the first refusal.

    An exception would end a loop, or lose the report and the exit code of a finished run.
    """

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = self.error or error
            return memoryview(data).nbytes


def _drop_unwritable_output(name: str) -> _LossyFile | None:
    """Replace sys.stdout or sys.stderr by a stream that drops what cannot be written.

    Returns the file of the new stream. None: the stream stays, because it is no file. It is in
    memory, or it is a console of Windows, which is never full and takes characters, not bytes.
    """
    stream = getattr(sys, name)
    # A coin's name may contain characters that the terminal's encoding lacks.
    errors = "backslashreplace"
    buffer = getattr(stream, "buffer", None)
    if not isinstance(getattr(buffer, "raw", buffer), io.FileIO):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
        return None
    file = _LossyFile(stream.fileno(), "w", closefd=False)
    stream.flush()
    replacement = io.TextIOWrapper(
        file if stream.write_through else io.BufferedWriter(file),
        encoding=stream.encoding,
        errors=errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    setattr(sys, name, replacement)
    return file


def _check_output(stdout: _LossyFile | None) -> int:
    """Return the exit code for the output: 0, or that of a configuration error if some is lost."""
    error = stdout.error if stdout else None
    # A reader that has gone (`| head`) closed the pipe on purpose, so that is no error.
    if error is None or isinstance(error, BrokenPipeError):
        return EXIT_OK
    text = f"The output cannot be written ({error.strerror}). Completed work is kept."
    print(format_annotation("error", text), file=sys.stderr)
    return ConfigurationError.exit_code


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


def write_in_signal_handler(line: bytes) -> None:
    """Write a line to stderr, below its buffers: the signal may interrupt a print."""
    buffer = getattr(sys.stderr, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # the log of a stack's process has no buffer
    if raw is not None:
        with contextlib.suppress(OSError):  # no room for it on the disk
            raw.write(line)


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


def is_on_github_actions() -> bool:
    """Return whether this process is a part of a workflow on GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def format_annotation(kind: str, message: object) -> str:
    """Return a message of a `kind` (error, warning) as one line for stderr.

    GitHub Actions turns lines of this form into annotations of the run:
    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    if not is_on_github_actions():
        return f"error: {message}" if kind == "error" else str(message)
    # The escapes are those of the Actions toolkit; a bare line break would end the annotation.
    escaped = str(message).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{kind}::{escaped}"


def describe_error(error: BaseException) -> str:
    """Return any library's error as one line: its class and its message."""
    text = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
