"""What to buy and sell, and when: the strategies that come along, and a person's own.

A built-in strategy says for each point of a series what it wishes there, from that point and those
before it. A person's own is one function in a file, asked point by point and handed nothing that
lies ahead:

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import forecast
from alerts import Rules, Tracker
from backtest import Wishes
from errors import ConfigurationError, SentinelError
from paper import Purse
from series import Floats, Series

Parameters = Mapping[str, float]
Signal = Callable[[Series, float, Parameters], Floats]

HOUR = 3600.0
ROUNDING = 1e-12  # of a mean; less is no difference
MINUTE = 60.0
POINTS_OF_WINDOW = 13  # at which a window is read off
TOLERANCE = 0.3  # of the horizon, between it and the observation that a forecast is scored by


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy with its parameters; a person's own with `source`, the text of its file."""

    name: str
    parameters: Parameters
    source: str | None = None

    def signal(self, series: Series) -> Floats | None:
        """What a built-in strategy wishes at every point; None where that depends on when it begins
        or on what it holds. The signal of a series begins with that of its beginning."""
        found = BUILT_IN.get(self.name)
        if self.source is not None or found is None or not found.is_timeless:
            return None
        return found.signal(series, _begin(series), self.parameters)

    def wishes(
        self, series: Series, since: float = -math.inf, signal: Floats | None = None
    ) -> Wishes:
        """What it wishes along a series, from the time `since` (UNIX seconds) on. A `signal` is
        that of a series that begins with this one.

        Raises StrategyFailed, at once or later, where a person's own does.
        """
        first = int(np.searchsorted(series.times, since))
        if self.source is None:
            found = BUILT_IN[self.name]
            if signal is None:
                begins = since if math.isfinite(since) else _begin(series)
                signal = found.signal(series, begins, self.parameters)
            shares = signal[: len(series)].copy()
            shares[:first] = 0.0
            buys, sells = np.flatnonzero(shares > 0).tolist(), np.flatnonzero(shares < 0).tolist()
            return Wishes(
                buys, sells, lambda place, purse: found.order(float(shares[place]), purse)
            )
        decide = _load(self.name, self.source)
        past = _Growing(series)

        def ask(place: int, purse: Purse) -> float:
            return _ask(self.name, decide, past.until(place), purse, self.parameters)

        places = range(first, len(series))
        return Wishes(places, places, ask)

    def described(self) -> str:
        """Its name with its parameters."""
        return described(self.name, self.parameters)


def described(name: str, parameters: Parameters) -> str:
    """A strategy's name with its parameters."""
    words = ", ".join(f"{key}={value:g}" for key, value in parameters.items())
    shown = Path(name).name if name.endswith(".py") else name
    return f"{shown} ({words})" if words else shown


class StrategyFailed(ConfigurationError):
    """A person's own strategy raised an error or returned no share."""


def _begin(series: Series) -> float:
    return float(series.times[0]) if len(series) else 0.0


def _as_said(share: float, _purse: Purse) -> float:
    return share


class BuiltIn(NamedTuple):
    """A strategy that comes along: what it does, its parameters' defaults, its signal, what is
    ordered for a value of that, and whether it is the same whenever the strategy begins."""

    does: str
    parameters: Parameters
    signal: Signal
    order: Callable[[float, Purse], float] = _as_said
    is_timeless: bool = True


# --- the built-in ones -----------------------------------------------------------------------


def hold(series: Series, _since: float, _parameters: Parameters) -> Floats:
    """Buy at once and hold."""
    return np.ones(len(series))


def dca(series: Series, since: float, parameters: Parameters) -> Floats:
    """Dollar-cost averaging: the share of the money that is to be spent by then, a part more each
    interval."""
    number = np.floor((series.times - since) / (parameters["hours"] * HOUR)) + 1
    return np.clip(number / round(parameters["parts"]), 0.0, 1.0)


