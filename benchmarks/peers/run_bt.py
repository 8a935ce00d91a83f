"""Run bt for the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bt
import pandas as pd

from benchmarks.peers import tasks


def run_command(folder: Path) -> Mapping[str, Any]:
    """Run one backtest in a new process."""
    frame = pd.read_csv(folder / tasks.QUARTERS)
    index = pd.to_datetime(frame["timestamp"], unit="s")
    close = pd.DataFrame({"coin": frame["price"].to_numpy()}, index)
    above = close.rolling(tasks.FAST).mean() > close.rolling(tasks.SLOW).mean()
    weights = above.shift(1, fill_value=False).astype(float)
    strategy = bt.Strategy("sma-cross", [bt.algos.WeighTarget(weights), bt.algos.Rebalance()])
    backtest = bt.Backtest(
        strategy,
        close,
        initial_capital=tasks.CASH,
        commissions=lambda quantity, price: abs(quantity) * price * tasks.FEE,
        integer_positions=False,
        progress_bar=False,
    )
    bt.run(backtest)
    return {"final": float(backtest.strategy.values.iloc[-1])}


if __name__ == "__main__":
    tasks.run_task("bt", {"command": run_command})
