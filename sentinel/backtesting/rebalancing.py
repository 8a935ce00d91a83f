"""Rebalance a portfolio of several coins to the weights that a strategy wants. Pure.

The strategy is asked at fixed intervals. Coins above their weight are sold at their next prices
first; coins below it are bought at the first prices after the last sale was filled, because its
proceeds pay for them. As in the engine, a fill is rejected if its price was backfilled or came too
late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

import numpy as np

from sentinel.backtesting import engine
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.portfolio import Costs, Portfolio, Trade
from sentinel.backtesting.price_series import LoadedPrices, PriceSeries

# A weight that differs from the wanted one by less of the value is left as it is.
MIN_CHANGE = 0.0005


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a strategy sees of its portfolio."""

    # USD.
    cash: float
    # Cash and coins at the newest prices, in USD.
    value: float
    # Coins by coin id; a coin that is not held has 0.
    quantities: Mapping[str, float]
    # The share of the value in each coin, 0 to 1.
    weights: Mapping[str, float]


# Decides at a moment (UNIX seconds), from the number of points of each coin that are known by then
# and the holdings: returns the wanted share of the value by coin (0 to 1, together at most 1; a
# coin that is missing is sold), or None to leave everything as it is.
DecideWeights = Callable[[float, Mapping[str, int], Holdings], Mapping[str, float] | None]


def run_rebalancing(
    prices: LoadedPrices, decide: DecideWeights, every: float, costs: Costs, initial_usd: Decimal
) -> list[BacktestResult]:
    """Trade from the start of the prices to their end, and sell everything there.

    `every` is the time between two decisions in seconds. The cash is shared, but each coin has a
    result: an equal part of the initial cash, and what its own trades made of it. The results add
    up to the account.
    """
    account = _Account(prices.series, costs, initial_usd)
    start = max(prices.start, min(float(own.times[0]) for own in prices.series.values()))
    end = max(float(own.times[-1]) for own in prices.series.values())
    for moment in np.arange(start, end, every).tolist():
        known, holdings = account.look(moment)
        wanted = decide(moment, known, holdings)
        if wanted is not None:
            account.rebalance(moment, wanted, holdings)
    account.sell_everything()
    part = initial_usd / len(prices.series)
    return [
        _summarize(series.between(start, np.inf), account.logs[coin_id], part)
        for coin_id, series in prices.series.items()
    ]


@dataclass(slots=True)
class _CoinLog:
    """A position in one coin with what led to it. The cash of its portfolio is the account's."""

    portfolio: Portfolio = field(default_factory=lambda: Portfolio(Decimal(0)))
    trades: list[Trade] = field(default_factory=list)
    realized_gains: list[Decimal] = field(default_factory=list)
    rejected_fills: int = 0