def _up_to(target: float, purse: Purse) -> float:
    """What to spend of the cash for the share `target` of all money to be spent; so a part that
    could not be bought in time is bought later."""
    if target >= 1:
        return 1.0
    money = float(purse.cash + purse.spent)
    return max(0.0, target * money - float(purse.spent)) / float(purse.cash) if purse.cash else 0.0


def sma_cross(series: Series, _since: float, parameters: Parameters) -> Floats:
    """In while the mean of the last `fast` prices is above that of the last `slow` ones."""
    fast = _means(series.prices, round(parameters["fast"]))
    slow = _means(series.prices, round(parameters["slow"]))
    differ = np.abs(fast - slow) > ROUNDING * slow
    return np.where(differ, np.sign(np.nan_to_num(fast - slow)), 0.0)


def _means(prices: Floats, window: int) -> Floats:
    """The mean of the last `window` prices at each point; NaN before there are so many. Each from
    its own prices alone: running sums would carry the errors of all before."""
    means = np.full(len(prices), np.nan)
    if window <= len(prices):
        means[window - 1 :] = np.convolve(prices, np.full(window, 1.0 / window), "valid")
    return means


def dip(series: Series, _since: float, parameters: Parameters) -> Floats:
    """Buy when the reversal tracker sees a rise from the session's low; sell `hours` later."""
    turns = _alerts(series, *(parameters[key] for key in _TRACKER))
    bought = [at for at, kind in turns if kind == "reversal"]
    last = _latest(series, bought)
    return np.where(series.times - last < parameters["hours"] * HOUR, 1.0, -1.0)


def trailing_stop(series: Series, _since: float, parameters: Parameters) -> Floats:
    """Hold until the panic tracker sees a fall from the session's high; back at a reversal."""
    turns = _alerts(series, *(parameters[key] for key in _TRACKER))
    out = _latest(series, [at for at, kind in turns if kind == "panic"])
    back = _latest(series, [at for at, kind in turns if kind == "reversal"])
    return np.where((out > -np.inf) & (out >= back), -1.0, 1.0)


@functools.lru_cache(maxsize=16)
def _alerts(
    series: Series, k: float, session: float, floor: float, ceiling: float
) -> list[tuple[float, str]]:
    """What the monitor's tracker would have said, of observed prices. Remembered, because a sweep
    asks for the same with many other parameters."""
    rules = Rules(
        k=k,
        session=timedelta(hours=session),
        horizon=timedelta(hours=24),
        half_life=timedelta(hours=72),
        floor=floor,
        ceiling=ceiling,
    )
    tracker = Tracker()
    times, prices = series.times[series.observed], series.prices[series.observed]
    return [
        (at, alert.kind)
        for at, price in zip(times.tolist(), prices.tolist(), strict=True)
        for alert in tracker.observe(at, price, rules)
    ]


def _latest(series: Series, moments: list[float]) -> Floats:
    """At each point the latest of `moments` until then; minus infinity before the first."""
    padded = np.array([-np.inf, *moments])
    return padded[np.searchsorted(padded, series.times, side="right") - 1]


def by_forecast(series: Series, _since: float, parameters: Parameters) -> Floats:
    """In when the monitor's forecast says bullish, out when it says bearish.

    The monitor fits an hour and looks ten minutes ahead; `minutes` stretches both, for prices that
    come more seldom: nine points in the window are needed, and no hole longer than a fifth of it.
    """
    window = parameters["minutes"] * MINUTE
    horizon = window * (forecast.HORIZON / forecast.WINDOW)
    hole = window * (forecast.LARGEST_HOLE / forecast.WINDOW)
    times, prices = series.times[series.observed], series.prices[series.observed]
    wishes = np.zeros(len(series))
    dense = _dense(times, window, hole)
    if not len(dense):
        return wishes
    offsets = np.linspace(-window, 0.0, POINTS_OF_WINDOW)
    logs = np.log(prices)
    grid = np.interp(times[dense] + offsets[:, None], times, logs)
    slopes = forecast.fit(offsets, grid)
    moves = slopes * (horizon / MINUTE)
    shares = _directions(times, logs, dense, moves, horizon)
    wishes[np.flatnonzero(series.observed)[dense]] = shares
    return wishes


