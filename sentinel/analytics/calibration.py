"""Calibrate the threshold multiplier for a target rate by replaying price histories. Pure."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from sentinel.analytics.alerts import WEEK_SECONDS, AlertRules, Tracker
from sentinel.analytics.crossings import Alert

Series = Sequence[tuple[float, float]]  # (UNIX seconds, USD), in order of time
MIN_MULTIPLIER, MAX_MULTIPLIER = 0.05, 20.0
BISECTIONS = 14  # between the logarithms of these limits: precise to a thousandth
# A coin with a shorter history gets the common multiplier: its own would be noise.
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
    histories: Mapping[str, Series], target_rate: float, rules: AlertRules
) -> Calibration:
    """Return the multiplier with which each coin would have raised `target_rate` alerts a week.

    A coin with less than MIN_HISTORY gets the multiplier that fits all histories together.
    """

    def count(series: Series, multiplier: float) -> int:
        own = dataclasses.replace(rules, multiplier=multiplier, target_rate=None)
        return len(replay_series(series, own))

    def rate(histories: Sequence[Series], multiplier: float) -> float:
        alerts = sum(count(series, multiplier) for series in histories)
        return alerts / (sum(map(length_weeks, histories)) or math.inf)

    usable = [series for series in histories.values() if length_weeks(series) > 0]
    if not usable:
        return Calibration(dict.fromkeys(histories, rules.multiplier), None)
    long_enough = {coin for coin, series in histories.items() if is_long_enough(series)}
    common = rules.multiplier
    if len(long_enough) < len(histories):
        common = _bisect(functools.partial(rate, usable), target_rate)
    multipliers = {
        coin: _bisect(functools.partial(rate, [series]), target_rate)
        if coin in long_enough
        else common
        for coin, series in histories.items()
    }
    alerts = sum(count(series, multipliers[coin]) for coin, series in histories.items())
    return Calibration(multipliers, alerts / sum(map(length_weeks, usable)))


def _bisect(rate: Callable[[float], float], target: float) -> float:
    """Return where a falling rate crosses the target; a limit of the range if it never does."""
    low, high = math.log(MIN_MULTIPLIER), math.log(MAX_MULTIPLIER)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if rate(math.exp(middle)) > target:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)
