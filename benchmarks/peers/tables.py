"""The two Markdown tables of the comparison. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.peers import tasks

OWN, REFERENCE = "sentinel", "vectorbt"
TITLES = {
    OWN: "here",
    "vectorbt": "vectorbt",
    "backtesting": "backtesting.py",
    "backtrader": "backtrader",
    "bt": "bt",
    "duckdb": "DuckDB",
}
# By engine and task: the figures by name.
Figures = Mapping[str, Mapping[str, Mapping[str, Any]]]
# The commit whose figures are in a column of the speed table: a median, and its ratio to the best
# peer. They were measured once, on two cores, by separate scripts, with similar prices.
BEFORE = "6475979"


class Work(NamedTuple):
    """A row of the speed table."""

    title: str
    task: str
    figure: str
    format: Callable[[float], str]
    # The figure of the commit BEFORE, and its ratio to the best peer.
    before: str = ""
    # More is better.
    is_rate: bool = False


def _milliseconds(value: float) -> str:
    return f"{1e3 * value:.1f} ms"


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _megabytes(value: float) -> str:
    return f"{value:,.0f} MB"


def _rate(value: float) -> str:
    return f"{value:,.0f} /s"


WORKS = (
    Work("one coin, in process: CPU", "one-coin", "in_process", _milliseconds, "5.4 ms, 0.23"),
    Work("the same, whole command: CPU", "command", "cpu", _seconds, "0.77 s, 0.35"),
    Work("the same, whole command: wall", "command", "wall", _seconds, "1.07 s, 0.46"),
    Work("the same, whole command: memory", "command", "memory", _megabytes, "56 MB, 0.40"),
    Work("500 coins x 20 sets, first pass: CPU", "grid", "first", _seconds, "31.0 s, 1.7"),
    Work("500 coins x 20 sets, second pass: CPU", "grid", "second", _seconds, "31.0 s, 2.9"),
    Work("500 coins x 20 sets: memory", "grid", "memory", _megabytes, "76 MB, 0.04"),
    Work("own `decide` with a mean of 96", "own", "rule", _rate, "22,800 /s, 0.65", is_rate=True),
    Work("own `decide`, nothing", "own", "nothing", _rate, "47,500 /s, 2.0", is_rate=True),
    Work("CSV of 10 M rows, reading: CPU", "large", "read", _seconds),
    Work(
        "CSV of 10 M rows, hold, whole command: CPU", "large-command", "cpu", _seconds, "54 s, 6.6"
    ),
    Work(
        "CSV of 10 M rows, hold, whole command: memory",
        "large-command",
        "memory",
        _megabytes,
        "1.8 GB",
    ),
)


def build_correctness(figures: Figures) -> Iterator[str]:
    """Yield the lines of the correctness table, and what the comparison of all fills says."""
    yield from _head("case", "", "final USD", "fills", "max drawdown", "Sharpe", "Sortino", "CAGR")
    for case in tasks.CASES:
        for engine, found in figures.items():
            if own := found.get("correctness", {}).get(case):
                yield _line(case, TITLES[engine], *_describe_case(own))
    mine, theirs = (figures.get(name, {}).get("correctness") for name in (OWN, REFERENCE))
    if mine and theirs:
        fills = sum(len(mine[case]["fills"]) for case in tasks.CASES)
        different = sum(
            count_differences(mine[case]["fills"], theirs[case]["fills"]) for case in tasks.CASES
        )
        yield ""
        yield f"Of {fills} fills, {different} differ from vectorbt's in time, side or price."


def count_differences(mine: Sequence[Any], theirs: Sequence[Any]) -> int:
    """Return how many fills (time, side, price) of two lists differ, one by one."""
    same: int = sum(
        one[:2] == two[:2] and math.isclose(one[2], two[2], rel_tol=1e-12)
        for one, two in zip(mine, theirs, strict=False)
    )
    return max(len(mine), len(theirs)) - same


def _describe_case(own: Mapping[str, Any]) -> Iterator[str]:
    yield f"{own['final']:,.2f}"
    yield str(own["count"] if "count" in own else len(own["fills"]))
    yield f"{own['max_drawdown']:.2%}"
    for name, form in (("sharpe", ".3f"), ("sortino", ".3f"), ("cagr", ".1%")):
        value = own.get(name)
        yield "" if value is None else format(value, form)


def build_speed(figures: Figures) -> Iterator[str]:
    """Yield the lines of the speed table. A ratio under 1: this project needs less."""
    yield from _head("work", f"{BEFORE}, ratio", "now", "peers", "ratio to the best")
    for work in WORKS:
        found = {
            engine: own[work.task][work.figure]
            for engine, own in figures.items()
            if work.task in own
        }
        mine = found.pop(OWN, None)
        if mine is not None:
            peers = ", ".join(f"{TITLES[name]} {work.format(own)}" for name, own in found.items())
            ratio = f"**{_ratio(mine, list(found.values()), work):.2g}**" if found else ""
            yield _line(work.title, work.before, work.format(mine), peers, ratio)


def _ratio(mine: float, peers: Sequence[float], work: Work) -> float:
    return max(peers) / mine if work.is_rate else mine / min(peers)


def _head(*names: str) -> Iterator[str]:
    yield _line(*names)
    yield "|" + "---|" * len(names)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
