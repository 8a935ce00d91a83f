"""The project's commands as a user runs them, and assertions about their output."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from unittest import mock

from safe_zone import ROOT
from sentinel.process import run_as_script

# Values of the tests' settings that no output may contain.
SECRETS = ("hunter2", "a-demo-key")
_SIGNALS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGALRM") if hasattr(signal, name)
]
_LOGGERS = ("urllib3", "psycopg", "apprise")


@dataclass(frozen=True)
class Script:
    """Runs the commands at the project's root, with a folder and an environment of their own."""

    folder: Path
    environment: Mapping[str, str]

    def command(self, name: str) -> list[str]:
        """Return the arguments of Python that start a command."""
        return [str(ROOT / name)]

    def module(self, name: str) -> str:
        """Return the module whose `main` is the command."""
        return name.removesuffix(".py")

    def __call__(
        self, name: str, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in this process, from its arguments to its exit code.

        A process of its own would take a second, most of it for imports. Use `run` where the
        process itself matters.
        """
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        code = self.call_with_streams(out, err, name, *arguments, **environment)
        outputs = (stream.buffer.getvalue().decode() for stream in (out, err))
        return subprocess.CompletedProcess([name, *arguments], code, *outputs)

    def call_with_streams(
        self,
        stdout: TextIO | None,
        stderr: TextIO | None,
        name: str,
        *arguments: str,
        **environment: str,
    ) -> int:
        """Run a command in this process with these streams (None: closed); return its exit code."""
        argv = [self.command(name)[-1], *arguments]
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, {**self.environment, **environment}, clear=True),
            mock.patch.multiple(sys, argv=argv, stdout=stdout, stderr=stderr),
            Path(os.devnull).open() as stdin,
            mock.patch.object(sys, "stdin", stdin),
            _restored_process_state(),
        ):
            return _call_main(self.module(name))

    def run(
        self, name: str, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own."""
        return subprocess.run(
            [sys.executable, *self.command(name), *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=100,
        )

    def start(self, name: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command in a process of its own and return the process."""
        return subprocess.Popen(
            [sys.executable, *self.command(name), *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


class Module(Script):
    """Runs a package's command, like `python -m` in the project's folder."""

    def command(self, name: str) -> list[str]:
        return ["-m", name]

    def module(self, name: str) -> str:
        is_package = (ROOT / name.replace(".", "/")).is_dir()
        return f"{name}.__main__" if is_package else name


def _call_main(module: str) -> int:
    """Run a command's `main` as its file does, and return the exit code."""
    try:
        run_as_script(importlib.import_module(module).main)
    except SystemExit as done:
        if isinstance(done.code, str):
            print(done.code, file=sys.stderr)
            return 1
        return done.code or 0
    except Exception:  # noqa: BLE001 - Python prints the traceback of any error and ends with 1
        traceback.print_exc()
        return 1


@contextlib.contextmanager
def _restored_process_state() -> Iterator[None]:
    """Undo what a command changes in its process: signal handlers, alarm, umask and logging."""
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    umask = os.umask(0o077)
    os.umask(umask)
    timer = signal.getitimer(signal.ITIMER_REAL)
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    with mock.patch.multiple(root, handlers=[], level=root.level):
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.setitimer(signal.ITIMER_REAL, *timer)
            os.umask(umask)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root.setLevel(root.level)  # clears the cache of isEnabledFor


def assert_error(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Assert one or two plain lines on stderr with these words, and no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("usage:")]
    errors = [line for line in lines if "error: " in line]
    assert len(errors) == 1
    for word in words:
        assert word in errors[0]
    for secret in SECRETS:
        assert secret not in done.stdout + done.stderr


def is_running(pid: int) -> bool:
    """Return whether a process runs. One that has ended may still be listed as a zombie."""
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    state = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def wait_until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, while a process runs."""
    until = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
