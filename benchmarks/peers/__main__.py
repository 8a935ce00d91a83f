"""`python -m benchmarks.peers`: print how the sandbox compares with other backtesters."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import inputs, tables, tasks
from benchmarks.processes import run_python
from benchmarks.results import Record
from safe_zone import ROOT

HERE = Path(__file__).parent
CORRECTNESS = {"correctness": (tables.OWN, "vectorbt", "backtesting", "backtrader")}
# Which engines do which task, in this order: this project and its peers in turn.
SPEED = {
    "one-coin": (tables.OWN, "vectorbt", "backtesting", "backtrader"),
    "command": (tables.OWN, "vectorbt", "backtesting", "backtrader", "bt"),
    "grid": (tables.OWN, "vectorbt"),
    "own": (tables.OWN, "backtesting", "backtrader"),
    "large": (tables.OWN, "duckdb"),
    "large-command": (tables.OWN, "duckdb"),
}
PEERS = ("vectorbt", "backtesting", "backtrader", "bt")
CROSS = ("sma-cross", "--param", f"fast={tasks.FAST}", "--param", f"slow={tasks.SLOW}")
# This project's own commands. On the large file it holds: what counts there is the reading.
COMMANDS = {"command": (tasks.QUARTERS, *CROSS), "large-command": (tasks.LARGE, "hold")}


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--only", choices=("correctness", "speed"), help="one of the two tables")
    parser.add_argument(
        "--peers",
        nargs="*",
        default=PEERS,
        choices=PEERS,
        metavar="NAME",
        help=f"of {', '.join(PEERS)} (default: all; without a name: this project alone)",
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=inputs.FULL_ROWS,
        help="of the large file; fewer shrink all prices but the daily ones (default %(default)s)",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="of each task; medians count (default %(default)s)"
    )
    parser.add_argument(
        "--venvs", type=Path, help="a folder that keeps the venvs (default: a temporary one)"
    )
    return parser.parse_args()


def _make_venv(folder: Path, peer: str) -> None:
    """Install a peer into a venv, unless an earlier run did."""
    done = folder / peer / "installed"
    if done.exists():
        return
    print(f"Installing {peer} ...", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder / peer], check=True)
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r")
    subprocess.run([_python(folder, peer), *install, HERE / f"{peer}.txt"], check=True)
    done.touch()


def _python(venvs: Path, engine: str) -> Path:
    return venvs / engine / "bin" / "python" if engine in PEERS else Path(sys.executable)


def _run(engine: str, task: str, venvs: Path, data: Path) -> Mapping[str, Any]:
    """Run a task in a process of its own; return its figures and those of the process."""
    print(f"{task}: {engine}", file=sys.stderr)
    arguments: Sequence[str | Path] = ("-m", f"benchmarks.peers.run_{engine}", task, data)
    if engine == tables.OWN and task in COMMANDS:
        file, *strategy = COMMANDS[task]
        command = (ROOT / "sandbox.py", "backtest", "--csv", data / file, "--json")
        arguments = (*command, "--strategy", *strategy)
    used = run_python(arguments, python=_python(venvs, engine))
    whole = {"cpu": used.cpu_seconds, "wall": used.seconds, "memory": used.peak_megabytes}
    return {**json.loads(used.stdout), **whole}


def _measure(
    plan: Mapping[str, Sequence[str]], peers: Sequence[str], venvs: Path, data: Path, rounds: int
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return the figures by engine and task: of numbers, the median of the rounds."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for task, engines in plan.items():
        chosen = [one for one in engines if one not in PEERS or one in peers]
        runs = [{one: _run(one, task, venvs, data) for one in chosen} for _ in range(rounds)]
        for engine in chosen:
            found.setdefault(engine, {})[task] = _median([run[engine] for run in runs])
    return found


def _median(runs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return {
        name: statistics.median(run[name] for run in runs) if isinstance(value, float) else value
        for name, value in runs[0].items()
    }


def _print_origin(figures: tables.Figures) -> None:
    record = Record.begin()
    versions = {
        engine: task["version"]
        for engine, own in figures.items()
        for task in own.values()
        if engine != tables.OWN and "version" in task
    }
    named = "".join(f", {tables.TITLES[engine]} {own}" for engine, own in versions.items())
    load = os.getloadavg()[0]
    print(f"\n{record.commit}{named}; Python {record.python}, {record.system}, load {load:.1f}.")


def main() -> int:
    """Run what the command line says."""
    options = _parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        venvs, data = options.venvs or Path(folder) / "venvs", Path(folder)
        for peer in options.peers:
            _make_venv(venvs, peer)
        inputs.write_inputs(data, options.rows)
        figures: dict[str, dict[str, Mapping[str, Any]]] = {}
        if options.only != "speed":
            figures = _measure(CORRECTNESS, options.peers, venvs, data, 1)
            print(*tables.build_correctness(figures), "", sep="\n")
        if options.only != "correctness":
            figures = _measure(SPEED, options.peers, venvs, data, options.rounds)
            print(*tables.build_speed(figures), sep="\n")
    _print_origin(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
