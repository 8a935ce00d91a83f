"""Benchmark backtests, and sweeps on one core, on two, and on a cluster that loses a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from benchmarks.scale import measure_median_seconds, print_heading, print_result
from safe_zone import ROOT
from sentinel.backtesting import builtin_strategies, engine, executors, strategies, walk_forward
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import PriceSeries
from sentinel.backtesting.walk_forward import SweepTask
from sentinel.paper_trading import output

POINTS, COINS, CASH = 5_760, 500, Decimal(10_000)  # sixty days at 15 minutes
START = datetime(2026, 9, 1, tzinfo=UTC).timestamp()


def build_market(coins: int, points: int = POINTS) -> dict[str, PriceSeries]:
    """Return random prices; the same for the same arguments."""
    random = np.random.default_rng(1)
    found = {}
    for number in range(coins):
        times = START + np.arange(points, dtype=np.float64) * 900
        times += random.integers(0, 60, points)
        prices = np.exp(np.cumsum(random.normal(0, 0.004, points))) * 10 ** random.uniform(-3, 4)
        observed = random.random(points) > 0.01
        found[f"coin-{number:03}"] = PriceSeries(times, prices.astype(np.float64), observed)
    return found


def main() -> None:
    _measure_backtests()
    _measure_sweeps()


def _measure_backtests() -> None:
    print_heading("One coin, sixty days of 15-minute prices")
    [series] = build_market(1).values()
    parameters = {"forecast": {"minutes": 180.0}}
    for name in builtin_strategies.BUILT_IN:
        strategy = strategies.load(name, parameters.get(name))

        def run(strategy: strategies.Strategy = strategy) -> None:
            # A new object, so that no cached alerts of it exist.
            own = PriceSeries(series.times, series.prices, series.is_observed)
            engine.run_backtest(own, strategy.build_signals(own), Costs(), CASH)

        run()
        taken = measure_median_seconds(run, 5)
        print_result(
            f"{name}, in process", f"{taken * 1e3:.0f} ms", "under 500 ms", is_reached=taken < 0.5
        )
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

        taken = measure_median_seconds(run_command, 5)
        bare = measure_median_seconds(
            lambda: subprocess.run([sys.executable, "-c", ""], check=True), 5
        )
        bound = f"under 0.5 s; floor {bare:.2f} s (python alone)"
        print_result(
            "sma-cross, the whole command", f"{taken:.2f} s", bound, is_reached=taken < 0.5
        )


def _measure_sweeps() -> None:
    grids = {
        "sma-cross": {"fast": [4.0, 8.0, 12.0, 24.0], "slow": [48.0, 96.0, 144.0, 192.0, 288.0]},
        "dip": {"multiplier": [1.0, 1.25, 1.5, 1.75, 2.0], "hours": [6.0, 12.0, 24.0, 48.0]},
    }
    prices = build_market(COINS)
    for name, grid in grids.items():
        candidates = walk_forward.build_candidates([name], grid)
        print_heading(
            f"A sweep: {COINS} coins, {len(candidates)} parameter sets of {name}, three folds"
        )
        tasks = walk_forward.plan_tasks(prices, candidates, 3, Costs(), CASH)
        found, taken = {}, {}
        for jobs in (1, 2):
            # New series, so that no cached alerts of them exist.
            fresh = walk_forward.plan_tasks(build_market(COINS), candidates, 3, Costs(), CASH)
            started = time.perf_counter()
            found[jobs] = _dump_result(
                fresh, executors.run_locally(fresh, jobs, lambda _done: None)
            )
            taken[jobs] = time.perf_counter() - started
        ratio = taken[2] / (taken[1] / 2)
        print_result("on one core", f"{taken[1]:.1f} s", "no goal", is_reached=True)
        print_result("on two cores", f"{taken[2]:.1f} s", "under 60 s", is_reached=taken[2] < 60)
        print_result(
            "two cores against half of one's time",
            f"{ratio:.2f}",
            "at most 1.3",
            is_reached=ratio <= 1.3,
        )
        print_result(
            "the same table", str(found[1] == found[2]), "True", is_reached=found[1] == found[2]
        )
        if name == "sma-cross":
            _measure_cluster(tasks, found[1])


def _dump_result(tasks: list[SweepTask], scored: list[walk_forward.CoinScores]) -> str:
    return json.dumps(output.sweep_json(walk_forward.select_winners(tasks, scored)))


CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, *(w.pid for w in cluster.workers.values()), flush=True)
        sys.stdin.read()
"""


def _measure_cluster(tasks: list[SweepTask], expected: str) -> None:
    """Run the sweep on a new cluster whose folder and path do not contain the project."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cluster.py").write_text(CLUSTER)
        process = subprocess.Popen(
            [sys.executable, "cluster.py"],
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
            if done == len(tasks) // 3 and not killed:
                os.kill(int(pids[0]), signal.SIGKILL)
                killed.append(pids[0])

        started = time.perf_counter()
        scored = executors.run_on_cluster(tasks, address, kill_one)
        taken = time.perf_counter() - started
        process.communicate()
    found = _dump_result(tasks, scored)
    print_result(
        "three Dask workers, one killed", f"{taken:.1f} s", "no goal", is_reached=bool(killed)
    )
    print_result("the same table", str(found == expected), "True", is_reached=found == expected)
