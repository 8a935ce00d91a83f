"""`python -m benchmarks [NAME ...]`: run all benchmarks, or those named; compare two runs."""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from benchmarks.results import (
    Benchmark,
    Record,
    Unavailable,
    format_figure,
    show_comparison,
    show_record,
)
from safe_zone import ROOT

NAMES = (
    "warm_run",
    "run_alerts",
    "load",
    "days",
    "registry",
    "fortnight",
    "quotas",
    "alerts",
    "forecasts",
    "forecast_bands",
    "api",
    "dashboard",
    "archive",
    "sandbox",
    "site",
)
FOLDER = ROOT / ".sentinel" / "benchmarks"


def load_benchmark(name: str) -> Benchmark:
    """Return a benchmark. Its module is imported only now: the others would add to its memory."""
    measure: Benchmark = importlib.import_module(f"benchmarks.{name}").measure
    return measure


def _run(name: str, record: Record, *, is_smoke: bool) -> None:
    """Add a benchmark's results to the record; a failure does not end the other benchmarks."""
    results = record.results[name] = []
    try:
        for result in load_benchmark(name)(is_smoke):
            print(
                f"{name}: {result.name}: {format_figure(result.value)} {result.unit}",
                file=sys.stderr,
                flush=True,
            )
            # The limits hold for the full size.
            results.append(replace(result, at_most=None, at_least=None) if is_smoke else result)
    except Unavailable as reason:
        record.problems[name] = f"skipped: {reason}"
    except Exception as error:  # noqa: BLE001 (the entry point)
        traceback.print_exc()
        record.problems[name] = f"failed: {type(error).__name__}: {error}"


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run benchmarks, or compare two runs: compare BEFORE.json AFTER.json",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)} (default: all)"
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does each one still run?")
    parser.add_argument(
        "--out", type=Path, help="the JSON file (default: .sentinel/benchmarks/COMMIT.json)"
    )
    found = parser.parse_args()
    if found.names[:1] == ["compare"]:
        if len(found.names) != 3:
            parser.error("compare needs two files: compare BEFORE.json AFTER.json")
    elif unknown := set(found.names) - set(NAMES):
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}")
    return found


def main() -> int:
    """Run what the command line says. The exit code is 1 if a benchmark failed to run."""
    arguments = _parse_arguments()
    if arguments.names[:1] == ["compare"]:
        before, after = (Record.read(Path(name)) for name in arguments.names[1:])
        show_comparison(before, after)
        return 0
    record = Record.begin()
    path = arguments.out or FOLDER / f"{record.commit}.json"
    for name in arguments.names or NAMES:
        _run(name, record, is_smoke=arguments.smoke)
        record.write(path)
    show_record(record)
    print(f"\nWritten to {path}")
    return int(any(problem.startswith("failed") for problem in record.problems.values()))


if __name__ == "__main__":
    sys.exit(main())