@dataclass(slots=True)
class _Account:
    """Coins that share their cash."""

    series: Mapping[str, PriceSeries]
    costs: Costs
    cash: Decimal
    logs: dict[str, _CoinLog] = field(default_factory=dict)
    # UNIX seconds of the latest fill: cash from it cannot be spent earlier.
    latest_fill: float = -np.inf

    def __post_init__(self) -> None:
        self.logs = {coin_id: _CoinLog() for coin_id in self.series}

    def look(self, moment: float) -> tuple[Mapping[str, int], Holdings]:
        """Return the number of known points by coin, and the holdings at their newest prices."""
        counts = {coin_id: self._count(coin_id, moment) for coin_id in self.series}
        known = {coin_id: count for coin_id, count in counts.items() if count}
        quantities = {coin_id: float(self.logs[coin_id].portfolio.quantity) for coin_id in known}
        amounts = {
            coin_id: quantities[coin_id] * float(self.series[coin_id].prices[count - 1])
            for coin_id, count in known.items()
        }
        cash = float(self.cash)
        value = cash + sum(amounts.values())
        weights = {coin_id: amount / value for coin_id, amount in amounts.items()}
        return known, Holdings(cash, value, MappingProxyType(quantities), MappingProxyType(weights))

    def rebalance(self, moment: float, wanted: Mapping[str, float], holdings: Holdings) -> None:
        """Sell what is above its weight, then buy what is below it."""
        weights = holdings.weights
        changes = {coin_id: wanted.get(coin_id, 0.0) - own for coin_id, own in weights.items()}
        for coin_id in self._in_order(moment, changes, -1):
            is_left = not wanted.get(coin_id)
            share = -1.0 if is_left else max(-1.0, changes[coin_id] / weights[coin_id])
            self._order(coin_id, moment, share)
        moment = max(moment, self.latest_fill)
        for coin_id in self._in_order(moment, changes, 1):
            if self.cash > 0:
                amount = changes[coin_id] * holdings.value
                self._order(coin_id, moment, min(1.0, amount / float(self.cash)))

    def _in_order(self, moment: float, changes: Mapping[str, float], sign: int) -> list[str]:
        """Return the coins whose weight changes in one direction, by the time of their fill."""

        def fill_time(coin_id: str) -> tuple[float, str]:
            times, index = self.series[coin_id].times, self._count(coin_id, moment)
            return float(times[index]) if index < len(times) else np.inf, coin_id

        chosen = (coin_id for coin_id, change in changes.items() if sign * change > MIN_CHANGE)
        return sorted(chosen, key=fill_time)

    def _count(self, coin_id: str, moment: float) -> int:
        """Return the number of points of a coin until a moment."""
        return int(np.searchsorted(self.series[coin_id].times, moment, side="right"))

    def _order(self, coin_id: str, moment: float, share: float) -> None:
        """Fill an order at the coin's next price after a moment, or count it as rejected."""
        series, log = self.series[coin_id], self.logs[coin_id]
        index = self._count(coin_id, moment) - 1
        if index + 1 < len(series) and (trade := self._simulate(coin_id, share, index + 1)):
            if engine.is_fillable(series, index):
                self._apply(coin_id, trade)
            else:
                log.rejected_fills += 1

    def _simulate(self, coin_id: str, share: float, index: int) -> Trade | None:
        series, portfolio = self.series[coin_id], self.logs[coin_id].portfolio
        portfolio.cash = self.cash
        at, price = float(series.times[index]), float(series.prices[index])
        return portfolio.simulate_fill(share, at, price, self.costs)

    def _apply(self, coin_id: str, trade: Trade) -> None:
        log = self.logs[coin_id]
        gain = log.portfolio.apply(trade)
        self.cash = log.portfolio.cash
        self.latest_fill = max(self.latest_fill, trade.filled_at)
        log.trades.append(trade)
        if gain is not None:
            log.realized_gains.append(gain)

    def sell_everything(self) -> None:
        """Sell each coin at its last observed price."""
        for coin_id, series in self.series.items():
            last = engine.last_observed(series)
            if last >= 0 and (trade := self._simulate(coin_id, -1, last)):
                self._apply(coin_id, trade._replace(side="close"))


def _summarize(series: PriceSeries, log: _CoinLog, initial_usd: Decimal) -> BacktestResult:
    """Return the result of a coin on its prices since the start of trading."""
    indices = np.searchsorted(series.times, [trade.filled_at for trade in log.trades])
    cash, coins = np.full(len(series), float(initial_usd)), np.zeros(len(series))
    for index, trade in zip(indices.tolist(), log.trades, strict=True):
        cash[index:] += float(trade.cash_usd)
        coins[index:] += float(trade.quantity)
    in_coins = np.maximum(coins, 0.0) * series.prices
    equity = cash + in_coins
    exposure = np.divide(in_coins, equity, out=np.zeros_like(in_coins), where=equity > 0)
    return BacktestResult(
        series.times,
        initial_usd,
        initial_usd + sum((trade.cash_usd for trade in log.trades), Decimal(0)),
        log.trades,
        log.realized_gains,
        log.rejected_fills,
        equity,
        exposure,
    )
