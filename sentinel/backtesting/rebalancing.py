"""Rebalance a portfolio of several coins to the weights that a strategy wants. Pure.

The strategy is asked at fixed intervals. Coins above their weight are sold at their next prices
first; coins below it are bought at the first prices after the last sale was filled, because its
proceeds pay for them. As in the engine, a fill is rejected if its price was backfilled or came too
late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

import numpy as np

from sentinel.backtesting import engine
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.portfolio import Costs, Portfolio, Trade
from sentinel.backtesting.price_series import Floats, LoadedPrices, PriceSeries

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


@dataclass(frozen=True, slots=True, eq=False)
class RebalancedResult:
    """The result of all coins together."""

    result: BacktestResult
    # (coin id, trade) in order of time.
    trades: list[tuple[str, Trade]]
    # (moment in UNIX seconds, known points by coin, holdings) of each decision.
    decisions: list[tuple[float, Mapping[str, int], Holdings]]


def run_rebalancing(
    prices: LoadedPrices, decide: DecideWeights, every: float, costs: Costs, initial_usd: Decimal
) -> RebalancedResult:
    """Trade from the start of the prices to their end, and sell everything there.

    `every` is the time between two decisions in seconds.
    """
    account = _Account(prices.series, costs, initial_usd)
    starts = max(prices.start, min(float(own.times[0]) for own in prices.series.values()))
    ends = max(float(own.times[-1]) for own in prices.series.values())
    decisions = []
    for moment in np.arange(starts, ends, every).tolist():
        known, holdings = account.look(moment)
        decisions.append((moment, known, holdings))
        wanted = decide(moment, known, holdings)
        if wanted is not None:
            account.rebalance(moment, wanted, holdings)
    account.sell_everything()
    return RebalancedResult(_summarize(account, starts), account.trades, decisions)


@dataclass(slots=True)
class _Account:
    """Coins that share their cash."""

    series: Mapping[str, PriceSeries]
    costs: Costs
    cash: Decimal
    positions: dict[str, Portfolio] = field(default_factory=dict)
    trades: list[tuple[str, Trade]] = field(default_factory=list)
    realized_gains: list[Decimal] = field(default_factory=list)
    rejected_fills: int = 0
    initial_usd: Decimal = Decimal(0)
    # An order is filled after all earlier fills, so that cash is never spent before it is there.
    latest_fill: float = -np.inf

    def __post_init__(self) -> None:
        self.initial_usd = self.cash
        self.positions = {coin_id: Portfolio(Decimal(0)) for coin_id in self.series}

    def look(self, moment: float) -> tuple[Mapping[str, int], Holdings]:
        """Return the number of known points by coin, and the holdings at their newest prices."""
        counts = {
            coin_id: int(np.searchsorted(series.times, moment, side="right"))
            for coin_id, series in self.series.items()
        }
        known = {coin_id: count for coin_id, count in counts.items() if count}
        amounts = {
            coin_id: float(self.positions[coin_id].quantity)
            * float(self.series[coin_id].prices[count - 1])
            for coin_id, count in known.items()
        }
        cash = float(self.cash)
        value = cash + sum(amounts.values())
        quantities = {coin_id: float(self.positions[coin_id].quantity) for coin_id in known}
        weights = {coin_id: amount / value for coin_id, amount in amounts.items()}
        return known, Holdings(cash, value, MappingProxyType(quantities), MappingProxyType(weights))

    def rebalance(self, moment: float, wanted: Mapping[str, float], holdings: Holdings) -> None:
        """Sell what is above its weight, then buy what is below it."""
        changes = {
            coin_id: wanted.get(coin_id, 0.0) - weight
            for coin_id, weight in holdings.weights.items()
        }
        for coin_id, change in self._in_order(moment, changes, lambda change: change < -MIN_CHANGE):
            share = max(-1.0, change / holdings.weights[coin_id])
            self._order(coin_id, moment, -1 if coin_id not in wanted else share)
        moment = max(moment, self.latest_fill)
        for coin_id, change in self._in_order(moment, changes, lambda change: change > MIN_CHANGE):
            cash = float(self.cash)
            if cash > 0:
                self._order(coin_id, moment, min(1.0, change * holdings.value / cash))

    def _in_order(
        self, moment: float, changes: Mapping[str, float], is_meant: Callable[[float], bool]
    ) -> Iterable[tuple[str, float]]:
        """Return the changes that are meant, in the order of the prices that fill them."""
        chosen = [(coin_id, change) for coin_id, change in changes.items() if is_meant(change)]
        return sorted(chosen, key=lambda item: (self._fill_time(item[0], moment), item[0]))

    def _fill_time(self, coin_id: str, moment: float) -> float:
        times = self.series[coin_id].times
        index = int(np.searchsorted(times, moment, side="right"))
        return float(times[index]) if index < len(times) else np.inf

    def _order(self, coin_id: str, moment: float, share: float) -> None:
        """Fill an order at the coin's next price after a moment, or count it as rejected."""
        series = self.series[coin_id]
        index = int(np.searchsorted(series.times, moment, side="right")) - 1
        if index + 1 >= len(series):
            return
        at, price = float(series.times[index + 1]), float(series.prices[index + 1])
        position = self.positions[coin_id]
        position.cash = self.cash
        trade = position.simulate_fill(share, at, price, self.costs)
        if trade is None:
            return
        if engine.is_fillable(series, index):
            self._apply(coin_id, trade)
        else:
            self.rejected_fills += 1

    def _apply(self, coin_id: str, trade: Trade) -> None:
        position = self.positions[coin_id]
        position.cash = self.cash
        gain = position.apply(trade)
        self.cash = position.cash
        self.trades.append((coin_id, trade))
        self.latest_fill = max(self.latest_fill, trade.filled_at)
        if gain is not None:
            self.realized_gains.append(gain)

    def sell_everything(self) -> None:
        """Sell each coin at its last observed price."""
        for coin_id, series in self.series.items():
            last = engine.last_observed(series)
            if last < 0:
                continue
            at, price = float(series.times[last]), float(series.prices[last])
            if trade := self.positions[coin_id].simulate_fill(-1, at, price, self.costs):
                self._apply(coin_id, trade._replace(side="close"))


