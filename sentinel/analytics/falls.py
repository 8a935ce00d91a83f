"""Falls of a price history, and how alerts announced them: caught, missed, stray, delay. Pure.

This is the offline definition that all alert rules are judged by. It sees the whole history, so it
is no rule itself.

A *fall* begins when a price stands `depth` below the maximum of the last `window`, or below the
last price if a gap is longer. It ends when the price has recovered `recovery` of the way from the
lowest price since then to that maximum; the maximum moves along with the window. The maximum of the
next fall starts where the last one ended. A single price that both neighbors contradict is ignored:
no rule could confirm it.

A fall is *caught* if a panic alert is raised after its maximum and before its end. Other panic
alerts are *stray*. Reversals, and panics that are measured from a peg, count in the rate only:
they announce something else.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from sentinel.analytics.calibration import Series, length_weeks
from sentinel.analytics.crossings import Alert, update_marks


@dataclass(frozen=True, slots=True)
class FallRules:
    """The parameters of the definition."""

    # A fall begins this far below the maximum, as a fraction of it.
    depth: float = 0.05
    # The maximum is taken from this time.
    window: timedelta = timedelta(hours=24)
    # A fall ends when this fraction of it is recovered.
    recovery: float = 0.5
    # Two neighbors that are further apart cannot contradict the price between them.
    neighborhood: timedelta = timedelta(hours=1)


DEFAULT_FALLS = FallRules()


@dataclass(slots=True)
class Fall:
    """One fall. Times are UNIX seconds, prices USD."""

    # The maximum before the fall.
    reference_at: float
    reference_usd: float
    # The first price that stood `depth` below the maximum.
    began_at: float
    low_usd: float
    # The recovery, or the last price of the history.
    ended_at: float

    @property
    def depth(self) -> float:
        """The largest fall below the maximum, as a fraction of it."""
        return 1 - self.low_usd / self.reference_usd

    def is_announced_by(self, alert: Alert) -> bool:
        """Return whether the alert announces this fall: a panic from its maximum to its end."""
        return alert.kind == "panic" and self.reference_at < alert.at <= self.ended_at


class Score(NamedTuple):
    """What a list of alerts announced. Add scores with `combine`."""

    falls: int = 0
    caught: int = 0
    # Panic alerts outside of all falls, without those of a peg.
    stray: int = 0
    # Seconds from the first price of each caught fall to its first panic alert, in no order.
    # Negative: the alert was raised on the way from the maximum.
    delays_seconds: tuple[float, ...] = ()
    # All alerts, reversals too, and the length of all histories.
    alerts: int = 0
    weeks: float = 0.0

    @property
    def missed(self) -> int:
        """Falls without a panic alert."""
        return self.falls - self.caught

    @property
    def delay_seconds(self) -> float | None:
        """The median delay. None: no fall was caught."""
        return statistics.median(self.delays_seconds) if self.delays_seconds else None

    @property
    def alerts_per_coin_week(self) -> float | None:
        """The rate. None: the histories have no length."""
        return self.alerts / self.weeks if self.weeks else None


def score(series: Series, alerts: Sequence[Alert], rules: FallRules = DEFAULT_FALLS) -> Score:
    """Return what the alerts of one coin announced of the falls in its price history."""
    falls = find_falls(series, rules)
    first = [
        min((alert.at for alert in alerts if fall.is_announced_by(alert)), default=None)
        for fall in falls
    ]
    delays = tuple(at - fall.began_at for at, fall in zip(first, falls, strict=True) if at)
    stray = sum(
        alert.kind == "panic"
        and alert.basis != "peg"
        and not any(fall.is_announced_by(alert) for fall in falls)
        for alert in alerts
    )
    return Score(len(falls), len(delays), stray, delays, len(alerts), length_weeks(series))


def combine(scores: Iterable[Score]) -> Score:
    """Return the score of several coins together."""
    found = list(scores)
    return Score(
        sum(one.falls for one in found),
        sum(one.caught for one in found),
        sum(one.stray for one in found),
        tuple(delay for one in found for delay in one.delays_seconds),
        sum(one.alerts for one in found),
        sum(one.weeks for one in found),
    )


def find_falls(series: Series, rules: FallRules = DEFAULT_FALLS) -> list[Fall]:
    """Return the falls of a price history in order of time. The last one may not have ended."""
    found: list[Fall] = []
    current: Fall | None = None
    marks: deque[tuple[float, float]] = deque()
    last_at = math.inf
    for at, price in _drop_contradicted(series, rules):
        update_marks(marks, at, price, -1, min(last_at, at - rules.window.total_seconds()))
        maximum, last_at = marks[0][1], at
        if current:
            current.ended_at, current.low_usd = at, min(price, current.low_usd)
            low = current.low_usd
            if price >= low + rules.recovery * (maximum - low):
                current, marks = None, deque([(at, price)])
        elif price <= maximum * (1 - rules.depth):
            current = Fall(*marks[0], at, price, at)
            found.append(current)
    return found


def _drop_contradicted(series: Series, rules: FallRules) -> Iterator[tuple[float, float]]:
    """Yield the prices without those that differ by `depth` from both of two near neighbors."""
    before = (*series[:1], *series)
    after = (*series[1:], *series[-1:])
    near = rules.neighborhood.total_seconds()
    for (start, first), (at, price), (end, last) in zip(before, series, after, strict=False):
        is_low = price <= min(first, last) * (1 - rules.depth)
        is_high = price * (1 - rules.depth) >= max(first, last)
        if not (is_low or is_high) or end - start > near:
            yield at, price
