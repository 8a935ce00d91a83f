"""Detect when a coin's price crosses the threshold of a panic or a reversal alert. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

Kind = Literal["panic", "reversal"]
# What the mark of an alert is: the extreme of the window, or of the week, the extreme before an
# outage, or the peg.
Basis = Literal["window", "week", "outage", "peg"]
Mark = tuple[float, float]  # UNIX seconds, USD

# The next alert level is a move from the mark that is this many times the one announced before, or
# at a price so many thresholds further if that is less; the distances from a peg only multiply.
LEVEL_RATIO = 2.5


class Alert(NamedTuple):
    """An alert of a tracker."""

    kind: Kind
    # UNIX seconds of the observation.
    at: float
    # If the last two observations are both large steps: the smaller one.
    price_usd: float
    # The high-water or low-water mark, and its UNIX seconds. The peg has the observation's.
    reference_usd: float
    reference_at: float
    # The price change since the mark and the threshold, as fractions of the mark.
    move: float
    threshold: float
    # 1 for the first alert; one more for each further level.
    level: int
    basis: Basis = "window"

    @property
    def observed_at(self) -> datetime:
        """The time of the observation."""
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def marked_at(self) -> datetime:
        """The time of the mark."""
        return datetime.fromtimestamp(self.reference_at, UTC)


class Reference(NamedTuple):
    """A price that an alert compares with."""

    at: float
    price_usd: float
    # The move from it that raises an alert, as a fraction of it.
    threshold: float
    basis: Basis


@dataclass(slots=True)
class KindState:
    """What a tracker remembers for one kind of alert."""

    # Each more extreme than those after it: the first one is the mark, of the window or the week.
    marks: deque[Mark] = field(default_factory=deque)
    week_marks: deque[Mark] = field(default_factory=deque)
    # The alert that silences the kind, and the most extreme price since. None: it is not silent.
    last_alert: Alert | None = None
    extreme_usd: float = 0.0

    def reset(self, at: float, price: float) -> None:
        """Forget the last alert and start the marks at this price."""
        self.marks, self.week_marks = deque([(at, price)]), deque([(at, price)])
        self.last_alert = None


def update_marks(marks: deque[Mark], at: float, price: float, sign: int, oldest: float) -> None:
    """Keep each price that may still become the mark: highs for panic (sign -1), lows for reversal.

    The first one is the mark: prices before `oldest` expire.
    """
    while marks and sign * (marks[-1][1] - price) >= 0:
        marks.pop()
    marks.append((at, price))
    while marks[0][0] < oldest:
        marks.popleft()


def end_silence(state: KindState, at: float, price: float, sign: int) -> None:
    """Start a kind anew when the price has regained half of the way back to the mark."""
    if state.last_alert:
        state.extreme_usd = (max if sign > 0 else min)(state.extreme_usd, price)
        if sign * (price - (state.marks[0][1] + state.extreme_usd) / 2) <= 0:
            state.reset(at, price)


def detect_crossing(
    state: KindState, at: float, price: float, kind: Kind, sign: int, found: Sequence[Reference]
) -> Alert | None:
    """Return an alert if the price crossed a threshold that has not raised one yet."""
    last = state.last_alert
    if last:
        move = price / last.reference_usd - 1
        if sign * move < _find_next_level(last):
            return None
        return last._replace(at=at, price_usd=price, move=move, level=last.level + 1)
    for reference in found:
        move = price / reference.price_usd - 1
        if sign * move >= reference.threshold:
            return Alert(
                kind, at, price, reference.price_usd, reference.at, move, reference.threshold, 1,
                reference.basis,
            )  # fmt: skip
    return None


def _find_next_level(last: Alert) -> float:
    """Return the move that raises the next alert level, as a fraction of the mark."""
    level = LEVEL_RATIO * abs(last.move)
    if last.basis == "peg":
        return level
    further = math.copysign(LEVEL_RATIO * last.threshold, last.move)
    return min(level, abs((1 + last.move) * (1 + further) - 1))
