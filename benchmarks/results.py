"""What a benchmark yields, the table of a run, its JSON file, and the comparison of two files."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from safe_zone import ROOT
from sentinel.console import show_table


@dataclass(frozen=True, slots=True)
class Result:
    """One measured figure with its limit and its floor, all in the same unit."""

    name: str
    value: float
    unit: str
    # The limits; None: no goal.
    at_most: float | None = None
    at_least: float | None = None
    # What the same machine needs at least, measured in the same run, and how it was measured.
    floor: float | None = None
    note: str = ""

    @property
    def is_within_limit(self) -> bool:
        """Whether the value keeps both limits."""
        is_small = self.at_most is None or self.value <= self.at_most
        return is_small and (self.at_least is None or self.value >= self.at_least)

    @property
    def limit(self) -> str:
        """The limits as a text."""
        texts = [
            f"{words} {format_figure(number)}"
            for words, number in (("at least", self.at_least), ("at most", self.at_most))
            if number is not None
        ]
        return ", ".join(texts) or "no goal"


# Yields its results as they are measured; with `is_smoke` in sizes that need seconds in all.
Benchmark = Callable[[bool], Iterator[Result]]


class Unavailable(Exception):
    """A program that the benchmark needs is not installed."""


@dataclass
class Record:
    """All results of one run of the benchmarks."""

    commit: str
    python: str
    system: str
    measured_at: str
    # By benchmark.
    results: dict[str, list[Result]] = field(default_factory=dict)
    # Why a benchmark has no results or not all of them.
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls) -> Record:
        """Return an empty record of this commit on this machine."""
        system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(_describe_commit(), platform.python_version(), system, now)

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a record that `write` wrote."""
        content = json.loads(path.read_text())
        results = {
            name: [Result(**result) for result in found]
            for name, found in content.pop("results").items()
        }
        return cls(**content, results=results)

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def _describe_commit() -> str:
    """Return the short hash, with `-dirty` if files were changed."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def format_figure(value: float | None) -> str:
    """Return a number with about three digits, and an empty text for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show_record(record: Record) -> None:
    """Print one table of all results."""
    rows = [
        (
            name,
            result.name,
            f"{format_figure(result.value)} {result.unit}".rstrip(),
            result.limit,
            "" if result.is_within_limit else "OUTSIDE",
            format_figure(result.floor),
            result.note,
        )
        for name, results in record.results.items()
        for result in results
    ]
    title = f"{record.commit}, Python {record.python}, {record.system}"
    show_table(title, ("benchmark", "figure", "value", "limit", "", "floor", "floor is"), rows)
    for name, problem in record.problems.items():
        print(f"  {name}: {problem}")


def show_comparison(before: Record, after: Record) -> None:
    """Print the results of two records side by side, with their ratio."""
    old = {(name, result.name): result for name, result in _flatten(before)}
    new = {(name, result.name): result for name, result in _flatten(after)}
    rows: list[Sequence[object]] = []
    for key in old | new:
        first, second = old.get(key), new.get(key)
        ratio = second.value / first.value if first and second and first.value else None
        unit = next(result.unit for result in (second, first) if result)
        rows.append((*key, unit, _mark(first), _mark(second), format_figure(ratio)))
    names = ("benchmark", "figure", "unit", before.commit, after.commit, "ratio")
    show_table(
        f"{before.commit} on {before.measured_at}, {after.commit} on {after.measured_at}",
        names,
        rows,
    )


def _flatten(record: Record) -> Iterator[tuple[str, Result]]:
    for name, results in record.results.items():
        for result in results:
            yield name, result


def _mark(result: Result | None) -> str:
    if result is None:
        return "-"
    return format_figure(result.value) + ("" if result.is_within_limit else " OUTSIDE")
