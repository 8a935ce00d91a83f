"""Load a strategy by its name: a built-in one, or the user's own from a file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from sentinel.arguments import check_digits
from sentinel.backtesting import engine, user_strategy, user_weights
from sentinel.backtesting.builtin_strategies import BUILT_IN, TRACKER_PARAMETERS, Numbers
from sentinel.backtesting.engine import Signals
from sentinel.backtesting.order_rules import OrderRules
from sentinel.backtesting.price_series import Floats, PriceSeries
from sentinel.backtesting.rebalancing import DecideWeights
from sentinel.backtesting.ruled_signals import apply_rules
from sentinel.backtesting.strategy_source import Parameters, StrategySource, read_source
from sentinel.errors import ConfigurationError

# Parameters of built-in strategies that must be whole numbers, and those that are at most 1.
WHOLE_NUMBERS = {"fast", "slow", "parts"}
FRACTIONS = {"min_threshold", "max_threshold"}
MAX_VALUE = 1e6  # of the other parameters of built-in strategies


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy with its parameters."""

    name: str
    parameters: Parameters
    # The user's file with its modules; None for a built-in strategy.
    source: StrategySource | None = None
    # Protective exits and sizes of purchases; None: the strategy alone decides.
    rules: OrderRules | None = None
    # Which function the user's file has: one of `user_strategy.FUNCTIONS`.
    function: str | None = None

    @property
    def is_joint(self) -> bool:
        """Whether it decides about all coins together."""
        return self.function == "weights"

    @property
    def rebalance_seconds(self) -> float:
        """The time between two decisions of a joint strategy."""
        return user_weights.read_interval(self.name, self.parameters)

    def build_weights(self, series: Mapping[str, PriceSeries]) -> DecideWeights:
        """Return what a joint strategy decides. Raises StrategyFailed, here or on a decision."""
        if self.source is None:
            raise ValueError(f"{self.name} decides about each coin alone")
        return user_weights.build_decide(self.source, self.parameters, series)

    @property
    def has_whole_signal(self) -> bool:
        """Whether `compute_signal` returns a signal."""
        if self.source is not None:
            return self.function == "signals"
        return BUILT_IN[self.name].is_timeless

    @property
    def tracker_parameters(self) -> tuple[float, ...]:
        """The parameters that strategies with the same alerts share; empty if it uses no alerts."""
        if self.source is not None:
            return ()
        own = cast("Numbers", self.parameters)
        return tuple(own[key] for key in TRACKER_PARAMETERS if key in own)

    def compute_signal(self, series: PriceSeries) -> Floats | None:
        """Return the signal along a series: one number for each point.

        None: there is no signal for all points at once, because the strategy decides point by
        point, or from the start of trading on. The signal of the first points of a series is the
        first part of the signal of the whole, unless a user's `signals` looks ahead. Raises
        StrategyFailed if the user's strategy fails.
        """
        if not self.has_whole_signal:
            return None
        if self.source is not None:
            return user_strategy.compute_signal(self.source, self.parameters, series)
        return self._compute_built_in(series, -math.inf)

    def build_signals(
        self, series: PriceSeries, start: float = -math.inf, signal: Floats | None = None
    ) -> Signals:
        """Return what is wanted along a series, from `start` (UNIX seconds) on, with the rules.

        `signal` may hold the signal of a longer series that begins with this one; otherwise it is
        computed here. Raises StrategyFailed, here or on a decision, if the user's strategy fails.
        """
        own = self._build_own_signals(series, start, signal)
        return apply_rules(own, self.rules, series) if self.rules else own

    def _build_own_signals(
        self, series: PriceSeries, start: float, signal: Floats | None
    ) -> Signals:
        first = int(np.searchsorted(series.times, start))
        known = None if signal is None else signal[: len(series)]
        if self.source is not None:
            if known is not None:
                return engine.follow_signal(known, first)
            return user_strategy.build_signals(self.source, self.parameters, series, first)
        if known is None:
            known = self._compute_built_in(series, start)
        return engine.follow_signal(known, first, BUILT_IN[self.name].size_order)

    def _compute_built_in(self, series: PriceSeries, start: float) -> Floats:
        trading_start = max(start, float(series.times[0]))
        numbers = cast("Numbers", self.parameters)  # `load` accepts only numbers
        return BUILT_IN[self.name].compute_signal(series, trading_start, numbers)

    def describe(self) -> str:
        """Return the name with the parameters and the rules."""
        return describe(self.name, self.parameters, self.rules)


