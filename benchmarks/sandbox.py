"""Benchmark backtests, and sweeps on one core, on two, and on a cluster that loses a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.results import Result
from benchmarks.scale import measure_median_seconds
from safe_zone import ROOT
from sentinel.backtesting import (
    builtin_strategies,
    cluster,
    engine,
    local_pool,
    strategies,
    walk_forward,
)
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import LoadedPrices, PriceSeries, from_prices
from sentinel.backtesting.sweep_tasks import Sweep, TaskScores
from sentinel.paper_trading import output

CASH = Decimal(10_000)
START = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
Grid = Mapping[str, list[float]]


class Size(NamedTuple):
    """How much to test."""

    # Prices of a coin, every 15 minutes.
    points: int
    coins: int
    # The parameters of each strategy that is swept.
    grids: Mapping[str, Grid]
    # The prices of a single coin that is swept too, and its strategy's parameters.
    coin_points: int
    coin_grid: Grid
    # The Dask workers; one of them is killed.
    workers: int
    # How often a backtest is measured.
    rounds: int


FULL = Size(
    5_760,
    500,
    {
        "sma-cross": {"fast": [4.0, 8.0, 12.0, 24.0], "slow": [48.0, 96.0, 144.0, 192.0, 288.0]},
        "dip": {"multiplier": [1.0, 1.25, 1.5, 1.75, 2.0], "hours": [6.0, 12.0, 24.0, 48.0]},
    },
    35_040,
    {
        "multiplier": np.linspace(1, 2, 20).tolist(),
        "hours": np.arange(6.0, 46.0, 2.0).tolist(),
    },
    3,
    5,
)
SMOKE = Size(
    600, 6, {"sma-cross": {"fast": [4.0, 8.0], "slow": [24.0]}}, 600, {"hours": [6.0]}, 2, 1
)


def build_market(coins: int, points: int) -> dict[str, PriceSeries]:
    """Return random prices; the same for the same arguments."""
    random = np.random.default_rng(1)
    found = {}
    for number in range(coins):
        times = START + np.arange(points, dtype=np.float64) * 900
        times += random.integers(0, 60, points)
        prices = np.exp(np.cumsum(random.normal(0, 0.004, points))) * 10 ** random.uniform(-3, 4)
        observed = random.random(points) > 0.01
        found[f"coin-{number:03}"] = from_prices(times, prices.astype(np.float64), observed)
    return found


def measure(is_smoke: bool) -> Iterator[Result]:
    size = SMOKE if is_smoke else FULL
    [series] = build_market(1, size.points).values()
    for name in builtin_strategies.BUILT_IN:
        yield _measure_backtest(name, series, size.rounds)
    yield _measure_command(series, size.rounds)
    for name, grid in size.grids.items():
        yield from _measure_sweep(name, grid, size)
    coin = size._replace(coins=1, points=size.coin_points)
    yield from _measure_sweep("dip", size.coin_grid, coin)


def _measure_backtest(name: str, series: PriceSeries, rounds: int) -> Result:
    strategy = strategies.load(name, {"forecast": {"minutes": 180.0}}.get(name))

    def run() -> None:
        # A new object, so that no cached alerts of it exist.
        own = from_prices(series.times, series.prices, series.is_observed)
        engine.run_backtest(own, strategy.build_signals(own), Costs(), CASH)

    run()
    taken = measure_median_seconds(run, rounds)
    return Result(f"{name}, {len(series.times):,} prices", taken * 1e3, "ms", at_most=500)


def _measure_command(series: PriceSeries, rounds: int) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prices.csv"
        lines = (
            f"{datetime.fromtimestamp(at, UTC).isoformat()},bitcoin,{price!r}"
            for at, price in zip(series.times.tolist(), series.prices.tolist(), strict=True)
        )
        path.write_text("\n".join(["timestamp,coin_id,price", *lines]))
        command = [sys.executable, str(ROOT / "sandbox.py"), "backtest", "--strategy", "sma-cross"]

        def run_command() -> None:
            subprocess.run([*command, "--csv", str(path)], check=True, capture_output=True)

        taken = measure_median_seconds(run_command, rounds)
    bare = [sys.executable, "-c", "import numpy"]
    floor = measure_median_seconds(lambda: subprocess.run(bare, check=True), rounds)
    name = "sma-cross, the whole command"
    return Result(name, taken, "s", at_most=0.5, floor=floor, note="python and numpy")


def _measure_sweep(name: str, grid: Grid, size: Size) -> Iterator[Result]:
    """Sweep with one process and with two; sma-cross also on a cluster that loses a worker."""
    candidates = walk_forward.build_candidates([name], grid)
    title = f"sweep of {size.coins} x {size.points:,} prices, {len(candidates)} sets of {name}"
    tables, taken = [], []
    for jobs in (1, 2):
        # New series, so that no cached alerts of them exist.
        sweep = _plan_sweep(candidates, size)
        started = time.perf_counter()
        scored = local_pool.run_locally(sweep, jobs, lambda _done: None)
        tables.append(_dump_result(sweep, scored))
        taken.append(time.perf_counter() - started)
    assert tables[0] == tables[1]
    one, two = taken
    yield Result(f"{title}: one core", one, "s")
    note = "half of one core's time"
    yield Result(f"{title}: two cores", two, "s", at_most=60, floor=one / 2, note=note)
    yield Result(f"{title}: two cores, multiple of the floor", 2 * two / one, "x", at_most=1.3)
    if name == "sma-cross":
        taken_by_cluster = _run_on_cluster(_plan_sweep(candidates, size), size.workers, tables[0])
        what = f"{title}: {size.workers} Dask workers, one killed"
        yield Result(what, taken_by_cluster, "s")


def _plan_sweep(candidates: list[strategies.Strategy], size: Size) -> Sweep:
    prices = build_market(size.coins, size.points)
    start = min(float(series.times[0]) for series in prices.values())
    loaded = LoadedPrices(prices, start)
    return walk_forward.plan_sweep(loaded, candidates, 3, Costs(), CASH)


def _dump_result(sweep: Sweep, scored: list[TaskScores]) -> str:
    return json.dumps(output.sweep_json(walk_forward.select_winners(sweep, scored)))


CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    workers = int(sys.argv[1])
    with LocalCluster(workers, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, *(w.pid for w in cluster.workers.values()), flush=True)
        sys.stdin.read()
"""


def _run_on_cluster(sweep: Sweep, workers: int, expected: str) -> float:
    """Sweep on a new cluster whose folder and path do not contain the project; return the seconds.

    A worker is killed after a third of the backtests, and the table must be the same all the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cluster.py").write_text(CLUSTER)
        process = subprocess.Popen(
            [sys.executable, "cluster.py", str(workers)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout
        address, *pids = process.stdout.readline().split()
        killed: list[str] = []

        def kill_one(done: int) -> None:
            if done >= sweep.backtests // 3 and not killed:
                os.kill(int(pids[0]), signal.SIGKILL)
                killed.append(pids[0])

        started = time.perf_counter()
        scored = cluster.run_on_cluster(sweep, address, kill_one, print)
        taken = time.perf_counter() - started
        process.communicate()
    assert killed
    assert _dump_result(sweep, scored) == expected
    return taken
