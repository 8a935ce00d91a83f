"""Detect when a coin's price crosses the threshold of a panic or a reversal alert. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

Kind = Literal["panic", "reversal"]

# A move of this many thresholds needs no second observation to confirm it.
IMMEDIATE_THRESHOLDS = 2.0


class Alert(NamedTuple):
    """An alert of a tracker."""

    kind: Kind
    # UNIX seconds of the observation.
    at: float
    price_usd: float
    # The high-water or low-water mark, and its UNIX seconds.
    reference_usd: float
    reference_at: float
    # The price change since the mark and the threshold, as fractions of the mark.
    move: float
    threshold: float
    # 1 for the first alert; one more for each further threshold in the same direction.
    level: int

    @property
    def observed_at(self) -> datetime:
        """The time of the observation."""
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def marked_at(self) -> datetime:
        """The time of the mark."""
        return datetime.fromtimestamp(self.reference_at, UTC)


@dataclass(slots=True)
class KindState:
    """What a tracker remembers for one kind of alert."""

    # (UNIX seconds, price), each more extreme than those after it. The first one is the mark.
    marks: deque[tuple[float, float]] = field(default_factory=deque)
    # Price and threshold of the last alert. None: no alert since the last reset.
    last_alert_usd: float | None = None
    last_alert_threshold: float = 0.0
    # The most extreme price since the last alert.
    extreme_usd: float = 0.0
    level: int = 0
    # The price has turned by a threshold; the next observation has to confirm it.
    is_turning: bool = False
    # The threshold of a crossing that waits for its second observation.
    pending_threshold: float | None = None

    def reset(self, at: float, price: float) -> None:
        """Forget the last alert and start the marks at this price."""
        self.marks = deque([(at, price)])
        self.last_alert_usd, self.level = None, 0
        self.is_turning, self.pending_threshold = False, None


def update_marks(
    marks: deque[tuple[float, float]], at: float, price: float, sign: int, oldest: float
) -> None:
    """Keep each price that may still become the mark: highs for panic (sign -1), lows for reversal.

    The first one is the mark: prices before `oldest` expire.
    """
    while marks and sign * (marks[-1][1] - price) >= 0:
        marks.pop()
    marks.append((at, price))
    while marks[0][0] < oldest:
        marks.popleft()


def reset_after_turn(
    state: KindState, at: float, price: float, sign: int, threshold: float
) -> None:
    """Reset a kind after a turn that took longer than the window; no alert is raised for it.

    Call this after both kinds were checked: a turn within the window is an alert of the other kind.
    """
    if state.last_alert_usd is None:
        return
    state.extreme_usd = (max if sign > 0 else min)(state.extreme_usd, price)
    has_turned = sign * (price / state.extreme_usd - 1) <= -threshold
    if has_turned and state.is_turning:
        state.reset(at, price)
    else:
        state.is_turning = has_turned


def detect_crossing(
    state: KindState,
    at: float,
    price: float,
    threshold: float,
    kind: Kind,
    sign: int,
    *,
    may_alert: bool,
) -> Alert | None:
    """Return an alert if this observation completes a crossing that has not raised one yet.

    A crossing is complete at its second observation, or at once if it is very large.
    """
    reference_at, reference = state.marks[0]
    required = state.pending_threshold or threshold
    move = price / reference - 1
    if sign * move < required or not _is_beyond_last_alert(state, price, reference, required, sign):
        state.pending_threshold = None
        return None
    if not may_alert:
        return None
    if state.pending_threshold is None and sign * move < IMMEDIATE_THRESHOLDS * required:
        state.pending_threshold = required
        return None
    state.last_alert_usd, state.last_alert_threshold, state.extreme_usd = price, required, price
    state.pending_threshold, state.is_turning = None, False
    state.level += 1
    return Alert(kind, at, price, reference, reference_at, move, required, state.level)


def _is_beyond_last_alert(
    state: KindState, price: float, reference: float, required: float, sign: int
) -> bool:
    """Return whether the price is a full threshold beyond the last alert; True without one."""
    if state.last_alert_usd is None:
        return True
    base = max(reference, state.last_alert_usd)
    distance = max(required, state.last_alert_threshold) * base
    return sign * (price - state.last_alert_usd) >= distance
