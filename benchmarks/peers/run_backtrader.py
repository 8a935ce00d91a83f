"""Run backtrader for the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import backtrader

from benchmarks.peers import tasks


class Hold(backtrader.Strategy):
    """Orders before a price is known, from the prices until then; knows the price for the size."""

    def __init__(self) -> None:
        self.fills = 0
        self.prepare()

    def prepare(self) -> None:
        pass

    def notify_order(self, order: Any) -> None:
        self.fills += order.status == order.Completed

    def prenext_open(self) -> None:
        self.next_open()

    def next_open(self) -> None:
        if len(self.data) > 1:
            is_last = len(self.data) == self.data.buflen()
            self.follow(is_wanted=self.is_wanted() and not is_last)

    def is_wanted(self) -> bool:
        return True

    def follow(self, *, is_wanted: bool) -> None:
        if is_wanted and not self.position:
            size = self.broker.getcash() / (self.data.open[0] * (1 + tasks.FEE))
            self.buy(size=size * (1 - 1e-12))  # a rounding error would be too little cash
        elif not is_wanted and self.position:
            self.close()


class Cross(Hold):
    def prepare(self) -> None:
        self.fast = backtrader.indicators.SMA(period=tasks.FAST)
        self.slow = backtrader.indicators.SMA(period=tasks.SLOW)

    def is_wanted(self) -> bool:
        return bool(len(self.data) > tasks.SLOW and self.fast[0] > self.slow[0])


class Trail(Cross):
    def prepare(self) -> None:
        super().prepare()
        self.rule = tasks.TrailingCross()

    def is_wanted(self) -> bool:
        is_on, is_held = super().is_wanted(), bool(self.position)
        return self.rule.wants_coins(self.data.close[-1], is_on=is_on, is_held=is_held)


class Rule(Hold):
    def next_open(self) -> None:
        prices = self.data.close.get(ago=-1, size=min(len(self.data) - 1, tasks.WINDOW))
        if not prices:
            return
        mean = sum(prices) / len(prices)
        if prices[-1] < tasks.LOW * mean:
            self.follow(is_wanted=True)
        elif prices[-1] > mean:
            self.follow(is_wanted=False)


class Nothing(Hold):
    def next_open(self) -> None:
        pass


STRATEGIES = {"sma-cross": Cross, "hold": Hold, "trailing stop": Trail}


def _trade(path: Path, strategy: type[Hold]) -> tuple[Any, Any]:
    """Return the cerebro and the strategy after a run."""
    cerebro = backtrader.Cerebro(cheat_on_open=True, stdstats=False)
    columns = dict.fromkeys(("open", "high", "low", "close"), 2)
    feed = backtrader.feeds.GenericCSVData(
        dataname=str(path),
        dtformat=1,
        datetime=0,
        volume=-1,
        openinterest=-1,
        timeframe=backtrader.TimeFrame.Minutes,
        **columns,
    )
    cerebro.adddata(feed)
    cerebro.addstrategy(strategy)
    cerebro.addanalyzer(backtrader.analyzers.DrawDown, _name="drawdown")
    cerebro.broker.setcash(tasks.CASH)
    cerebro.broker.setcommission(tasks.FEE)
    return cerebro, cerebro.run()[0]


def compute_figures(folder: Path) -> Mapping[str, Any]:
    """Return the figures of each case, with the number of fills."""
    found = {}
    for case, (name, file) in tasks.CASES.items():
        cerebro, run = _trade(folder / file, STRATEGIES[name])
        found[case] = {
            "final": cerebro.broker.getvalue(),
            "count": run.fills,
            "max_drawdown": run.analyzers.drawdown.get_analysis().max.drawdown / 100,
        }
    return found


def trade_one_coin(folder: Path) -> Mapping[str, Any]:
    """Return the CPU seconds of a backtest, which reads the file: that is part of a run."""
    run = lambda: _trade(folder / tasks.QUARTERS, Cross)  # noqa: E731
    return {"in_process": tasks.measure_cpu(run, rounds=1)}


def trade_own(folder: Path) -> Mapping[str, Any]:
    """Return how many prices of a CPU second a strategy is asked about."""
    path = folder / tasks.YEAR
    prices = len(path.read_text().splitlines()) - 1
    return {
        name: prices / tasks.measure_once(lambda own=own: _trade(path, own))  # type: ignore[misc]
        for name, own in (("rule", Rule), ("nothing", Nothing))
    }


def run_command(folder: Path) -> Mapping[str, Any]:
    """Run one backtest in a new process."""
    cerebro, _ = _trade(folder / tasks.QUARTERS, Cross)
    return {"final": cerebro.broker.getvalue()}


if __name__ == "__main__":
    tasks.run_task(
        "backtrader",
        {
            "correctness": compute_figures,
            "one-coin": trade_one_coin,
            "own": trade_own,
            "command": run_command,
        },
    )
