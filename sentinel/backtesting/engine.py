"""Run a strategy on the past prices of one coin. Pure.

An order that the strategy places at one observation is filled at the next one, at its price. It is
rejected if that price was backfilled or came too late, because a real order could not have been
filled there. The strategy never knows the price that fills its order.
"""

from __future__ import annotations

import bisect
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sentinel.backtesting.portfolio import Costs, ExitReason, Portfolio, Trade
from sentinel.backtesting.price_series import Floats, LoadedPrices, PriceSeries
from sentinel.errors import ConfigurationError

# Decides after the observation at an index of the series: returns the share of the cash to spend
# (above 0, at most 1) or the share of the coins to sell (below 0, at least -1); 0 does nothing.
Decide = Callable[[int, Portfolio], float]

# A fill is in time if the next observation follows within this delay …
ACCEPTED_DELAY_SECONDS = 30 * 60.0
# … or within this multiple of the usual pause between observations.
MAX_DELAY_FACTOR = 3.0
# Without earlier pauses to measure: the prices may be daily ones.
UNKNOWN_PAUSE_SECONDS = 26 * 3600.0
# The usual pause is the median of this many pauses before the order: a day at 15 minutes.
PAUSES_FOR_MEDIAN = 96
NEVER = sys.maxsize
MIN_POINTS = 2  # of a series: one to decide at, one to fill the order


class Order(NamedTuple):
    """What is ordered at one observation."""

    # Of the cash (above 0) or of the coins (below 0); 0: no order.
    share: float
    # The rule that sells; None: the strategy does.
    reason: ExitReason | None = None
    # Purchases, blocked since a protective exit, are possible again.
    unblocks: bool = False


@dataclass(frozen=True, slots=True)
class Signals:
    """What a strategy wants to do along a series.

    The engine asks `decide` only where an order is possible: at the indices `buys` while there is
    cash, at the indices `sells` while there are coins. This is what makes a sweep fast.
    """

    # Ascending indices where the strategy may buy.
    buys: Sequence[int]
    # Ascending indices where it may sell.
    sells: Sequence[int]
    decide: Decide

    def find_next(self, portfolio: Portfolio, index: int) -> int:
        """Return the first index from `index` on where an order is wanted and possible."""
        found = find_first(self.buys, index) if portfolio.cash else NEVER
        if found > index and portfolio.quantity:
            found = min(found, find_first(self.sells, index))
        return found

    def place_order(self, index: int, portfolio: Portfolio) -> Order:
        """Return the order at an index."""
        return Order(self.decide(index, portfolio))


def follow_signal(
    signal: Floats, first: int, size_order: Callable[[float, Portfolio], float] | None = None
) -> Signals:
    """Return the signals of one number for each point, above 0 to buy, below 0 to sell.

    The points before the index `first` are for averages only. `size_order` returns the share of an
    order from a number; without it, the number is the share.
    """
    own = signal.copy()
    own[:first] = 0.0

    def decide(index: int, portfolio: Portfolio) -> float:
        number = float(own[index])
        return size_order(number, portfolio) if size_order else number

    return Signals(np.flatnonzero(own > 0).tolist(), np.flatnonzero(own < 0).tolist(), decide)


@dataclass(frozen=True, slots=True, eq=False)
class BacktestResult:
    """The trades of a strategy, and the value of the portfolio over time.

    It covers one coin, or several coins whose results were combined.
    """

    # UNIX seconds of the points.
    times: Floats
    initial_usd: Decimal
    final_usd: Decimal
    trades: Sequence[Trade]
    # The gain of each sale over its cost basis, in USD.
    realized_gains: Sequence[Decimal]
    # Orders that were not filled.
    rejected_fills: int
    # Value in USD at each point; from the last observed point on after everything was sold.
    equity: Floats
    # The share of the value that was in coins at each point, 0 to 1.
    exposure: Floats

    @property
    def fees_usd(self) -> Decimal:
        """The sum of all fees in USD."""
        return sum((trade.fee_usd for trade in self.trades), Decimal(0))


def require_points(
    found: Mapping[str, PriceSeries], start: float, source: str | Path, span: str
) -> LoadedPrices:
    """Return the prices for trading from `start` (UNIX seconds) on.

    Raises ConfigurationError, which names `source` and `span`, if a coin has too few of them.
    """
    short = [
        coin_id
        for coin_id, series in found.items()
        if len(series.between(start, np.inf)) < MIN_POINTS
    ]
    if short:
        raise ConfigurationError(
            f"{source} holds too few prices of {', '.join(short)} {span}".rstrip()
            + f": a backtest needs at least {MIN_POINTS}"
        )
    return LoadedPrices(found, start)


def is_fillable(series: PriceSeries, index: int) -> bool:
    """Return whether an order placed at an index can be filled at the next observation."""
    if not series.is_observed[index + 1]:
        return False
    delay = series.times[index + 1] - series.times[index]
    if delay <= ACCEPTED_DELAY_SECONDS:  # saves most orders the median
        return True
    return bool(delay <= max_fill_delay(series, index, UNKNOWN_PAUSE_SECONDS))


