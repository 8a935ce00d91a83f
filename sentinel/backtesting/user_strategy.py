"""A person's own strategy: one function in a file, asked point by point and handed nothing that
lies ahead.

    def decide(past, purse, *, low=0.95):
        mean = past.prices[-96:].mean()
        if past.prices[-1] < low * mean:
            return 1        # spend all cash
        if past.prices[-1] > mean:
            return -1       # sell all coins
        return 0            # or None: nothing

`past.times` (UNIX seconds) and `past.prices` (USD) end at the newest observation; `purse` has
`cash`, `quantity` and `spent`, what the coins that are held have cost. What it returns is the share
of the cash to spend (above 0, 1 at most) or of the coins to sell (below 0, -1 at least).
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
from sentinel.backtesting.price_series import Floats, Series
from sentinel.errors import ConfigurationError, SentinelError


class StrategyFailed(ConfigurationError):
    """A person's own strategy raised an error or returned no share."""


def parameters_of(name: str, source: str) -> dict[str, float]:
    """Its parameters with their defaults: what stands behind the *, and is a number.

    Raises StrategyFailed where the file has no function `decide`, or does not load.
    """
    try:
        known = inspect.signature(_load(name, source)).parameters.values()
    except ValueError as error:
        raise StrategyFailed(f"The strategy {name} has no function decide(past, purse)") from error
    found = {
        parameter.name: parameter.default
        for parameter in known
        if parameter.kind is parameter.KEYWORD_ONLY
        and isinstance(parameter.default, int | float)
        and not isinstance(parameter.default, bool)
    }
    if endless := [key for key, value in found.items() if not math.isfinite(value)]:
        raise StrategyFailed(f"The strategy {name}: {endless[0]} must be a finite number")
    return found


def signals(
    name: str, source: str, parameters: Mapping[str, float], series: Series, first: int
) -> Signals:
    """What it wishes along a series from a place on. Raises StrategyFailed, at once or later."""
    decide = _load(name, source)
    past = _Growing(series)

    def ask(place: int, purse: Portfolio) -> float:
        return _ask(name, decide, past.until(place), purse, parameters)

    places = range(first, len(series))
    return Signals(places, places, ask)


class PriceHistory(NamedTuple):
    """All that is known at a moment: times (UNIX seconds) and prices (USD), the newest last."""

    times: Floats
    prices: Floats


class _Growing:
    """Hands out the past of a place. What lies ahead is not in the arrays: a strategy that goes
    looking for it finds nothing."""

    def __init__(self, series: Series) -> None:
        self._series = series
        self._known = 0
        self._times = np.full(len(series), np.nan)
        self._prices = np.full(len(series), np.nan)

    def until(self, place: int) -> PriceHistory:
        """The points up to and including a place, which no call may be before."""
        fresh = slice(self._known, place + 1)
        self._times[fresh] = self._series.times[fresh]
        self._prices[fresh] = self._series.prices[fresh]
        self._known = place + 1
        past = PriceHistory(self._times[: place + 1], self._prices[: place + 1])
        for column in past:
            column.flags.writeable = False
        return past


@functools.lru_cache(maxsize=64)
def _compiled(name: str, source: str) -> Any:
    return compile(source, name, "exec")


def _load(name: str, source: str) -> Callable[..., Any]:
    """The function `decide` of a file's text, its module as new: what it remembered of another run
    may lie ahead of this one. Raises StrategyFailed."""
    module = types.ModuleType(f"own_strategy_{Path(name).stem}")
    module.__file__ = name
    sys.modules[module.__name__] = module  # dataclasses look their module up
    with _theirs(f"The strategy {name} does not load", name):
        exec(_compiled(name, source), vars(module))  # noqa: S102  # nosec B102 - the person's own file
    decide = getattr(module, "decide", None)
    if not callable(decide):
        raise StrategyFailed(f"The strategy {name} has no function decide(past, purse)")
    return decide  # type: ignore[no-any-return]


@contextlib.contextmanager
def _theirs(what: str, name: str) -> Iterator[None]:
    """A person's own code: whatever it raises becomes one line, and what it prints goes to stderr.

    Raises StrategyFailed.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except SentinelError:
        raise
    except BaseException as error:  # Ctrl-C itself comes as a SentinelError, or not at all
        raise StrategyFailed(f"{what}: {_cause(error, name)}") from error


def _ask(
    name: str,
    decide: Callable[..., Any],
    past: PriceHistory,
    purse: Portfolio,
    parameters: Mapping[str, float],
) -> float:
    shown = Portfolio(purse.cash, purse.quantity, purse.spent)  # its own copy: nobody's to change
    at = datetime.fromtimestamp(float(past.times[-1]), UTC)
    with _theirs(f"The strategy {name} failed at {at:%Y-%m-%d %H:%M} UTC", name):
        answer = decide(past, shown, **parameters)
    if answer is None:
        return 0.0
    is_number = isinstance(answer, int | float | np.integer | np.floating)
    if not is_number or isinstance(answer, bool) or not -1 <= answer <= 1:
        said = " ".join(repr(answer).split())[:60]
        raise StrategyFailed(
            f"The strategy {name} returned {said} at {at:%Y-%m-%d %H:%M} UTC: it must be "
            "None or a number from -1 (sell all) to 1 (spend all)"
        )
    return float(answer)


def _cause(error: BaseException, name: str) -> str:
    """The error in one line, with the line of the person's file it came from."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    place = f", line {lines[-1]}" if lines and lines[-1] else ""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}{place}"