def _dense(times: Floats, window: float, hole: float) -> Any:
    """Places whose window is dense enough to carry a line."""
    places = np.arange(len(times))
    firsts = np.searchsorted(times, times - window)
    counts = places - firsts + 1
    pauses = np.diff(times, prepend=times[:1])
    # The latest pause that is too long must have ended before the window's first pause begins.
    broken = np.where(pauses > hole, places, -1)
    latest = np.maximum.accumulate(broken) if len(broken) else broken
    reaches = times[firsts] - (times - window) <= hole
    sound = (counts >= forecast.LEAST_POINTS) & (latest <= firsts) & reaches
    return np.flatnonzero(sound)


def _directions(times: Floats, logs: Floats, dense: Any, moves: Floats, horizon: float) -> Floats:
    """1 bullish, -1 bearish, 0 neutral at each dense place: where the band of errors that were
    known by then, of a day, holds no change."""
    made = times[dense]
    tolerance = horizon * TOLERANCE
    nearest = _nearest(times, made + horizon)
    is_scored = np.abs(times[nearest] - (made + horizon)) <= tolerance
    errors = logs[nearest] - logs[dense] - moves
    # An error is known once nothing nearer to the horizon can come.
    known_at = made + horizon + tolerance
    found = np.zeros(len(dense))
    day = 24 * HOUR
    begins = np.searchsorted(made, made - day, side="right")
    ends = np.searchsorted(known_at, made, side="right")
    for n, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        residuals = errors[begin:end][is_scored[begin:end]]
        band = forecast.radius(residuals)
        if band is not None and abs(moves[n]) > band:
            found[n] = np.sign(moves[n])
    return found


