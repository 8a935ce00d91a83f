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

import contextlib
import functools
import inspect
import math
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sentinel.backtesting.engine import Signals
from sentinel.backtesting.portfolio import Portfolio
from sentinel.backtesting.price_series import Floats, PriceSeries
from sentinel.errors import ConfigurationError, SentinelError

MAX_SHOWN = 60  # characters of an invalid result in an error message


class StrategyFailed(ConfigurationError):
    """The user's strategy raised an error or returned an invalid share."""


class PriceHistory(NamedTuple):
    """The prices that are known at a moment, the newest last."""

    # UNIX seconds.
    times: Floats
    # USD.
    prices: Floats


def read_parameters(name: str, source: str) -> dict[str, float]:
    """Return the strategy's parameters: its keyword-only arguments whose defaults are numbers.

    Raises StrategyFailed if the file does not load or has no function `decide`.
    """
    try:
        known = inspect.signature(_load_decide(name, source)).parameters.values()
    except ValueError as error:
        raise _no_decide(name) from error
    found = {
        parameter.name: parameter.default
        for parameter in known
        if parameter.kind is parameter.KEYWORD_ONLY
        and isinstance(parameter.default, int | float)
        and not isinstance(parameter.default, bool)
    }
    if infinite := [key for key, value in found.items() if not math.isfinite(value)]:
        raise StrategyFailed(f"The strategy {name}: {infinite[0]} must be a finite number")
    return found


def build_signals(
    name: str, source: str, parameters: Mapping[str, float], series: PriceSeries, first: int
) -> Signals:
    """Return what the strategy wants to do along a series, from the index `first` on.

    Raises StrategyFailed, here or on a decision.
    """
    decide = _load_decide(name, source)
    window = _HistoryWindow(series)

    def decide_at(index: int, portfolio: Portfolio) -> float:
        return _call_decide(name, decide, window.until(index), portfolio, parameters)

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


@functools.lru_cache(maxsize=64)
def _compile(name: str, source: str) -> Any:
    return compile(source, name, "exec")


def _load_decide(name: str, source: str) -> Callable[..., Any]:
    """Return the function `decide` of a freshly executed module. Raises StrategyFailed.

    Each run gets a new module: globals that another run filled could hold this run's future.
    """
    module = types.ModuleType(f"user_strategy_{Path(name).stem}")
    module.__file__ = name
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    with _wrap_errors(f"The strategy {name} does not load", name):
        exec(_compile(name, source), vars(module))  # noqa: S102  # nosec B102 - the user's own file
    decide = getattr(module, "decide", None)
    if not callable(decide):
        raise _no_decide(name)
    return decide  # type: ignore[no-any-return]


def _no_decide(name: str) -> StrategyFailed:
    return StrategyFailed(f"The strategy {name} has no function decide(history, portfolio)")


@contextlib.contextmanager
def _wrap_errors(what: str, name: str) -> Iterator[None]:
    """Run the user's code: any exception becomes a StrategyFailed of one line.

    What the code prints goes to stderr, because stdout may hold JSON.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except SentinelError:
        raise
    except BaseException as error:  # a real Ctrl-C arrives as a SentinelError or not at all
        raise StrategyFailed(f"{what}: {_describe_cause(error, name)}") from error


def _call_decide(
    name: str,
    decide: Callable[..., Any],
    history: PriceHistory,
    portfolio: Portfolio,
    parameters: Mapping[str, float],
) -> float:
    # A copy: a strategy that writes into it does not change what it owns.
    shown = Portfolio(portfolio.cash, portfolio.quantity, portfolio.cost_basis)
    at = datetime.fromtimestamp(float(history.times[-1]), UTC)
    with _wrap_errors(f"The strategy {name} failed at {at:%Y-%m-%d %H:%M} UTC", name):
        share = decide(history, shown, **parameters)
    if share is None:
        return 0.0
    is_number = isinstance(share, int | float | np.integer | np.floating)
    if not is_number or isinstance(share, bool) or not -1 <= share <= 1:
        returned = " ".join(repr(share).split())[:MAX_SHOWN]
        raise StrategyFailed(
            f"The strategy {name} returned {returned} at {at:%Y-%m-%d %H:%M} UTC: it must return "
            "None or a number from -1 (sell all) to 1 (spend all)"
        )
    return float(share)


def _describe_cause(error: BaseException, name: str) -> str:
    """Return the error in one line, with the line of the user's file that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == name]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    where = f", line {lines[-1]}" if lines and lines[-1] else ""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}{where}"
