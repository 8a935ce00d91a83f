"""Strategies by their names: those that come along (signals) and a person's own (own_strategy)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sentinel.backtesting import user_strategy
from sentinel.backtesting.builtin_strategies import BUILT_IN
from sentinel.backtesting.engine import Signals
from sentinel.backtesting.price_series import Floats, Series
from sentinel.errors import ConfigurationError

Parameters = Mapping[str, float]
_WHOLE = {"fast", "slow", "parts"}
_SHARES = {"floor", "ceiling"}


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

    def signals(
        self, series: Series, since: float = -math.inf, signal: Floats | None = None
    ) -> Signals:
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
            return Signals(
                buys, sells, lambda place, purse: found.order(float(shares[place]), purse)
            )
        return user_strategy.signals(self.name, self.source, self.parameters, series, first)

    def described(self) -> str:
        """Its name with its parameters."""
        return described(self.name, self.parameters)


def described(name: str, parameters: Parameters) -> str:
    """A strategy's name with its parameters."""
    words = ", ".join(f"{key}={value:g}" for key, value in parameters.items())
    shown = Path(name).name if name.endswith(".py") else name
    return f"{shown} ({words})" if words else shown


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
    defaults = user_strategy.parameters_of(name, source)
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
    if name in BUILT_IN and (amiss := BUILT_IN[name].amiss(found)):
        raise ConfigurationError(f"{name}: {amiss}")
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
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigurationError(f"The strategy {path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The strategy {path} cannot be read ({type(error).__name__})"
        ) from error


def _begin(series: Series) -> float:
    return float(series.times[0]) if len(series) else 0.0
