"""Run backtesting.py for the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from backtesting import Strategy
from backtesting.lib import FractionalBacktest  # the plain one buys whole coins only

from benchmarks.peers import tasks


def _read(path: Path) -> Any:
    frame = pd.read_csv(path, float_precision="round_trip")
    price = frame["price"].to_numpy()
    columns = dict.fromkeys(("Open", "High", "Low", "Close", "Volume"), price)
    return pd.DataFrame(columns, pd.to_datetime(frame["timestamp"], unit="s"))


def _mean(prices: Any, window: int) -> Any:
    return pd.Series(prices).rolling(window).mean()


class Hold(Strategy):
    def init(self) -> None:
        pass

    def next(self) -> None:
        self.follow(is_wanted=True)

    def follow(self, *, is_wanted: bool) -> None:
        if is_wanted and not self.position:
            self.buy()
        elif not is_wanted and self.position:
            self.position.close()


class Cross(Hold):
    def init(self) -> None:
        self.fast = self.I(_mean, self.data.Close, tasks.FAST)
        self.slow = self.I(_mean, self.data.Close, tasks.SLOW)

    def next(self) -> None:
        self.follow(is_wanted=self.fast[-1] > self.slow[-1])


class Trail(Cross):
    def init(self) -> None:
        super().init()
        self.rule = tasks.TrailingCross()

    def next(self) -> None:
        price, is_on = float(self.data.Close[-1]), bool(self.fast[-1] > self.slow[-1])
        is_held = bool(self.position)
        self.follow(is_wanted=self.rule.wants_coins(price, is_on=is_on, is_held=is_held))


class Rule(Hold):
    def next(self) -> None:
        prices = self.data.Close
        mean = prices[-tasks.WINDOW :].mean()
        if prices[-1] < tasks.LOW * mean and not self.position:
            self.buy()
        elif prices[-1] > mean and self.position:
            self.position.close()


class Nothing(Hold):
    def next(self) -> None:
        pass


STRATEGIES = {"sma-cross": Cross, "hold": Hold, "trailing stop": Trail}


def _trade(data: Any, strategy: type[Strategy]) -> Any:
    return FractionalBacktest(
        data, strategy, cash=tasks.CASH, commission=tasks.FEE, finalize_trades=True
    ).run()


def compute_figures(folder: Path) -> Mapping[str, Any]:
    """Return the figures of each case, with the number of fills."""
    found = {}
    for case, (name, file) in tasks.CASES.items():
        stats = _trade(_read(folder / file), STRATEGIES[name])
        found[case] = {
            "final": float(stats["Equity Final [$]"]),
            "count": 2 * int(stats["# Trades"]),
            "max_drawdown": -float(stats["Max. Drawdown [%]"]) / 100,
            "sharpe": float(stats["Sharpe Ratio"]),
            "sortino": float(stats["Sortino Ratio"]),
            "cagr": float(stats["CAGR [%]"]) / 100,
        }
    return found


def trade_one_coin(folder: Path) -> Mapping[str, Any]:
    """Return the CPU seconds of a backtest."""
    data = _read(folder / tasks.QUARTERS)
    return {"in_process": tasks.measure_cpu(lambda: _trade(data, Cross))}


def trade_own(folder: Path) -> Mapping[str, Any]:
    """Return how many prices of a CPU second a strategy is asked about."""
    data = _read(folder / tasks.YEAR)
    return {
        name: len(data) / tasks.measure_once(lambda own=own: _trade(data, own))  # type: ignore[misc]
        for name, own in (("rule", Rule), ("nothing", Nothing))
    }


def run_command(folder: Path) -> Mapping[str, Any]:
    """Run one backtest in a new process."""
    return {"final": float(_trade(_read(folder / tasks.QUARTERS), Cross)["Equity Final [$]"])}


if __name__ == "__main__":
    np.seterr(all="ignore")
    tasks.run_task(
        "backtesting",
        {
            "correctness": compute_figures,
            "one-coin": trade_one_coin,
            "own": trade_own,
            "command": run_command,
        },
    )
