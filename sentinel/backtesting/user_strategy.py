"""The user's own strategy: a file with one function, which one of these names tells apart.

    def decide(history, portfolio, *, low=0.95):        # called once for each observation
        mean = history.prices[-96:].mean()
        if history.prices[-1] < low * mean:
            return 1        # spend all cash
        if history.prices[-1] > mean:
            return -1       # sell all coins
        return 0            # or None: do nothing

    def signals(history, *, low=0.95):                  # called once for the whole series
        …
        return np.where(history.prices < low * mean, 1, -1)

`history` has NumPy arrays that end at the newest observation (PriceHistory). `decide` returns one
share, `signals` an array with one share for each price: of the cash to spend (above 0, at most 1)
or of the coins to sell (below 0, at least -1). The arguments after `*` are the parameters. The
third kind of function, `weights`, is in the module `user_weights`.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel.backtesting.engine import Decide, Signals, follow_signal
from sentinel.backtesting.portfolio import Portfolio, Trade
from sentinel.backtesting.price_series import Floats, PriceSeries
from sentinel.backtesting.strategy_modules import (
    StrategyFailed,
    describe_cause,
    load_module,
    wrap_errors,
)
from sentinel.backtesting.strategy_source import Parameters, StrategySource
from sentinel.errors import SentinelError

# What a file may define, with the arguments that are no parameters: one of these functions.
FUNCTIONS = {
    "decide": "decide(history, portfolio)",
    "signals": "signals(history)",
    "weights": "weights(histories, portfolio)",
}
NUMBERS = (int, float, np.integer, np.floating)
MAX_SHOWN = 60  # characters of an invalid result in an error message


class _Column:
    """An attribute of PriceHistory that is cut to its length when a strategy first reads it."""

    def __init__(self, row: int) -> None:
        self._row = row

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, history: PriceHistory, _owner: type) -> Floats:
        # The instance's own attribute is found before this method from now on.
        column = vars(history)[self._name] = history.cut(self._row)
        return column


class PriceHistory:
    """The points that are known at a moment, the newest last, as read-only arrays."""

    # UNIX seconds.
    times = _Column(0)
    # USD.
    prices = _Column(1)
    # USD traded in the 24 hours before; NaN where it is unknown.
    volumes = _Column(2)
    # USD; NaN where it is unknown.
    market_caps = _Column(3)

    def __init__(self, rows: Floats, length: int) -> None:
        self._rows = rows
        self._length = length

    def cut(self, row: int) -> Floats:
        """Return the known values of a column."""
        return self._rows[row, : self._length]


def stack_columns(series: PriceSeries) -> Floats:
    """Return a copy of the columns of a PriceHistory, a row for each."""
    return np.stack((series.times, series.prices, series.volumes, series.market_caps))


def protect(rows: Floats) -> Floats:
    """Return a read-only view."""
    view = rows.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, slots=True)
class PortfolioView:
    """What a strategy sees of its portfolio: a copy, which it cannot change."""

    # USD.
    cash: Decimal
    # Coins.
    quantity: Decimal
    # USD that the coins have cost, with fees.
    cost_basis: Decimal
    # UNIX seconds of the purchase that opened the position; None without coins.
    entered_at: float | None
    # The average price of the position in USD, a float as in the history; None without coins.
    entry_price: float | None
    # The trade that sold the last coin of the position before; None if there was none.
    last_exit: Trade | None

    @classmethod
    def copy(cls, portfolio: Portfolio) -> PortfolioView:
        """Return a view of the portfolio as it is now."""
        return cls(
            portfolio.cash,
            portfolio.quantity,
            portfolio.cost_basis,
            portfolio.entered_at,
            None if portfolio.entry_price is None else float(portfolio.entry_price),
            portfolio.last_exit,
        )


def read_parameters(source: StrategySource) -> tuple[str, dict[str, float | str]]:
    """Return the name of the strategy's function and its parameters.

    The parameters are the keyword-only arguments with numbers or texts. Raises StrategyFailed if
    the file does not load or does not have one of the FUNCTIONS.
    """
    name, function = load_function(source)
    try:
        known = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise StrategyFailed(
            f"The strategy {source.name}: {name} is not a function that can be called as "
            f"{FUNCTIONS[name]}"
        ) from error
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
    return name, found


def compute_signal(source: StrategySource, parameters: Parameters, series: PriceSeries) -> Floats:
    """Return what `signals` returns for the series: one share for each price, -1 to 1.

    Raises StrategyFailed.
    """
    _, function = load_function(source)
    return _call_signals(source, function, parameters, series)


def build_signals(
    source: StrategySource, parameters: Parameters, series: PriceSeries, first: int
) -> Signals:
    """Return what the strategy wants to do along a series, from the index `first` on.

    Raises StrategyFailed, here or on a decision.
    """
    name, function = load_function(source)
    if name == "signals":
        return follow_signal(_call_signals(source, function, parameters, series), first)
    # The engine may ask at every index: only `decide` itself knows when it wants to trade.
    indices = range(first, len(series))
    return Signals(indices, indices, _make_decide(source, function, parameters, series))


def _call_signals(
    source: StrategySource,
    signals: Callable[..., Any],
    parameters: Parameters,
    series: PriceSeries,
) -> Floats:
    history = PriceHistory(protect(stack_columns(series)), len(series))
    with wrap_errors(f"The strategy {source.name} failed", source):
        found = np.array(signals(history, **parameters))  # a copy: the file may keep its array
    return _check_signal(source, found, series)


def _check_signal(source: StrategySource, found: NDArray[Any], series: PriceSeries) -> Floats:
    """Return the array with 0 for NaN. Raises StrategyFailed if it is not one share a price."""
    what = f"The strategy {source.name}: signals returned"
    rule = "it must return one number from -1 (sell all) to 1 (spend all) for each price"
    if found.shape != (len(series),):
        returned = f"an array of shape {found.shape}" if found.shape else show(found.item())
        raise StrategyFailed(f"{what} {returned} for {len(series)} prices: {rule}")
    if found.dtype.kind == "b":
        raise StrategyFailed(f"{what} True and False: use np.where(condition, 1, -1)")
    try:
        shares = found.astype(np.float64) if found.dtype.kind in "fiuO" else None
    except (TypeError, ValueError):
        shares = None
    if shares is None:
        raise StrategyFailed(f"{what} an array of {found.dtype}: {rule}")
    shares[np.isnan(shares)] = 0.0
    if len(wrong := np.flatnonzero(np.abs(shares) > 1)):
        at = format_time(series.times[wrong[0]])
        raise StrategyFailed(f"{what} {shares[wrong[0]]:g} at {at}: {rule}")
    return shares


def _make_decide(
    source: StrategySource,
    decide: Callable[..., Any],
    parameters: Parameters,
    series: PriceSeries,
) -> Decide:
    """Return the function that the engine calls: this is the loop that must be fast."""
    values = stack_columns(series)
    # Later values are not in it yet, so that a strategy cannot look ahead, not even through the
    # base array of a view.
    known = np.full_like(values, np.nan)
    shown, length = protect(known), 0
    owner = Portfolio(Decimal(0))
    view = PortfolioView.copy(owner)

    def decide_at(index: int, portfolio: Portfolio) -> float:
        nonlocal owner, view, length
        if index >= length:
            known[:, length : index + 1] = values[:, length : index + 1]
            length = index + 1
        # A trade replaces the cash: the copy is good until then.
        if portfolio is not owner or portfolio.cash is not view.cash:
            owner, view = portfolio, PortfolioView.copy(portfolio)
        stdout, sys.stdout = sys.stdout, sys.stderr  # cheaper than redirect_stdout
        try:
            share = decide(PriceHistory(shown, index + 1), view, **parameters)
        except SentinelError:
            raise
        except BaseException as error:  # a real Ctrl-C arrives as a SentinelError or not at all
            what = f"The strategy {source.name} failed at {format_time(series.times[index])}"
            raise StrategyFailed(f"{what}: {describe_cause(error, source)}") from error
        finally:
            sys.stdout = stdout
        if share is None:
            return 0.0
        if not isinstance(share, NUMBERS) or isinstance(share, bool) or not -1 <= share <= 1:
            raise StrategyFailed(
                f"The strategy {source.name} returned {show(share)} at "
                f"{format_time(series.times[index])}: it must return None or a number from -1 "
                "(sell all) to 1 (spend all)"
            )
        return float(share)

    return decide_at


def load_function(source: StrategySource) -> tuple[str, Callable[..., Any]]:
    """Return the function of a freshly executed module with its name. Raises StrategyFailed."""
    module = load_module(source)
    found = [name for name in FUNCTIONS if callable(getattr(module, name, None))]
    known = " or ".join(FUNCTIONS.values())
    if not found:
        raise StrategyFailed(f"The strategy {source.name} has no function {known}")
    if len(found) > 1:
        both = " and ".join(found)
        raise StrategyFailed(f"The strategy {source.name} has {both}: keep one, {known}")
    return found[0], getattr(module, found[0])


def show(value: object) -> str:
    """Return an invalid result for an error message, in one line."""
    return " ".join(repr(value).split())[:MAX_SHOWN]


def format_time(seconds: float) -> str:
    """Return a time in UNIX seconds for an error message."""
    return f"{datetime.fromtimestamp(float(seconds), UTC):%Y-%m-%d %H:%M} UTC"
