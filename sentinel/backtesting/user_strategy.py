"""The user's own strategy: one function in a file, called once for each observation.

    def decide(history, portfolio, *, low=0.95):
        mean = history.prices[-96:].mean()
        if history.prices[-1] < low * mean:
            return 1        # spend all cash
        if history.prices[-1] > mean:
            return -1       # sell all coins
        return 0            # or None: do nothing

`history.times` (UNIX seconds) and `history.prices` (USD) are NumPy arrays that end at the newest
observation. `portfolio` has `cash` (USD), `quantity` (coins) and `cost_basis` (USD that these coins
have cost). The function returns the share of the cash to spend (above 0, at most 1) or the share of
the coins to sell (below 0, at least -1). The arguments after `*` are the strategy's parameters.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from sentinel.backtesting.engine import Signals
from sentinel.backtesting.portfolio import Portfolio
from sentinel.backtesting.price_series import Floats, PriceSeries
from sentinel.backtesting.strategy_modules import StrategyFailed, load_module, wrap_errors
from sentinel.backtesting.strategy_source import Parameters, StrategySource

MAX_SHOWN = 60  # characters of an invalid result in an error message


class PriceHistory(NamedTuple):
    """The prices that are known at a moment, the newest last."""

    # UNIX seconds.
    times: Floats
    # USD.
    prices: Floats


def read_parameters(source: StrategySource) -> dict[str, float | str]:
    """Return the strategy's parameters: its keyword-only arguments with numbers or texts.

    Raises StrategyFailed if the file does not load or has no function `decide`.
    """
    try:
        known = inspect.signature(_load_decide(source)).parameters.values()
    except ValueError as error:
        raise _no_decide(source) from error
    found = {
        parameter.name: parameter.default
        for parameter in known
        if parameter.kind is parameter.KEYWORD_ONLY
        and isinstance(parameter.default, int | float | str)
        and not isinstance(parameter.default, bool)
    }
    for key, value in found.items():
        if not isinstance(value, str) and not math.isfinite(value):
            raise StrategyFailed(f"The strategy {source.name}: {key} must be a finite number")
    return found


def build_signals(
    source: StrategySource, parameters: Parameters, series: PriceSeries, first: int
) -> Signals:
    """Return what the strategy wants to do along a series, from the index `first` on.

    Raises StrategyFailed, here or on a decision.
    """
    decide = _load_decide(source)
    window = _HistoryWindow(series)

    def decide_at(index: int, portfolio: Portfolio) -> float:
        return _call_decide(source, decide, window.until(index), portfolio, parameters)

    # The engine may ask at every index: only the function itself knows when it wants to trade.
    indices = range(first, len(series))
    return Signals(indices, indices, decide_at)


class _HistoryWindow:
    """Hands out the prices up to an index.

    Later prices are not in the arrays yet, so that a strategy cannot look ahead, not even through
    the base array of a view.
    """

    def __init__(self, series: PriceSeries) -> None:
        self._series = series
        self._known = 0
        self._times = np.full(len(series), np.nan)
        self._prices = np.full(len(series), np.nan)

    def until(self, index: int) -> PriceHistory:
        """Return the points up to and including an index. Indices must not decrease."""
        new = slice(self._known, index + 1)
        self._times[new] = self._series.times[new]
        self._prices[new] = self._series.prices[new]
        self._known = index + 1
        history = PriceHistory(self._times[: index + 1], self._prices[: index + 1])
        for column in history:
            column.flags.writeable = False
        return history


def _load_decide(source: StrategySource) -> Callable[..., Any]:
    """Return the function `decide` of a freshly executed module. Raises StrategyFailed."""
    decide = getattr(load_module(source), "decide", None)
    if not callable(decide):
        raise _no_decide(source)
    return decide  # type: ignore[no-any-return]


def _no_decide(source: StrategySource) -> StrategyFailed:
    return StrategyFailed(f"The strategy {source.name} has no function decide(history, portfolio)")


def _call_decide(
    source: StrategySource,
    decide: Callable[..., Any],
    history: PriceHistory,
    portfolio: Portfolio,
    parameters: Parameters,
) -> float:
    # A copy: a strategy that writes into it does not change what it owns.
    shown = Portfolio(portfolio.cash, portfolio.quantity, portfolio.cost_basis)
    at = datetime.fromtimestamp(float(history.times[-1]), UTC)
    with wrap_errors(f"The strategy {source.name} failed at {at:%Y-%m-%d %H:%M} UTC", source):
        share = decide(history, shown, **parameters)
    if share is None:
        return 0.0
    is_number = isinstance(share, int | float | np.integer | np.floating)
    if not is_number or isinstance(share, bool) or not -1 <= share <= 1:
        returned = " ".join(repr(share).split())[:MAX_SHOWN]
        raise StrategyFailed(
            f"The strategy {source.name} returned {returned} at {at:%Y-%m-%d %H:%M} UTC: it must "
            "return None or a number from -1 (sell all) to 1 (spend all)"
        )
    return float(share)
