"""The fixed percentage: the simplest alert rule, which every other rule has to beat. Pure.

A panic is a price that stands the percentage below the maximum of the last 24 hours, or below the
last price if a gap is longer. A reversal is one that stands it above the minimum. A kind that was
raised stays silent until half of its move is regained, or until the other kind is raised; its marks
then start anew. Each coin has a percentage of its own, solved once on a history for a rate of
alerts.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

from sentinel.analytics.calibration import Series, is_long_enough, length_weeks
from sentinel.analytics.crossings import Alert, Kind, KindState, end_silence, update_marks
from sentinel.analytics.falls import Score, score

WINDOW_SECONDS = timedelta(hours=24).total_seconds()
# The percentages that are tried, as fractions: 0.2 % to 60 %, each 3 % larger than the last.
PERCENTAGES = tuple(0.002 * 1.03**n for n in range(194))

Histories = Mapping[str, Series]


class Reference(NamedTuple):
    """A coin's percentage, as a fraction, and what it announced."""

    percentage: float
    score: Score


def replay_percentage(series: Series, percentage: float) -> list[Alert]:
    """Return the alerts that a percentage (as a fraction) would have raised."""
    panic, reversal = KindState(), KindState()
    kinds: tuple[tuple[KindState, KindState, Kind, int], ...] = (
        (panic, reversal, "panic", -1),
        (reversal, panic, "reversal", 1),
    )
    found: list[Alert] = []
    last_at = math.inf
    for at, price in series:
        oldest = min(last_at, at - WINDOW_SECONDS)
        for own, other, kind, sign in kinds:
            update_marks(own.marks, at, price, sign, oldest)
            end_silence(own, at, price, sign)
            reference_at, reference = own.marks[0]
            move = price / reference - 1
            if own.last_alert is None and sign * move >= percentage:
                alert = Alert(kind, at, price, reference, reference_at, move, percentage, 1)
                own.last_alert, own.extreme_usd = alert, price
                other.reset(at, price)
                found.append(alert)
        last_at = at
    return found


def match_percentages(fit: Histories, judged: Histories, rate: float) -> dict[str, float]:
    """Return the percentages, solved on `fit`, with this rate on `judged`.

    A coin with less than MIN_HISTORY in `fit` gets the percentage that fits all of `fit` together.
    Solved on another history, two rules differ in their rates, and could not be compared. So one
    common factor makes all percentages larger or smaller until the rate on `judged` is the given
    one, as nearly as it can be.
    """
    solved, replays = _solve(_Replays(fit), judged, rate), _Replays(judged)
    last = len(PERCENTAGES) - 1

    def scale(factor: int) -> dict[str, int]:
        return {coin: min(last, max(0, step + factor)) for coin, step in solved.items()}

    def excess(factor: int) -> float:
        return replays.rate(scale(factor)) - rate

    # The rate falls in jumps while the percentages grow, now and then it also rises.
    first = bisect.bisect_left(range(-last, last), 0.0, key=lambda factor: -excess(factor)) - last
    factor = min(range(first - 2, first + 3), key=lambda factor: (abs(excess(factor)), factor))
    return {coin: PERCENTAGES[step] for coin, step in scale(factor).items()}


def judge_percentages(fit: Histories, judged: Histories, rate: float) -> dict[str, Reference]:
    """Return what the percentages of `match_percentages` announce of the falls in `judged`."""
    found = {}
    for coin, percentage in match_percentages(fit, judged, rate).items():
        alerts = replay_percentage(judged[coin], percentage)
        found[coin] = Reference(percentage, score(judged[coin], alerts))
    return found


class _Replays:
    """Replays histories with one of PERCENTAGES each, and no history twice with the same."""

    def __init__(self, histories: Histories) -> None:
        self.histories = histories
        self.count = functools.cache(self._count)

    def rate(self, steps: Mapping[str, int]) -> float:
        """Return the alerts per coin and week with these steps of PERCENTAGES."""
        weeks = sum(length_weeks(self.histories[coin]) for coin in steps)
        return sum(self.count(coin, step) for coin, step in steps.items()) / (weeks or math.inf)

    def _count(self, coin: str, step: int) -> int:
        return len(replay_percentage(self.histories[coin], PERCENTAGES[step]))


def _solve(fit: _Replays, coins: Iterable[str], target_rate: float) -> dict[str, int]:
    """Return for each coin the smallest step of PERCENTAGES that keeps the target rate."""

    def solve(own: Iterable[str]) -> int:
        def negative_rate(step: int) -> float:
            return -fit.rate(dict.fromkeys(own, step))

        return bisect.bisect_left(range(len(PERCENTAGES) - 1), -target_rate, key=negative_rate)

    coins = tuple(coins)
    alone = {coin for coin in coins if is_long_enough(fit.histories.get(coin, ()))}
    common = solve(fit.histories) if len(alone) < len(coins) else 0
    return {coin: solve([coin]) if coin in alone else common for coin in coins}
