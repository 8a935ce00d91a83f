"""A strategy's signals under order rules. Pure.

Thresholds are checked at observed prices and filled at the next price, like every order. After a
protective exit, purchases are blocked until the strategy's own signal was at or below 0 once:
otherwise a signal that is still on would buy back at once. With an order size, one purchase opens a
position and nothing is added to it: a signal that stays on would otherwise spend all the cash.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from sentinel.backtesting.engine import Order, Signals, find_first
from sentinel.backtesting.order_rules import OrderRules
from sentinel.backtesting.portfolio import ExitReason, Portfolio
from sentinel.backtesting.price_series import Floats, PriceSeries

DAY_SECONDS = 86_400.0
# Observations whose returns are the realized volatility: a day at 15 minutes.
VOLATILITY_POINTS = 96
# With fewer the volatility is unknown, and nothing is bought.
MIN_VOLATILITY_POINTS = 20
FIRST_CHUNK = 256  # prices that the search for an exit reads at first; then twice as many


def apply_rules(signals: Signals, rules: OrderRules, series: PriceSeries) -> RuledSignals:
    """Return the signals of a strategy along a series with rules around them."""
    # At a place where the strategy may only buy, its signal is above 0.
    unblocks = np.ones(len(series), dtype=bool)
    unblocks[np.asarray(signals.buys, dtype=np.intp)] = False
    unblocks[np.asarray(signals.sells, dtype=np.intp)] = True
    return RuledSignals(
        signals.buys,
        signals.sells,
        signals.decide,
        rules,
        series,
        np.where(series.is_observed, series.prices, np.nan),
        np.flatnonzero(series.is_observed),
        np.flatnonzero(unblocks).tolist(),
    )


@dataclass(slots=True)
class _High:
    """The highest observed price of a position, up to an index."""

    entered_at: float | None = None
    index: int = -1
    price: float = -math.inf


@dataclass(frozen=True, slots=True)
class RuledSignals(Signals):
    """What a strategy and the rules around it want to do along a series."""

    rules: OrderRules
    series: PriceSeries
    # NaN where a price was backfilled: no threshold is checked there.
    prices: Floats
    # Ascending indices of the observed prices.
    observed: NDArray[np.intp]
    # Ascending indices where the strategy's own signal may be at or below 0.
    unblocks: Sequence[int]
    # Kept from one call to the next, because the same prices would be read again and again.
    high: _High = field(default_factory=_High)

    def find_next(self, portfolio: Portfolio, index: int) -> int:
        """Return the first index from `index` on where an order is wanted and possible."""
        if portfolio.is_blocked:
            return find_first(self.unblocks, index)
        if not portfolio.quantity:
            return find_first(self.buys, index)
        found = find_first(self.sells, index)
        if portfolio.cash and not self.rules.has_size:
            found = min(found, find_first(self.buys, index))
        return self._find_exit(portfolio, index, found)

    def place_order(self, index: int, portfolio: Portfolio) -> Order:
        """Return the order at an index: that of a protective exit, or the strategy's."""
        if reason := self._find_reason(index, portfolio):
            return Order(-1.0, reason)
        share = self.decide(index, portfolio)
        if share <= 0:
            return Order(share, unblocks=portfolio.is_blocked)
        if portfolio.is_blocked or (portfolio.quantity and self.rules.has_size):
            return Order(0.0)
        return Order(share * self._size_purchase(index, portfolio))

    def _find_exit(self, portfolio: Portfolio, index: int, stop: int) -> int:
        """Return the first index from `index` to before `stop` that crosses a threshold, or `stop`.

        The search is vectorized: a sweep calls no Python at the observations between.
        """
        if stop <= index:
            return stop
        lowest, highest = self._find_levels(portfolio)
        trailing = 1 - self.rules.trailing_stop if self.rules.trailing_stop else -1.0
        high, size = self._find_high(portfolio, index - 1), FIRST_CHUNK
        end = min(stop, len(self.prices))
        while index < end:
            prices = self.prices[index : min(end, index + size)]
            highs = np.fmax(np.fmax.accumulate(prices), high)
            is_crossed = (prices <= lowest) | (prices >= highest) | (prices <= trailing * highs)
            if is_crossed.any():
                return index + int(is_crossed.argmax())
            index, high, size = index + len(prices), float(highs[-1]), 2 * size
        return stop

    def _find_reason(self, index: int, portfolio: Portfolio) -> ExitReason | None:
        """Return the rule whose threshold the price at an index crosses, if there is one."""
        if not portfolio.quantity:
            return None
        price = float(self.prices[index])
        lowest, highest = self._find_levels(portfolio)
        if price <= lowest:
            return "stop-loss"
        if price >= highest:
            return "take-profit"
        share = self.rules.trailing_stop
        if share and price <= (1 - share) * self._find_high(portfolio, index):
            return "trailing-stop"
        return None

    def _find_levels(self, portfolio: Portfolio) -> tuple[float, float]:
        """Return the prices of the stop-loss and of the take-profit.

        In decimals: as floats, 10 % above 100 would be more than 110.
        """
        entry, rules = portfolio.entry_price or Decimal(0), self.rules
        return (
            float(entry * (1 - Decimal(str(rules.stop_loss)))) if rules.stop_loss else -math.inf,
            float(entry * (1 + Decimal(str(rules.take_profit)))) if rules.take_profit else math.inf,
        )

    def _find_high(self, portfolio: Portfolio, index: int) -> float:
        """Return the highest observed price from the entry to an index, -inf without one."""
        if not self.rules.trailing_stop:
            return -math.inf
        known = self.high
        if known.entered_at != portfolio.entered_at or index < known.index:
            first = int(np.searchsorted(self.series.times, portfolio.entered_at or math.inf))
            known.entered_at, known.index, known.price = portfolio.entered_at, first - 1, -math.inf
        if index > known.index:
            new = self.prices[known.index + 1 : index + 1]
            known.price, known.index = float(np.fmax.reduce(new, initial=known.price)), index
        return known.price

    def _size_purchase(self, index: int, portfolio: Portfolio) -> float:
        """Return the largest part of the cash that a purchase at an index may spend, 0 to 1."""
        largest, cash = 1.0, float(portfolio.cash)
        if self.rules.order_usd:
            largest = min(largest, self.rules.order_usd / cash)
        if self.rules.order_volatility:
            volatility = self._compute_volatility(index)
            if math.isnan(volatility):
                return 0.0
            # Without coins the cash is the account's whole value.
            largest = min(largest, self.rules.order_volatility / max(volatility, 1e-12))
        return largest

    def _compute_volatility(self, index: int) -> float:
        """Return the realized volatility of the latest observations, scaled to a day.

        The square root of the sum of squared log returns over the days that they span; Andersen,
        Bollerslev, Diebold, Labys: Modeling and Forecasting Realized Volatility, 2003. NaN where
        there are too few observations.
        """
        end = int(np.searchsorted(self.observed, index, side="right"))
        seen = self.observed[max(0, end - VOLATILITY_POINTS - 1) : end]
        if len(seen) <= MIN_VOLATILITY_POINTS:
            return math.nan
        returns = np.diff(np.log(self.prices[seen]))
        days = (self.series.times[seen[-1]] - self.series.times[seen[0]]) / DAY_SECONDS
        return math.sqrt(float(np.sum(returns * returns)) / float(days))
