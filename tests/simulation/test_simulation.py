"""The simulation keeps all promises, repeats itself, and finds a planted fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from safe_zone import ROOT
from tests.mutations import Mutation
from tests.planted_faults import FAULTS, find_seed, simulate

SEEDS = range(101, 111)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_of_faults_breaks_no_promise(seed: int) -> None:
    result = simulate(ROOT, seed, days=1)
    assert result["problem"] is None, json.dumps(result, indent=1)
    assert result["checks"] > 3
    assert result["events"]
    assert result["footprints"][-1]["open descriptors"] < 20


@pytest.mark.slow
def test_a_seed_always_gives_the_same_events_and_prices() -> None:
    first, second = (_without_sizes(simulate(ROOT, 7, days=0.5)) for _ in range(2))
    assert first == second


@pytest.mark.slow
def test_the_simulation_finds_a_day_that_was_dropped_too_early() -> None:
    [fault] = [fault for fault in FAULTS if "no day inside" in fault.promise]
    found = find_seed(fault, days=0.2)
    assert found
    assert "was dropped within the retention" in found["problem"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.path)
def test_each_fault_to_be_planted_fits_the_product(fault: Mutation, tmp_path: Path) -> None:
    path = tmp_path / fault.path
    path.parent.mkdir(parents=True, exist_ok=True)
    source = (ROOT / fault.path).read_text(encoding="utf-8")
    path.write_text(source, encoding="utf-8")
    fault.apply(tmp_path)
    compile(path.read_text(encoding="utf-8"), fault.path, "exec")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_interrupted_simulation_ends_its_processes_and_says_so_in_one_line_each() -> None:
    command = [sys.executable, "-m", "simulation", "--seeds=3", "--days=300", "--jobs=1"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        [seed] = _wait_for_children(process.pid)
        _wait_for_children(seed)  # git, then the server
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert set(messages.splitlines()) == {
        "error: Stopped by SIGTERM.",
        "error: Stopped by SIGINT.",
    }
    assert not Path(f"/proc/{seed}").exists()


@pytest.mark.slow
def test_a_simulation_without_git_ends_in_one_line() -> None:
    command = [sys.executable, "-m", "simulation", "--days=1"]
    environment = os.environ | {"PATH": "/nonexistent"}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr == "error: git was not found: install it, or add it to PATH.\n"


def _wait_for_children(pid: int) -> list[int]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        lists = Path(f"/proc/{pid}/task").glob("*/children")
        if found := [int(child) for path in lists for child in path.read_text().split()]:
            return found
        time.sleep(0.01)
    raise TimeoutError(f"process {pid} has started no other within 30 seconds")


def _without_sizes(result: dict[str, Any]) -> dict[str, Any]:
    """Leave out what depends on the machine."""
    return {name: value for name, value in result.items() if name != "footprints"}
