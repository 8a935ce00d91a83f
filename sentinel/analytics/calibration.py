"""Calibrate the threshold multiplier for a target rate by replaying price histories. Pure.

The target rate is an upper bound: calibration only raises the multiplier of the rules.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from sentinel.analytics.alerts import WEEK_SECONDS, AlertRules, Tracker
from sentinel.analytics.crossings import Alert

Series = Sequence[tuple[float, float]]  # (UNIX seconds, USD), in order of time
# A coin's own history is short: its multiplier has this weight beside that of all coins.
OWN_WEIGHT = 0.25
# The factors that are tried for the multiplier of the rules: up to 14, each 5 % larger.
FACTORS = tuple(1.05**n for n in range(55))
# A coin with a shorter history gets the common multiplier alone: its own would be noise.
MIN_HISTORY = timedelta(days=14)


class Calibration(NamedTuple):
    """The result of a calibration."""

    # By coin.
    multipliers: Mapping[str, float]
    # Alerts per coin and week on the same histories. None: the histories have no length.
    actual_rate: float | None

    @property
    def median_multiplier(self) -> float:
        """The median over the coins."""
        return statistics.median(self.multipliers.values())


def replay_series(series: Series, rules: AlertRules) -> list[Alert]:
    """Return the alerts that a price history would have raised."""
    tracker = Tracker()
    return [alert for at, price in series for alert in tracker.observe(at, price, rules)]


def length_weeks(series: Series) -> float:
    """Return the length of a history in weeks."""
    return (series[-1][0] - series[0][0]) / WEEK_SECONDS if series else 0.0


def is_long_enough(series: Series) -> bool:
    """Return whether a coin's own history is long enough to calibrate on."""
    return timedelta(weeks=length_weeks(series)) >= MIN_HISTORY


def calibrate(
    histories: Mapping[str, Series],
    target_rate: float,
    rules: AlertRules,
    common: float | None = None,
) -> Calibration:
    """Return the multiplier with which each coin would have raised `target_rate` alerts a week.

    It is that of `rules` or larger: a weighted geometric mean of the one that fits the coin's own
    history and the `common` one of other coins (None: the one that fits all histories together).
    A coin with less than MIN_HISTORY gets the common one.
    """
    usable = [coin for coin, series in histories.items() if length_weeks(series) > 0]
    if not usable:
        return Calibration(dict.fromkeys(histories, rules.multiplier), None)

    @functools.cache
    def count(coin: str, factor: float) -> int:
        own = dataclasses.replace(rules, multiplier=rules.multiplier * factor, target_rate=None)
        return len(replay_series(histories[coin], own))

    def fit(coins: Sequence[str]) -> float:
        weeks = sum(length_weeks(histories[coin]) for coin in coins)
        step = bisect.bisect_left(
            FACTORS[:-1],
            -target_rate,
            key=lambda factor: -sum(count(coin, factor) for coin in coins) / weeks,
        )
        return rules.multiplier * FACTORS[step]

    shared = max(rules.multiplier, common or fit(usable))
    multipliers = {
        coin: shared * math.pow(fit([coin]) / shared, OWN_WEIGHT)
        if is_long_enough(series)
        else shared
        for coin, series in histories.items()
    }
    alerts = sum(count(coin, multipliers[coin] / rules.multiplier) for coin in usable)
    return Calibration(multipliers, alerts / sum(length_weeks(histories[c]) for c in usable))
