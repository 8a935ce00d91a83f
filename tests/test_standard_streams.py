"""Every command does its work where stdout or stderr is closed, or lies on a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from safe_zone import ROOT
from tests.support.commands import Module, Script

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")

# A command, and the exit code that it has with any stderr, and with any stdout that is not full.
WORK = [
    ("ingest.py --mode dry-run", 0),
    ("ingest.py --json --mode dry-run --limit 0", 2),
    ("verify_db.py", 6),
    ("verify_db.py --json", 6),
    ("reset_db.py", 2),
    ("budget_monitor.py", 0),
    ("budget_monitor.py --json", 0),
    ("find_all_matches.py btc", 2),
    ("sandbox.py strategies", 0),
    ("sandbox.py report", 2),
    ("archive.py status", 2),
    ("pipeline.job_summary report.json", 0),
    ("pipeline.commit_registry", 2),
    ("services.probe ingestion", 6),
    ("services.ingestion --test-notification", 0),
]


def _commands() -> dict[str, Path]:
    """All commands as the user types them, and their files: those that end in `run_as_script`."""
    folders = ("", "demo/", "pipeline/", "sentinel/**/", "services/**/")
    paths = {path for folder in folders for path in ROOT.glob(f"{folder}*.py")}
    found = sorted(p for p in paths if p.read_text().endswith("\n    run_as_script(main)\n"))
    return {_name_command(path.relative_to(ROOT)): path for path in found}


def _name_command(path: Path) -> str:
    if len(path.parts) == 1:
        return path.name
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__main__" else parts)


COMMANDS = _commands()
# They start other processes, so only their command lines are tested. psql reads that of `embedded`.
TESTED = {line.split()[0] for line, _ in WORK} | {"sentinel.storage.embedded"}
OTHERS = sorted(COMMANDS.keys() - TESTED)


@contextlib.contextmanager
def _full() -> Iterator[TextIO]:
    """A stream on a full disk. What is left in its buffer is lost without an error."""
    stream = FULL.open("w")
    yield stream
    with contextlib.suppress(OSError):
        stream.close()


def _codes(script: Script, *words: str) -> list[int]:
    """The exit codes with stdout closed, stderr closed, stderr full and stdout full."""
    with _full() as full, Path(os.devnull).open("w") as null:
        pairs: list[tuple[TextIO | None, TextIO | None]]
        pairs = [(None, null), (null, None), (null, full), (full, null)]
        return [script.call_with_streams(*pair, *words) for pair in pairs]


@pytest.mark.parametrize(("line", "code"), WORK)
def test_a_command_ends_with_its_own_code_whatever_its_streams_are(
    live_script: Script, live_module: Module, line: str, code: int
) -> None:
    words = line.split()
    script = live_script if words[0].endswith(".py") else live_module
    # Only a command that has succeeded says with its code that its output is lost.
    assert _codes(script, *words) == [code, code, code, code or 2]


@pytest.mark.slow  # imports all of them
@pytest.mark.parametrize("name", OTHERS)
def test_the_command_line_of_each_other_command_accepts_any_streams(
    module: Module, name: str
) -> None:
    assert _codes(module, name, "--help") == [0, 0, 0, 2]
    assert _codes(module, name, "--surprise") == [2, 2, 2, 2]


@pytest.mark.slow  # real processes
@pytest.mark.parametrize("redirection", ["<&- 2>&-", "2>/dev/full"])
def test_an_error_that_finds_no_room_costs_neither_the_report_nor_the_exit_code(
    script: Script, redirection: str
) -> None:
    line = f"{sys.executable} {ROOT / 'ingest.py'} --json --limit 0 {redirection}"
    done = subprocess.run(
        ["/bin/sh", "-c", line], env=dict(script.environment), stdout=subprocess.PIPE, check=False
    )
    assert (done.returncode, json.loads(done.stdout)["exit_code"]) == (2, 2)
    assert done.stdout.count(b"\n") == 1


def test_no_file_of_a_process_takes_the_number_of_a_closed_stream() -> None:
    program = "import os, sys, sentinel.startup; print(os.stat(2) == os.stat('/dev/null'))"
    line = f'exec {sys.executable} -c "{program}" 2>&-'
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "True\n"


# --- Ctrl-C during the imports ---------------------------------------------------------------


def test_every_command_imports_the_startup_module_before_all_others() -> None:
    assert len(COMMANDS) >= 18
    for path in COMMANDS.values():
        imports = re.findall(r"^ *(?:from|import) (\S+)", path.read_text(), re.MULTILINE)
        imports = [name for name in imports if name not in ("__future__", "gc")]
        assert imports[0] == "sentinel.startup", path


@pytest.mark.parametrize("words", [["ingest.py"], ["-m", "pipeline.job_summary"]])
def test_ctrl_c_during_the_imports_ends_a_command_without_a_traceback(
    script: Script, tmp_path: Path, words: list[str]
) -> None:
    """A module that is found instead of pydantic sends the signal."""
    (tmp_path / "pydantic.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    )
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**script.environment, "PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
        check=False,
    )
    # A shell reports 130 for this.
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")
