"""Runs a program from a small process, and returns what it used.

A process that is forked inherits the peak memory of its parent, also across exec
(https://man7.org/linux/man-pages/man2/getrusage.2.html: ru_maxrss), and a benchmark's is large.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from safe_zone import ROOT

_LAUNCHER = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)
seconds = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = used.ru_utime + used.ru_stime
json.dump([seconds, cpu, used.ru_maxrss, done.returncode, done.stdout], sys.stdout)
"""
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, or KiB


class ProcessUse(NamedTuple):
    """What a program used and printed."""

    # From its start to its end.
    seconds: float
    # Of all its cores, with its children.
    cpu_seconds: float
    # The largest of its own peak and of those of its children.
    peak_megabytes: float
    stdout: str


def run_python(
    arguments: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    python: str | Path = sys.executable,
) -> ProcessUse:
    """Run Python, or that of another venv, in the project's folder and wait for its end.

    Raises subprocess.CalledProcessError if it fails.
    """
    launched = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, python, *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds, cpu, peak, code, stdout = json.loads(launched.stdout)
    if code:
        raise subprocess.CalledProcessError(code, [str(word) for word in arguments], stdout)
    return ProcessUse(seconds, cpu, peak * _PEAK_UNIT / 1e6, stdout)
