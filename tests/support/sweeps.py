"""Small sweeps over random prices, for the tests of their parts and executors."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np

from sentinel.backtesting import local_pool, strategies, walk_forward
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import LoadedPrices, PriceSeries, from_prices
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.strategy_source import StrategySource
from sentinel.backtesting.sweep_tasks import Sweep, TaskScores
from sentinel.backtesting.walk_forward import SweepResult
from sentinel.paper_trading import output
from tests.support.commands import Script

DAY, QUARTER = 86_400.0, 900.0
START = 1_790_000_000.0 - 1_790_000_000.0 % DAY
COSTS = Costs(Decimal(10), Decimal(5))
CASH = Decimal(10_000)
GRID = {"fast": [2.0, 5.0], "slow": [9.0, 20.0], "hours": [1.0, 3.0]}
NAMES = ("sma-cross", "dca", "hold", "dip")
OWN = """
def decide(history, portfolio, *, low=0.99):
    mean = history.prices[-24:].mean()
    return 0.5 if history.prices[-1] < low * mean else -0.7 if history.prices[-1] > mean else 0
"""
# Works long enough for a test to kill its process; a sleep would not keep the process busy.
SLOW = """
import time

def decide(history, portfolio, *, low=0.99):
    if len(history.prices) % 400 == 1:
        until = time.monotonic() + BUSY_SECONDS
        while time.monotonic() < until:
            pass
    return 0.5 if history.prices[-1] < low * history.prices.mean() else -0.5
"""

# A frame of one of its callers holds the whole series.
PEEK_THROUGH_FRAMES = """
import sys

def decide(history, portfolio):
    known, frame, found = len(history.prices), sys._getframe(), history.prices
    while frame:
        for value in frame.f_locals.values():
            prices = getattr(getattr(value, "series", value), "prices", ())
            if len(prices) > len(found):
                found = prices
        frame = frame.f_back
    if len(found) == known:
        return 0
    return 1 if found[known] > history.prices[-1] else -1
"""


def own_strategy(text: str) -> Strategy:
    """Return the strategy of a file with this text."""
    return strategies.load_source(StrategySource("mine.py", text))


def busy(seconds: float) -> list[Strategy]:
    """Return a strategy that is busy now and then; its decisions do not depend on `seconds`."""
    return [own_strategy(f"BUSY_SECONDS = {seconds}\n{SLOW}")]


def market(coins: int = 3, points: int = 400, seed: int = 1) -> dict[str, PriceSeries]:
    dice = np.random.default_rng(seed)
    times = START + QUARTER * np.arange(points, dtype=np.float64)
    return {
        f"coin-{n}": from_prices(
            times + n,
            100 * np.exp(dice.normal(0, 0.01, points).cumsum()),
            dice.random(points) > 0.02,
        )
        for n in range(coins)
    }


def planned(
    prices: Mapping[str, PriceSeries], wanted: Sequence[Strategy] | None = None, folds: int = 2
) -> Sweep:
    wanted = walk_forward.build_candidates(NAMES, GRID) if wanted is None else wanted
    start = min(float(series.times[0]) for series in prices.values())
    loaded = LoadedPrices(prices, start)
    return walk_forward.plan_sweep(loaded, wanted, folds, COSTS, CASH)


def silent(_done: int) -> None:
    """Show no progress."""


def solved(sweep: Sweep) -> SweepResult:
    """Return the result of a sweep that runs in this process."""
    return walk_forward.select_winners(sweep, local_pool.run_locally(sweep, 1, silent))


def dumped(sweep: Sweep, scored: Iterable[TaskScores]) -> str:
    return json.dumps(output.sweep_json(walk_forward.select_winners(sweep, scored)))


def here(sweep: Sweep, jobs: int = 1, count: Callable[[int], None] = silent) -> str:
    return dumped(sweep, local_pool.run_locally(sweep, jobs, count))


def write_prices(folder: Path) -> str:
    """Write a price file of two coins; returns its name."""
    lines = [
        f"2026-11-{1 + n // 96:02}T{n // 4 % 24:02}:{n % 4 * 15:02}:00Z,{coin},"
        f"{100 * math.exp(0.05 * math.sin(n / speed) + 0.0001 * n)!r}"
        for coin, speed in (("bitcoin", 7), ("ether", 11))
        for n in range(400)
    ]
    (folder / "prices.csv").write_text("\n".join(["timestamp,coin_id,price", *lines, ""]))
    return "prices.csv"


def run_sweep(script: Script, *arguments: str) -> subprocess.CompletedProcess[str]:
    return script("sandbox.py", "sweep", *arguments)


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    """Assert that a command ended in one line with these words, and exit code 2."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    [line] = [line for line in done.stderr.splitlines() if not line.startswith(("usage:", "  "))]
    assert "error: " in line
    assert words in line
