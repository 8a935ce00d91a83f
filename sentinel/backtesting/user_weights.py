"""The user's own strategy for several coins: a file with the function `weights`.

    def weights(histories, portfolio, *, rebalance_hours=24):
        gains = {coin: h.prices[-1] / h.prices[-96] for coin, h in histories.items()}
        best = max(gains, key=gains.get)
        return {best: 1.0} if gains[best] > 1 else {}

It is called every `rebalance_hours` (DEFAULT_HOURS without this parameter). `histories` has the
history of each coin that has a price by then, and `portfolio` the Holdings. It returns the wanted
share of the value in each coin, together at most 1; the rest is cash. None leaves all as it is.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from sentinel.backtesting.price_series import PriceSeries
from sentinel.backtesting.rebalancing import DecideWeights, Holdings
from sentinel.backtesting.strategy_modules import StrategyFailed, wrap_errors
from sentinel.backtesting.strategy_source import Parameters, StrategySource
from sentinel.backtesting.user_strategy import (
    PriceHistory,
    format_time,
    load_function,
    protect,
    show,
    stack_columns,
)

DEFAULT_HOURS = 24.0
INTERVAL_PARAMETER = "rebalance_hours"
MIN_HOURS = 1 / 60
# Sums of weights such as ten times 0.1 may exceed 1 by their last digits.
TOLERANCE = 1e-9


def read_interval(name: str, parameters: Parameters) -> float:
    """Return the seconds between two decisions. Raises StrategyFailed."""
    hours = parameters.get(INTERVAL_PARAMETER, DEFAULT_HOURS)
    if isinstance(hours, str) or not hours >= MIN_HOURS:
        raise StrategyFailed(
            f"The strategy {name}: {INTERVAL_PARAMETER}={hours} must be a number of hours, one "
            "minute at least"
        )
    return 3600.0 * hours


def build_decide(
    source: StrategySource, parameters: Parameters, series: Mapping[str, PriceSeries]
) -> DecideWeights:
    """Return what the strategy decides on these coins. Raises StrategyFailed, here or later."""
    _, function = load_function(source)
    windows = {coin_id: _Window(own) for coin_id, own in series.items()}

    def decide(moment: float, known: Mapping[str, int], holdings: Holdings) -> Any:
        histories = {coin_id: windows[coin_id].until(count) for coin_id, count in known.items()}
        at = format_time(moment)
        with wrap_errors(f"The strategy {source.name} failed at {at}", source):
            found = function(histories, holdings, **parameters)
        return None if found is None else _check_weights(source, found, known, at)

    return decide


class _Window:
    """The points of a coin until a moment; later ones are not in the arrays yet."""

    def __init__(self, series: PriceSeries) -> None:
        self._values = stack_columns(series)
        self._known = np.full_like(self._values, np.nan)
        self._shown = protect(self._known)

    def until(self, length: int) -> PriceHistory:
        """Return the first points. Lengths must not decrease."""
        self._known[:, :length] = self._values[:, :length]
        return PriceHistory(self._shown, length)


def _check_weights(
    source: StrategySource, found: object, known: Mapping[str, int], at: str
) -> dict[str, float]:
    """Return the weights above 0. Raises StrategyFailed."""
    rule = (
        "it must return None or a dictionary with a number from 0 to 1 for each coin, together at "
        "most 1"
    )
    if not isinstance(found, Mapping):
        raise StrategyFailed(f"The strategy {source.name} returned {show(found)} at {at}: {rule}")
    for coin_id, weight in found.items():
        if coin_id not in known:
            raise StrategyFailed(
                f"The strategy {source.name} returned a weight for {show(coin_id)} at {at}, which "
                f"has no price: it knows {', '.join(known)}"
            )
        is_number = isinstance(weight, numbers.Real) and not isinstance(weight, bool)
        if not is_number or not 0 <= weight <= 1 + TOLERANCE:
            raise StrategyFailed(
                f"The strategy {source.name} returned {show(weight)} for {coin_id} at {at}: {rule}"
            )
    total = sum(found.values())
    if total > 1 + TOLERANCE:
        raise StrategyFailed(
            f"The strategy {source.name} returned weights of {total:g} together at {at}: {rule}"
        )
    return {coin_id: min(float(weight), 1.0) for coin_id, weight in found.items() if weight > 0}
