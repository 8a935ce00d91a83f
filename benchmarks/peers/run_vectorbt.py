"""Run vectorbt for the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt

from benchmarks.peers import tasks


def _read(path: Path) -> Any:
    frame = pd.read_csv(path, float_precision="round_trip")
    return pd.Series(frame["price"].to_numpy(), pd.to_datetime(frame["timestamp"], unit="s"))


def _cross(close: Any) -> Any:
    fast, slow = vbt.MA.run(close, tasks.FAST).ma, vbt.MA.run(close, tasks.SLOW).ma
    return (fast > slow).to_numpy()


def _trail(close: Any) -> Any:
    rule, is_held, found = tasks.TrailingCross(), False, []
    for price, is_on in zip(close.tolist(), _cross(close).tolist(), strict=True):
        is_held = rule.wants_coins(price, is_on=is_on, is_held=is_held)
        found.append(is_held)
    return np.array(found)


STRATEGIES = {
    "sma-cross": _cross,
    "hold": lambda close: np.ones(len(close), dtype=bool),
    "trailing stop": _trail,
}


def _trade(close: Any, is_wanted: Any) -> Any:
    """Fill at the next price, and sell at the last one."""
    is_held = np.roll(is_wanted, 1, axis=0)
    is_held[[0, -1]] = False
    return vbt.Portfolio.from_signals(
        close, is_held, ~is_held, fees=tasks.FEE, init_cash=tasks.CASH, freq=_pause(close)
    )


def _pause(close: Any) -> Any:
    return close.index[1] - close.index[0]


def compute_figures(folder: Path) -> Mapping[str, Any]:
    """Return the figures of each case, with its fills."""
    found = {}
    for case, (name, file) in tasks.CASES.items():
        close = _read(folder / file)
        found[case] = _describe(close, _trade(close, STRATEGIES[name](close)))
    return found


def _describe(close: Any, portfolio: Any) -> Mapping[str, Any]:
    orders = portfolio.orders.records
    times = close.index.astype("datetime64[s]").astype("int64")
    fills = [
        (float(times[order.idx]), "buy" if order.side == 0 else "sell", float(order.price))
        for order in orders.itertuples()
    ]
    return {
        "final": float(portfolio.final_value()),
        "fills": fills,
        "max_drawdown": -float(portfolio.max_drawdown()),
        "sharpe": float(portfolio.sharpe_ratio()),
        "sortino": float(portfolio.sortino_ratio()),
        "cagr": float(portfolio.annualized_return()),
    }


def trade_one_coin(folder: Path) -> Mapping[str, Any]:
    """Return the CPU seconds of a backtest."""
    close = _read(folder / tasks.QUARTERS)
    run = lambda: _trade(close, _cross(close)).final_value()  # noqa: E731
    return {"in_process": tasks.measure_cpu(run)}


def trade_grid(folder: Path) -> Mapping[str, Any]:
    """Return the CPU seconds of two passes over all coins and parameters."""
    prices = np.load(folder / tasks.GRID)
    index = pd.date_range("2025-01-01", periods=len(prices), freq="15min")
    close = pd.DataFrame(prices, index)
    fast, slow = ([pair[place] for pair in tasks.PAIRS] for place in (0, 1))

    def run() -> None:
        above = (
            vbt.MA.run(close, fast, run_unique=True).ma.to_numpy()
            > vbt.MA.run(close, slow, run_unique=True).ma.to_numpy()
        )
        _trade(pd.DataFrame(np.tile(prices, len(fast)), index), above).total_return()

    return {"first": tasks.measure_once(run), "second": tasks.measure_once(run)}


def run_command(folder: Path) -> Mapping[str, Any]:
    """Run one backtest in a new process."""
    close = _read(folder / tasks.QUARTERS)
    return {"final": float(_trade(close, _cross(close)).final_value())}


if __name__ == "__main__":
    tasks.run_task(
        "vectorbt",
        {
            "correctness": compute_figures,
            "one-coin": trade_one_coin,
            "grid": trade_grid,
            "command": run_command,
        },
    )