def _summarize(account: _Account, start: float) -> BacktestResult:
    """Return the curves of all coins together from `start` on."""
    times = np.unique(np.concatenate([own.times for own in account.series.values()]))
    times = times[times >= start]
    cash = np.full(len(times), float(account.initial_usd))
    in_coins = np.zeros(len(times))
    for coin_id, series in account.series.items():
        held, spent = np.zeros(len(times)), np.zeros(len(times))
        for first, trade in _locate_trades(account, coin_id, times):
            held[first:] += float(trade.quantity)
            spent[first:] += float(trade.cash_usd)
        indices = np.searchsorted(series.times, times, side="right") - 1
        known = np.where(indices >= 0, series.prices[np.maximum(indices, 0)], 0.0)
        in_coins += np.maximum(held, 0.0) * known
        cash += spent
    equity: Floats = cash + in_coins
    exposure = np.divide(in_coins, equity, out=np.zeros_like(in_coins), where=equity > 0)
    trades = sorted(account.trades, key=lambda item: item[1].filled_at)
    return BacktestResult(
        times,
        account.initial_usd,
        account.cash,
        [trade for _, trade in trades],
        account.realized_gains,
        account.rejected_fills,
        equity,
        exposure,
    )


def _locate_trades(account: _Account, coin_id: str, times: Floats) -> Iterator[tuple[int, Trade]]:
    """Yield the coin's trades with the index of the point that filled them."""
    for coin, trade in account.trades:
        if coin == coin_id:
            yield int(np.searchsorted(times, trade.filled_at)), trade