def _nearest(times: Floats, wanted: Floats) -> Any:
    """Places of the times nearest to those wanted; of two alike the earlier."""
    after = np.clip(np.searchsorted(times, wanted), 1, max(len(times) - 1, 1))
    after = np.minimum(after, len(times) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(wanted - times[before] <= times[after] - wanted, before, after)


_TRACKER = {"k": 1.5, "session": 24.0, "floor": 0.01, "ceiling": 0.25}
BUILT_IN: Mapping[str, BuiltIn] = {
    "hold": BuiltIn("buy at once and hold", {}, hold),
    "dca": BuiltIn(
        "dollar-cost averaging: the cash in equal parts, one every so many hours",
        {"hours": 24.0, "parts": 30.0},
        dca,
        _up_to,
        is_timeless=False,
    ),
    "sma-cross": BuiltIn(
        "in while the mean of the last fast prices is above that of the last slow ones",
        {"fast": 12.0, "slow": 48.0},
        sma_cross,
    ),
    "dip": BuiltIn(
        "buy the dip: in when the monitor's reversal tracker speaks, out so many hours later",
        {"hours": 24.0} | _TRACKER,
        dip,
    ),
    "trailing-stop": BuiltIn(
        "in, out when the monitor's panic tracker speaks, in again at a reversal",
        dict(_TRACKER),
        trailing_stop,
    ),
    "forecast": BuiltIn(
        "in when the monitor's forecast is bullish, out when it is bearish; its window is so many "
        "minutes, which must hold nine observations",
        {"minutes": 60.0},
        by_forecast,
    ),
}
_WHOLE = {"fast", "slow", "parts"}
_SHARES = {"floor", "ceiling"}


# --- choosing --------------------------------------------------------------------------------


def choose(name: str, wished: Parameters | None = None) -> Strategy:
    """A built-in strategy by its name, or a person's own by its file's (`my_idea.py`).

    Raises ConfigurationError where there is none, or it does not know a parameter or its value.
    """
    if name.endswith(".py"):
        return own(name, _read(Path(name)), wished)
    if name not in BUILT_IN:
        raise ConfigurationError(
            f"There is no strategy '{name[:60]}': take one of {', '.join(BUILT_IN)}, or a file "
            "such as my_idea.py"
        )
    found = BUILT_IN[name]
    return Strategy(name, _parameters(name, found.parameters, wished))


def again(strategy: Strategy, wished: Parameters) -> Strategy:
    """The same strategy with other parameters. Raises ConfigurationError."""
    if strategy.source is None:
        return choose(strategy.name, wished)
    return own(strategy.name, strategy.source, wished)


def own(name: str, source: str, wished: Parameters | None = None) -> Strategy:
    """A person's own strategy, from the text of its file. Raises ConfigurationError."""
    decide = _load(name, source)
    try:
        known = inspect.signature(decide).parameters.values()
    except ValueError as error:
        raise StrategyFailed(f"The strategy {name} has no function decide(past, purse)") from error
    defaults = {
        parameter.name: parameter.default
        for parameter in known
        if parameter.kind is parameter.KEYWORD_ONLY
        and isinstance(parameter.default, int | float)
        and not isinstance(parameter.default, bool)
    }
    if endless := [key for key, value in defaults.items() if not math.isfinite(value)]:
        raise StrategyFailed(f"The strategy {name}: {endless[0]} must be a finite number")
    chosen = _parameters(name, defaults, wished)
    whole = {key for key, value in defaults.items() if isinstance(value, int)}
    return Strategy(
        name,
        {k: int(v) if k in whole and v == round(v) else float(v) for k, v in chosen.items()},
        source=source,
    )


def _parameters(name: str, defaults: Parameters, wished: Parameters | None) -> Parameters:
    for key, value in (wished or {}).items():
        if key not in defaults:
            known = ", ".join(defaults) or "none"
            raise ConfigurationError(f"{name} has no parameter '{key[:40]}': known are {known}")
        if name in BUILT_IN:
            _judge(name, key, value)
    found = {**defaults, **(wished or {})}
    if name == "sma-cross" and found["fast"] >= found["slow"]:
        raise ConfigurationError(
            f"sma-cross: fast {found['fast']:g} must be smaller than slow {found['slow']:g}"
        )
    if "floor" in found and name in BUILT_IN and found["floor"] > found["ceiling"]:
        raise ConfigurationError(
            f"{name}: floor {found['floor']:g} is above ceiling {found['ceiling']:g}"
        )
    return found


def _judge(name: str, key: str, value: float) -> None:
    most = 1.0 if key in _SHARES else 1e6
    if not 0 < value <= most or (key in _WHOLE and value != round(value)):
        kind = "a whole number" if key in _WHOLE else "a number"
        raise ConfigurationError(
            f"{name}: {key}={value:g} must be {kind} above 0, {most:g} at most"
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(f"The strategy {path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The strategy {path} cannot be read ({type(error).__name__})"
        ) from error


# --- a person's own --------------------------------------------------------------------------


class Past(NamedTuple):
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

    def until(self, place: int) -> Past:
        """The points up to and including a place, which no call may be before."""
        fresh = slice(self._known, place + 1)
        self._times[fresh] = self._series.times[fresh]
        self._prices[fresh] = self._series.prices[fresh]
        self._known = place + 1
        past = Past(self._times[: place + 1], self._prices[: place + 1])
        for column in past:
            column.flags.writeable = False
        return past


@functools.lru_cache(maxsize=64)
def _compiled(name: str, source: str) -> Any:
    return compile(source, name, "exec")


def _load(name: str, source: str) -> Callable[..., Any]:
    """The function `decide` of a file's text, its module as new: what it remembered of another run
    may lie ahead of this one. Raises StrategyFailed."""
    room: dict[str, Any] = {"__name__": Path(name).stem, "__file__": name}
    with _theirs(f"The strategy {name} does not load", name):
        exec(_compiled(name, source), room)  # noqa: S102  # nosec B102 - the person's own file
    decide = room.get("decide")
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
    except (Exception, SystemExit) as error:
        raise StrategyFailed(f"{what}: {_cause(error, name)}") from error


def _ask(
    name: str, decide: Callable[..., Any], past: Past, purse: Purse, parameters: Parameters
) -> float:
    shown = Purse(purse.cash, purse.quantity, purse.spent)  # its own copy: nobody's to change
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
