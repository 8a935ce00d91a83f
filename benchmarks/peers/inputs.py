"""Write the prices that all backtesters read: simulated ones, the same for the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.peers import tasks
from sentinel.backtesting.price_series import Floats

START = 1_735_689_600  # 2025-01-01
DAY, QUARTER = 86_400, 900  # seconds
LARGE_COINS = 20
FULL_ROWS = 10_000_000


def write_inputs(folder: Path, rows: int) -> None:
    """Write all files. `rows` is the length of the large file; fewer shrink the others as well."""
    share = min(1.0, rows / FULL_ROWS)
    _write(folder / tasks.DAILY, _simulate(365, 0.03, 1), DAY)
    _write(folder / tasks.QUARTERS, _simulate(max(600, round(5_760 * share)), 0.004, 2), QUARTER)
    _write(folder / tasks.YEAR, _simulate(max(600, round(35_040 * share)), 0.004, 3), QUARTER)
    _write(folder / tasks.LARGE, _simulate(rows // LARGE_COINS, 0.001, 4, LARGE_COINS), QUARTER)
    points, coins = max(600, round(5_760 * share)), max(2, round(500 * share))
    np.save(folder / tasks.GRID, _simulate(points, 0.004, 5, coins))


def _simulate(points: int, deviation: float, seed: int, coins: int = 1) -> Floats:
    """Return a random walk of log prices: a row for each time, a column for each coin."""
    returns = np.random.default_rng(seed).normal(0, deviation, (points, coins))
    prices: Floats = 100 * np.exp(np.cumsum(returns, axis=0))
    return prices


def _write(path: Path, prices: Floats, pause: int) -> None:
    with path.open("w") as file:
        file.write("timestamp,coin_id,price\n")
        for row, values in enumerate(prices.tolist()):
            at = START + row * pause
            file.writelines(f"{at},c{coin},{price!r}\n" for coin, price in enumerate(values))
