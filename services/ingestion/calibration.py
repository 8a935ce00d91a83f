"""Replaying a history through the trackers, and solving k for a budget of alerts, pure."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from sentinel.analytics.alerts import WEEK, Alert, Rules, Tracker

Series = Sequence[tuple[float, float]]  # (UNIX seconds, USD), in order of time
SMALLEST_K, LARGEST_K = 0.05, 20.0
HALVINGS = 14  # of the logarithm of their quotient: to a thousandth
ENOUGH = timedelta(days=14)  # of history before a coin has a k of its own


class Calibration(NamedTuple):
    """The k of each coin, and the alerts per coin and week that they would have come to on the
    history they were solved on; None where that has no length."""

    k: Mapping[str, float]
    achieved: float | None

    @property
    def typical(self) -> float:
        """The median of the coins' k."""
        return statistics.median(self.k.values())


def replay(series: Series, rules: Rules) -> list[Alert]:
    """The alerts that a history would have raised."""
    tracker = Tracker()
    return [alert for at, price in series for alert in tracker.observe(at, price, rules)]


def weeks(series: Series) -> float:
    """How long a history is."""
    return (series[-1][0] - series[0][0]) / WEEK if series else 0.0


def is_long_enough(series: Series) -> bool:
    """Whether a history is long enough for a k of its own."""
    return timedelta(weeks=weeks(series)) >= ENOUGH


def solve(histories: Mapping[str, Series], per_week: float, rules: Rules) -> Calibration:
    """The k with which each coin would have raised `per_week` alerts.

    A coin with less than ENOUGH history takes the k that all histories together ask for.
    """
    fixed = dataclasses.replace(rules, per_week=None)

    def rate(histories: Sequence[Series], k: float) -> float:
        counted = sum(len(replay(s, dataclasses.replace(fixed, k=k))) for s in histories)
        return counted / (sum(map(weeks, histories)) or math.inf)

    everything = [series for series in histories.values() if weeks(series) > 0]
    if not everything:
        return Calibration(dict.fromkeys(histories, rules.k), None)
    # A short history is noise: the coins lend each other theirs.
    has_own = {coin for coin, series in histories.items() if is_long_enough(series)}
    common = rules.k
    if len(has_own) < len(histories):
        common = _bisect(lambda k: rate(everything, k), per_week)
    found = {
        coin: _bisect(lambda k, s=series: rate([s], k), per_week) if coin in has_own else common  # type: ignore[misc]
        for coin, series in histories.items()
    }
    counted = sum(
        len(replay(series, dataclasses.replace(fixed, k=found[coin])))
        for coin, series in histories.items()
    )
    return Calibration(found, counted / sum(map(weeks, everything)))


def _bisect(rate: Callable[[float], float], wished: float) -> float:
    """Where a falling rate crosses what is wished; an end of the range where it never does."""
    low, high = math.log(SMALLEST_K), math.log(LARGEST_K)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if rate(math.exp(middle)) > wished:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)