def describe(name: str, parameters: Parameters, rules: OrderRules | None = None) -> str:
    """Return a strategy's name with its parameters and rules.

    An example: `sma-cross (fast=12, slow=48), stop-loss 5%`.
    """
    pairs = ", ".join(
        f"{key}={value}" if isinstance(value, str) else f"{key}={value:g}"
        for key, value in parameters.items()
    )
    shown = Path(name).name if name.endswith(".py") else name
    shown = f"{shown} ({pairs})" if pairs else shown
    return f"{shown}, {rules.describe()}" if rules else shown


def load(name: str, parameters: Parameters | None = None) -> Strategy:
    """Return a built-in strategy by its name, or the user's own by its file (`my_idea.py`).

    Raises ConfigurationError if there is no such strategy, parameter or value.
    """
    if name.endswith(".py"):
        return load_source(read_source(Path(name)), parameters)
    if name not in BUILT_IN:
        raise ConfigurationError(
            f"There is no strategy '{name[:60]}': take one of {', '.join(BUILT_IN)}, or a file "
            "such as my_idea.py"
        )
    return Strategy(name, _merge_parameters(name, BUILT_IN[name].parameters, parameters))


def load_source(source: StrategySource, parameters: Parameters | None = None) -> Strategy:
    """Return the user's strategy from its source. Raises ConfigurationError."""
    function, defaults = user_strategy.read_parameters(source)
    merged = _merge_parameters(source.name, defaults, parameters)
    found = Strategy(source.name, merged, source, function=function)
    if found.is_joint:
        user_weights.read_interval(source.name, merged)
    return found


def with_parameters(strategy: Strategy, parameters: Parameters) -> Strategy:
    """Return the same strategy with other parameters. Raises ConfigurationError."""
    if strategy.source is None:
        return load(strategy.name, parameters)
    return load_source(strategy.source, parameters)


def with_rules(strategy: Strategy, rules: OrderRules | None) -> Strategy:
    """Return the same strategy with rules around it.

    Raises ConfigurationError for rules around weights, and for an order size around a strategy that
    sizes its own purchases.
    """
    if rules and strategy.is_joint:
        raise ConfigurationError(
            f"{strategy.name} sets the weights of all coins: leave exits and order sizes out"
        )
    if rules and rules.has_size and strategy.source is None and BUILT_IN[strategy.name].sizes:
        raise ConfigurationError(
            f"{strategy.name} sizes its own purchases: leave --order-usd and --order-volatility out"
        )
    return dataclasses.replace(strategy, rules=rules)


def _merge_parameters(
    name: str, defaults: Parameters, parameters: Parameters | None
) -> dict[str, float | str]:
    """Return the defaults with these parameters set. Raises ConfigurationError."""
    merged = dict(defaults)
    for key, value in (parameters or {}).items():
        if key not in defaults:
            known = ", ".join(defaults) or "none"
            raise ConfigurationError(f"{name} has no parameter '{key[:40]}': known are {known}")
        merged[key] = parse_value(name, key, value, defaults[key])
        if name in BUILT_IN:  # a user's strategy checks its own values
            _check_value(name, key, cast("float", merged[key]))
    if name in BUILT_IN and (error := BUILT_IN[name].validate(cast("Numbers", merged))):
        raise ConfigurationError(f"{name}: {error}")
    return merged


def parse_value(name: str, key: str, value: float | str, default: float | str) -> float | str:
    """Return the value of a parameter in the type of its default.

    A default such as `window=96` promises an integer, usable as an index, if the value is whole.
    Raises ConfigurationError if the default is a number and the value is not.
    """
    if isinstance(default, str):
        return value if isinstance(value, str) else f"{value:g}"
    try:
        number = float(check_digits(value)) if isinstance(value, str) else value
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigurationError(f"{name}: --param {key}={str(value)[:40]} must be a number")
    return int(number) if isinstance(default, int) and number == round(number) else float(number)


def _check_value(name: str, key: str, value: float) -> None:
    most = 1.0 if key in FRACTIONS else MAX_VALUE
    if not 0 < value <= most or (key in WHOLE_NUMBERS and value != round(value)):
        kind = "a whole number" if key in WHOLE_NUMBERS else "a number"
        raise ConfigurationError(
            f"{name}: {key}={value:g} must be {kind} above 0, {most:g} at most"
        )
