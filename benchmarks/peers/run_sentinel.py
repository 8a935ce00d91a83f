"""Run this project's sandbox for the comparison."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import tasks
from sentinel.backtesting import csv_loader, engine, grid, metrics, strategies
from sentinel.backtesting.order_rules import OrderRules
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import PriceSeries, from_prices
from sentinel.backtesting.strategies import Strategy

CASH = Decimal(tasks.CASH)
COSTS = Costs(fee_bps=Decimal(10), slippage_bps=Decimal(0))
CROSS = strategies.load("sma-cross", {"fast": tasks.FAST, "slow": tasks.SLOW})
STRATEGIES = {
    "sma-cross": CROSS,
    "hold": strategies.load("hold"),
    "trailing stop": strategies.with_rules(CROSS, OrderRules(trailing_stop=tasks.TRAILING_STOP)),
}
RULE = f"""
def decide(history, portfolio, *, low={tasks.LOW}):
    mean = history.prices[-{tasks.WINDOW}:].mean()
    if history.prices[-1] < low * mean:
        return 1
    if history.prices[-1] > mean:
        return -1
    return 0
"""
NOTHING = """
def decide(history, portfolio):
    return 0
"""


def _read(path: Path) -> PriceSeries:
    [series] = csv_loader.load_from_csv(path, []).series.values()
    return series


def _trade(series: PriceSeries, strategy: Strategy) -> engine.BacktestResult:
    return engine.run_backtest(series, strategy.build_signals(series), COSTS, CASH)


def compute_figures(folder: Path) -> Mapping[str, Any]:
    """Return the figures of each case, with its fills."""
    return {
        case: _describe(_trade(_read(folder / file), STRATEGIES[name]))
        for case, (name, file) in tasks.CASES.items()
    }


def _describe(result: engine.BacktestResult) -> Mapping[str, Any]:
    # As of holding: the figures are shown however few the round trips are.
    own = metrics.compute_metrics(result, [], is_strategy=False)
    fills = [
        (trade.filled_at, "buy" if trade.side == "buy" else "sell", float(trade.price_usd))
        for trade in result.trades
    ]
    return {
        "final": float(own.final_usd),
        "fills": fills,
        "max_drawdown": own.max_drawdown,
        "sharpe": own.sharpe,
        "sortino": own.sortino,
        "cagr": own.cagr,
    }


def trade_one_coin(folder: Path) -> Mapping[str, Any]:
    """Return the CPU seconds of a backtest."""
    series = _read(folder / tasks.QUARTERS)

    def run() -> None:
        # A new object, so that no cached averages of it exist.
        _trade(from_prices(series.times, series.prices), CROSS)

    return {"in_process": tasks.measure_cpu(run)}


def trade_grid(folder: Path) -> Mapping[str, Any]:
    """Return the CPU seconds of two passes over all coins and parameters."""
    prices = np.load(folder / tasks.GRID)
    times = np.arange(len(prices), dtype=np.float64) * 900
    candidates = [
        strategies.load("sma-cross", {"fast": fast, "slow": slow}) for fast, slow in tasks.PAIRS
    ]

    def run() -> None:
        for column in prices.T:
            series = from_prices(times, column.copy())
            coin = grid.build_coin_grid(series, [(0.0, float(times[-1]) + 1)])
            for candidate in candidates:
                signal = candidate.compute_signal(series)
                assert signal is not None
                [found] = grid.score_signal(coin, signal, COSTS, CASH)
                assert found is not None

    return {"first": tasks.measure_once(run), "second": tasks.measure_once(run)}


def trade_own(folder: Path) -> Mapping[str, Any]:
    """Return how many prices of a CPU second a user's strategy is asked about."""
    series = _read(folder / tasks.YEAR)
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for name, text in (("rule", RULE), ("nothing", NOTHING)):
            path = Path(place) / f"{name}.py"
            path.write_text(text)
            strategy = strategies.load(str(path))
            seconds = tasks.measure_once(lambda own=strategy: _trade(series, own))  # type: ignore[misc]
            found[name] = len(series) / seconds
    return found


def read_large(folder: Path) -> Mapping[str, Any]:
    """Return the CPU seconds of reading the large file."""
    return {"read": tasks.measure_once(lambda: csv_loader.load_from_csv(folder / tasks.LARGE, []))}


if __name__ == "__main__":
    tasks.run_task(
        "numpy",
        {
            "correctness": compute_figures,
            "one-coin": trade_one_coin,
            "grid": trade_grid,
            "own": trade_own,
            "large": read_large,
        },
    )