def max_fill_delay(series: PriceSeries, index: int, unknown: float) -> float:
    """Return the seconds after an index within which the next observation is in time.

    The pauses before the index set the limit; `unknown` replaces it if there are none.
    """
    pauses = np.diff(series.times[max(0, index - PAUSES_FOR_MEDIAN) : index + 1])
    longest = MAX_DELAY_FACTOR * float(np.median(pauses)) if len(pauses) else unknown
    return max(ACCEPTED_DELAY_SECONDS, longest)


def run_backtest(
    series: PriceSeries, signals: Signals, costs: Costs, initial_usd: Decimal
) -> BacktestResult:
    """Trade a series from its first point to its last observed one, and sell everything there."""
    last = last_observed(series)
    log, rejected = _TradeLog(Portfolio(initial_usd)), 0
    for index, trade in _iterate_orders(series, signals, costs, log.portfolio, last):
        if is_fillable(series, index):
            log.add(trade, index + 1)
        else:
            rejected += 1
    return _close(series, log, costs, initial_usd, rejected)


def replay_trades(
    series: PriceSeries,
    trades: Iterable[Trade],
    costs: Costs,
    portfolio: Portfolio,
    rejected_fills: int,
) -> BacktestResult:
    """Return the result of trades that were made before, selling the rest at the last point.

    The trades are applied to `portfolio`; its value at the first point is the initial value.
    """
    initial_usd = portfolio.value(float(series.prices[0]))
    log = _TradeLog(portfolio)
    for trade in trades:
        log.add(trade, int(np.searchsorted(series.times, trade.filled_at)))
    return _close(series, log, costs, initial_usd, rejected_fills)


def trim_start(result: BacktestResult, start: float) -> BacktestResult:
    """Return a result without its points before `start` (UNIX seconds).

    Nothing may have been traded there.
    """
    shown = slice(int(np.searchsorted(result.times, start)), None)
    return dataclasses.replace(
        result,
        times=result.times[shown],
        equity=result.equity[shown],
        exposure=result.exposure[shown],
    )


def _close(
    series: PriceSeries, log: _TradeLog, costs: Costs, initial_usd: Decimal, rejected_fills: int
) -> BacktestResult:
    """Sell what is left at the last observed point and compute the curves."""
    equity, exposure = _compute_curves(series, log.balances)
    last = last_observed(series)
    if last >= 0:
        at, price = float(series.times[last]), float(series.prices[last])
        if closing := log.portfolio.simulate_fill(-1, at, price, costs):
            log.add(closing._replace(side="close"), last)
        equity[last:], exposure[last:] = float(log.portfolio.cash), 0.0
    return BacktestResult(
        series.times,
        initial_usd,
        log.portfolio.cash,
        log.trades,
        log.realized_gains,
        rejected_fills,
        equity,
        exposure,
    )


def _iterate_orders(
    series: PriceSeries, signals: Signals, costs: Costs, portfolio: Portfolio, last: int
) -> Iterator[tuple[int, Trade]]:
    """Yield each order as the trade it would make, with the index where it was placed.

    The caller applies a trade to `portfolio` before it asks for the next one.
    """
    index = signals.find_next(portfolio, 0)
    while index < last:
        if series.is_observed[index]:
            share, reason, unblocks = signals.place_order(index, portfolio)
            if unblocks:
                portfolio.is_blocked = False
            if share:
                at, price = float(series.times[index + 1]), float(series.prices[index + 1])
                if trade := portfolio.simulate_fill(share, at, price, costs, reason):
                    yield index, trade
        index = signals.find_next(portfolio, index + 1)


def find_first(indices: Sequence[int], index: int) -> int:
    """Return the first of ascending indices from `index` on, or NEVER."""
    if isinstance(indices, range):  # of a strategy that is asked at every price
        return max(index, indices.start) if index < indices.stop else NEVER
    n = bisect.bisect_left(indices, index)
    return indices[n] if n < len(indices) else NEVER


@dataclass(slots=True)
class _TradeLog:
    """A portfolio and the trades that led to it."""

    portfolio: Portfolio
    trades: list[Trade] = field(default_factory=list)
    realized_gains: list[Decimal] = field(default_factory=list)
    # (index of the series, cash, coins) at the start and after each trade.
    balances: list[tuple[int, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._add_balance(0)

    def add(self, trade: Trade, index: int) -> None:
        gain = self.portfolio.apply(trade)
        self.trades.append(trade)
        self._add_balance(index)
        if gain is not None:
            self.realized_gains.append(gain)

    def _add_balance(self, index: int) -> None:
        self.balances.append((index, float(self.portfolio.cash), float(self.portfolio.quantity)))


def last_observed(series: PriceSeries) -> int:
    """Return the index of the last observed point, where everything is sold; -1 without one."""
    found = np.flatnonzero(series.is_observed)
    return int(found[-1]) if len(found) else -1


def _compute_curves(
    series: PriceSeries, balances: Sequence[tuple[int, float, float]]
) -> tuple[Floats, Floats]:
    """Return the value at each point, and the share of it in coins."""
    indices, cash, coins = zip(*balances, strict=True)
    lengths = np.diff([*indices, len(series)])
    in_coins = np.repeat(coins, lengths) * series.prices
    equity = np.repeat(cash, lengths) + in_coins
    exposure = np.divide(in_coins, equity, out=np.zeros_like(in_coins), where=equity > 0)
    return equity, exposure
