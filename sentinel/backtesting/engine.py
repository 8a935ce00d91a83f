"""A strategy on the past of one coin, pure.

What a strategy wishes at one observation is filled at the next one: at its price, and only where
that was observed and came in time. Whoever decided did not know it yet.
"""

from __future__ import annotations

import bisect
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from sentinel.backtesting.portfolio import Costs, Portfolio, Trade
from sentinel.backtesting.price_series import Floats, Series

# What to do having seen a point, by its place in the series: the share of the cash to spend (above
# 0 to 1) or of the coins to sell (below 0 to -1); 0: nothing.
Decide = Callable[[int, Portfolio], float]

ALWAYS_IN_TIME = 30 * 60.0  # seconds until the next observation that are never too long …
LATE_FACTOR = 3.0  # … nor are so many usual pauses
NEVER = sys.maxsize
UNKNOWN_PAUSE = 26 * 3600.0  # where there is none before: prices may be daily ones
USUAL_OF = 96  # pauses before the order, whose median is the usual one: a day at 15 minutes


class Signals(NamedTuple):
    """What a strategy wishes. At the places of `buys` it may wish to spend, at those of `sells` to
    sell (ascending); it is asked only where there is something to do it with."""

    buys: Sequence[int]
    sells: Sequence[int]
    decide: Decide


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of it. `equity` is worth in USD at each point, the last one after everything was
    sold; `held` the share of it that was in coins then. `gains` has what each sale gained. An order
    that was not filled is `refused`."""

    series: Series
    initial: Decimal
    final: Decimal
    trades: Sequence[Trade]
    gains: Sequence[Decimal]
    refused: int
    equity: Floats
    held: Floats

    @property
    def fees(self) -> Decimal:
        """All fees in USD."""
        return sum((trade.fee for trade in self.trades), Decimal(0))


def is_fillable(series: Series, place: int) -> bool:
    """Whether an order decided at a place can be filled at the next: observed, and in time. A pause
    is too long by the measure of those before it."""
    if not series.observed[place + 1]:
        return False
    pause = series.times[place + 1] - series.times[place]
    if pause <= ALWAYS_IN_TIME:  # whatever the usual pause is: no median for most orders
        return True
    return bool(pause <= max_fill_delay(series, place, UNKNOWN_PAUSE))


def max_fill_delay(series: Series, place: int, unknown: float) -> float:
    """Seconds behind a place within which the next observation is in time, by the pauses before it;
    `unknown` where there are none."""
    before = np.diff(series.times[max(0, place - USUAL_OF) : place + 1])
    longest = LATE_FACTOR * float(np.median(before)) if len(before) else unknown
    return max(ALWAYS_IN_TIME, longest)


def run(series: Series, signals: Signals, costs: Costs, initial: Decimal) -> Outcome:
    """Trade a series from its first point to its last observed one, where everything is sold."""
    last = _last_observed(series)
    book, refused = _Book(Portfolio(initial)), 0
    for place, trade in _orders(series, signals, costs, book.purse, last):
        if is_fillable(series, place):
            book.enter(trade, place + 1)
        else:
            refused += 1
    return _close(series, book, costs, initial, Portfolio(initial), refused)


def retrace(
    series: Series, trades: Iterable[Trade], costs: Costs, purse: Portfolio, refused: int
) -> Outcome:
    """The outcome of trades that were made with a purse, as if what is left were sold at the last
    point. It begins with what the purse is worth at the first."""
    book = _Book(Portfolio(purse.cash, purse.quantity, purse.spent))
    for trade in trades:
        book.enter(trade, int(np.searchsorted(series.times, trade.at)))
    worth = purse.worth(float(series.prices[0])) if len(series) else purse.cash
    return _close(series, book, costs, worth, purse, refused)


def cut(outcome: Outcome, begins: float) -> Outcome:
    """The same without the points before `begins` (UNIX seconds), at which nothing was traded."""
    series = outcome.series.part(begins, np.inf)
    first = len(outcome.series) - len(series)
    return dataclasses.replace(
        outcome, series=series, equity=outcome.equity[first:], held=outcome.held[first:]
    )


def _close(
    series: Series, book: _Book, costs: Costs, initial: Decimal, purse: Portfolio, refused: int
) -> Outcome:
    last = _last_observed(series)
    before = book.states(purse)
    if book.purse.quantity and last >= 0:
        at, price = float(series.times[last]), float(series.prices[last])
        if closing := book.purse.order(-1, at, price, costs):
            book.enter(closing._replace(side="close"), last)
    equity, held = _curve(series, before, last, book.purse)
    return Outcome(series, initial, book.purse.cash, book.trades, book.gains, refused, equity, held)


def _orders(
    series: Series, signals: Signals, costs: Costs, purse: Portfolio, last: int
) -> Iterator[tuple[int, Trade]]:
    """What is ordered and what would come of it, with the place where it was decided: where
    something was observed, and there is something to spend or to sell."""
    place = _next(signals, purse, 0)
    while place < last:
        if series.observed[place] and (share := signals.decide(place, purse)):
            at, price = float(series.times[place + 1]), float(series.prices[place + 1])
            if trade := purse.order(share, at, price, costs):
                yield place, trade
        place = _next(signals, purse, place + 1)


def _next(signals: Signals, purse: Portfolio, place: int) -> int:
    """The first place from `place` on where something may be wished that can be done."""
    found = NEVER
    for places, means in ((signals.buys, purse.cash), (signals.sells, purse.quantity)):
        if means and (n := bisect.bisect_left(places, place)) < len(places):
            found = min(found, places[n])
    return found


@dataclass(slots=True)
class _Book:
    """A purse, its trades with the places they were filled at, and what sales gained."""

    purse: Portfolio
    trades: list[Trade] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    gains: list[Decimal] = field(default_factory=list)

    def enter(self, trade: Trade, place: int) -> None:
        gain = self.purse.apply(trade)
        self.trades.append(trade)
        self.places.append(place)
        if gain is not None:
            self.gains.append(gain)

    def states(self, purse: Portfolio) -> list[tuple[int, float, float]]:
        """From which place on there was how much cash and how many coins, first in a purse."""
        cash, quantity = purse.cash, purse.quantity
        found = [(0, float(cash), float(quantity))]
        for place, trade in zip(self.places, self.trades, strict=True):
            cash, quantity = cash + trade.cash, quantity + trade.quantity
            found.append((place, float(cash), float(quantity)))
        return found


def _last_observed(series: Series) -> int:
    """The place of the last observed point, at which everything is sold; -1: there is none."""
    found = np.flatnonzero(series.observed)
    return int(found[-1]) if len(found) else -1


def _curve(
    series: Series, states: Sequence[tuple[int, float, float]], last: int, end: Portfolio
) -> tuple[Floats, Floats]:
    """Worth at each point, and the share of it in coins."""
    places, cash, coins = zip(*states, strict=True)
    lengths = np.diff([*places, len(series)])
    in_coins = np.repeat(coins, lengths) * series.prices
    equity = np.repeat(cash, lengths) + in_coins
    held = np.divide(in_coins, equity, out=np.zeros_like(in_coins), where=equity > 0)
    if last >= 0:
        equity[last:] = float(end.cash)
        held[last:] = 0.0
    return equity, held
