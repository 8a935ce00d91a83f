"""What all backtesters are asked to do, and how a process reports what it did. Needs no package."""

from __future__ import annotations

import importlib.metadata
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CASH = 10_000.0
FEE = 0.001
FAST, SLOW = 5, 20
TRAILING_STOP = 0.05
# The parameters of the grid: 20 pairs.
PAIRS = [(fast, slow) for fast in (4, 8, 12, 24) for slow in (48, 96, 144, 192, 288)]
# The strategy of the user in the documentation: a mean of this many prices, and this share of it.
WINDOW, LOW = 96, 0.95
DAILY, QUARTERS, YEAR, LARGE = "daily.csv", "quarters.csv", "year.csv", "large.csv"
GRID = "grid.npy"  # a row for each time, a column for each coin
ROUNDS = 5
# Of the correctness table: which strategy on which file.
CASES = {
    "sma-cross, daily": ("sma-cross", DAILY),
    "hold, daily": ("hold", DAILY),
    "trailing stop, daily": ("trailing stop", DAILY),
    "sma-cross, 15 min": ("sma-cross", QUARTERS),
}

# Takes the folder of the data, and returns figures by name.
Task = Callable[[Path], Mapping[str, Any]]


class TrailingCross:
    """Hold while the signal is on, but sell TRAILING_STOP below the highest price since the entry.

    After such a sale, stay out until the signal was off once.
    """

    def __init__(self) -> None:
        self.high, self.is_blocked = -math.inf, False

    def wants_coins(self, price: float, *, is_on: bool, is_held: bool) -> bool:
        """Return whether coins are wanted after a price."""
        if not is_held:
            self.high, self.is_blocked = -math.inf, self.is_blocked and is_on
            return is_on and not self.is_blocked
        self.high = max(self.high, price)
        if price <= (1 - TRAILING_STOP) * self.high:
            self.is_blocked = True
        return is_on and not self.is_blocked


def measure_cpu(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median CPU seconds of a call, after a first one that is not counted."""
    run()
    return statistics.median(measure_once(run) for _ in range(rounds))


def measure_once(run: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    run()
    return time.process_time() - started


def run_task(package: str, tasks: Mapping[str, Task]) -> None:
    """Run the task and print its figures, as the command line says: NAME FOLDER."""
    name, folder = sys.argv[1:]
    figures = dict(tasks[name](Path(folder)))
    print(json.dumps(figures | {"version": importlib.metadata.version(package)}))
