"""Simulate weeks of runs and faults, and check the promises after every run.

Each seed draws its own events and always the same ones, so a seed that finds a fault replays it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from sentinel import console
from sentinel.arguments import make_parser, number, whole_number
from sentinel.errors import EXIT_OK
from sentinel.process import run_as_script
from simulation.simulation import Result, simulate

EXIT_BROKEN = 1
MOST_SEEDS = 999_999_999
MOST_DAYS = 1_000


def main() -> int:
    """Simulate the seeds of the command line; return 1 if one of them breaks a promise."""
    arguments = _parse_arguments()
    if arguments.one:
        logging.disable()  # what the faults make the product say is no news here
        print(json.dumps(asdict(simulate(arguments.seed, float(arguments.days)))))
        return EXIT_OK
    started = time.monotonic()
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    found = _simulate_all(seeds, float(arguments.days), arguments.jobs)
    _show(found, time.monotonic() - started)
    return EXIT_BROKEN if any(result.problem for result in found) else EXIT_OK


def _parse_arguments() -> argparse.Namespace:
    parser = make_parser(
        "python -m simulation", __doc__, "example: python -m simulation --seed 7 --days 30"
    )
    number_of = whole_number(MOST_SEEDS)
    cores = os.cpu_count() or 1
    parser.add_argument("--seed", type=number_of, default=7, help="the first seed (default 7)")
    parser.add_argument("--seeds", type=number_of, default=1, help="how many seeds (default 1)")
    parser.add_argument(
        "--days", type=number(MOST_DAYS), default=30, help="days of each seed (default 30)"
    )
    parser.add_argument(
        "--jobs", type=number_of, default=cores, help="seeds at once (default: all cores)"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _simulate_all(seeds: range, days: float, jobs: int) -> list[Result]:
    """Simulate the seeds, `jobs` at once. What ends this process early ends theirs too."""
    running: list[subprocess.Popen[str]] = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            return list(pool.map(lambda seed: _simulate_apart(seed, days, running), seeds))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.terminate()
            raise


def _simulate_apart(seed: int, days: float, running: list[subprocess.Popen[str]]) -> Result:
    """Simulate a seed in a process of its own, whose sets of texts always have the same order."""
    command = [sys.executable, "-m", "simulation", "--one", f"--seed={seed}", f"--days={days}"]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    # A group of its own, so that Ctrl-C does not interrupt the clean-up after `terminate`.
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        running.append(process)
        output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(process.returncode)
    result = Result(**json.loads(output))
    state = result.problem or f"{result.runs} runs, all promises kept"
    print(f"seed {seed}: {state}", file=sys.stderr)
    return result


def _show(found: list[Result], seconds: float) -> None:
    events: Counter[str] = Counter()
    for result in found:
        events.update(result.events)
    console.show_table("Events", ("event", "number"), sorted(events.items()))
    _show_footprints(found[0])
    days, runs = sum(r.days for r in found), sum(r.runs for r in found)
    checks = sum(r.checks for r in found)
    print(
        f"{len(found)} seeds, {days:g} days, {runs} runs, {checks} checks of all promises, "
        f"{seconds:.0f} seconds"
    )
    for result in (r for r in found if r.problem):
        print(f"\nseed {result.seed} breaks a promise at {result.problem}\nThe last events:")
        print("\n".join(f"  {line}" for line in result.trace))
        print(f"Replay: make simulate SEED={result.seed} DAYS={result.days:g}")


def _show_footprints(result: Result) -> None:
    middle, end = result.footprints[0], result.footprints[-1]
    rows = [(name, middle.get(name, 0), end.get(name, 0)) for name in {**middle, **end}]
    title = f"Left behind by seed {result.seed} (sizes in bytes)"
    console.show_table(title, ("what", "after half of the days", "in the end"), rows)


if __name__ == "__main__":
    run_as_script(main)
