"""Panic and reversal alerts of one coin: a tracker reads observations and returns alerts. Pure.

*Panic* (a trailing stop): the price has fallen by the threshold below the high-water mark.
*Reversal* (buy the dip): the price has risen by the threshold above the low-water mark. Both marks
are taken from a rolling window: older prices expire. An alert of one kind also resets the other
kind, whose mark then starts at the current price.

The threshold is a multiple of the coin's realized volatility, between a minimum and a maximum. The
volatility excludes the observation that is being checked. Otherwise a crash would raise its own
threshold. With a target rate, each alert raises the multiplier by BUDGET_GAIN and time lowers it.
Over weeks the alert rate therefore meets the target, whatever the market and the polling interval.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, NamedTuple

Kind = Literal["panic", "reversal"]

# A new coin starts with the volatility of a large coin, 4 % a day. The prior weighs as much as six
# hours of observations.
PRIOR_MINUTES = 360.0
PRIOR_VARIANCE = 0.04**2 / 1440  # per minute
# A move of this many thresholds needs no second observation to confirm it.
IMMEDIATE_THRESHOLDS = 2.0
BUDGET_GAIN = 0.3  # added to the logarithm of the multiplier; measured in benchmarks/alerts.py
MAX_ADJUSTMENT = 1.5  # of that logarithm: a factor of 4.5 either way
# A long outage raises no alerts. Only this much of it may lower the multiplier.
MAX_CREDITED_PAUSE = timedelta(days=1)
WEEK_SECONDS = timedelta(weeks=1).total_seconds()
NEVER = -1.0  # UNIX seconds before any observation; JSON has no infinity


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The settings of a tracker."""

    # The threshold is this many standard deviations of the price change over `horizon`.
    multiplier: float
    # How far back the high-water and low-water marks reach.
    window: timedelta
    # The period that the volatility is scaled to.
    horizon: timedelta
    # Older returns lose half of their weight in the volatility after this time.
    volatility_half_life: timedelta
    # Limits of the threshold, as fractions of the price.
    min_threshold: float
    max_threshold: float
    # Alerts per coin and week. None: the multiplier is never adjusted.
    target_rate: float | None = None


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

    def as_json(self) -> dict[str, Any]:
        """Return the state as plain values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"marks": [list(mark) for mark in self.marks]}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> KindState:
        """Restore what `as_json` returned."""
        return cls(**(plain | {"marks": deque((at, price) for at, price in plain["marks"])}))


@dataclass(slots=True)
class Tracker:
    """The alert state of one coin. `as_json` and `from_json` keep it over a restart."""

    # UNIX seconds and price of the newest observation.
    last_at: float = NEVER
    last_price_usd: float = 0.0
    # Decaying sums of the squared log returns and of the minutes that they cover.
    squared_returns: float = PRIOR_VARIANCE * PRIOR_MINUTES
    covered_minutes: float = PRIOR_MINUTES
    # What the target rate has added to the logarithm of the multiplier.
    adjustment: float = 0.0
    panic: KindState = field(default_factory=KindState)
    reversal: KindState = field(default_factory=KindState)

    def observe(
        self, at: float, price: float, rules: AlertRules, *, may_alert: bool = True
    ) -> list[Alert]:
        """Process the next observation (UNIX seconds, USD) and return the alerts it raises.

        An observation that is not newer than the last one is ignored. With `may_alert` False (a
        stale price) the marks are updated and no alert is raised.
        """
        if at <= self.last_at or price <= 0:
            return []
        threshold = self.compute_threshold(rules)
        self._update_volatility(at, price, rules)
        if rules.target_rate is not None and may_alert:
            self._credit_pause(at, rules.target_rate)
        self.last_at, self.last_price_usd = at, price
        alerts: list[Alert] = []
        for own, other, kind, sign in self._kinds():
            _update_marks(own.marks, at, price, sign, at - rules.window.total_seconds())
            alert = detect_crossing(own, at, price, threshold, kind, sign, may_alert=may_alert)
            if alert:
                if alert.level == 1:
                    other.reset(at, price)
                alerts.append(alert)
        for own, _, _, sign in self._kinds():
            _reset_after_turn(own, at, price, sign, threshold)
        if rules.target_rate is not None:
            self._adjust(BUDGET_GAIN * len(alerts))
        return alerts

    def compute_threshold(self, rules: AlertRules) -> float:
        """Return the move that raises an alert now, as a fraction of the price."""
        horizon = rules.horizon.total_seconds() / 60
        sigma = math.sqrt(self.squared_returns / self.covered_minutes * horizon)
        threshold = self.effective_multiplier(rules) * sigma
        return min(rules.max_threshold, max(rules.min_threshold, threshold))

    def effective_multiplier(self, rules: AlertRules) -> float:
        """Return the multiplier with the adjustment for the target rate."""
        return rules.multiplier * (1.0 if rules.target_rate is None else math.exp(self.adjustment))

    def _update_volatility(self, at: float, price: float, rules: AlertRules) -> None:
        if self.last_price_usd > 0:
            minutes = (at - self.last_at) / 60
            decay = 0.5 ** (minutes * 60 / rules.volatility_half_life.total_seconds())
            log_return = math.log(price) - math.log(self.last_price_usd)
            self.squared_returns = self.squared_returns * decay + log_return**2
            self.covered_minutes = self.covered_minutes * decay + minutes

    def _credit_pause(self, at: float, target_rate: float) -> None:
        """Lower the multiplier for the time that passed without an alert."""
        if self.last_at != NEVER:
            weeks = min(at - self.last_at, MAX_CREDITED_PAUSE.total_seconds()) / WEEK_SECONDS
            self._adjust(-BUDGET_GAIN * target_rate * weeks)

    def _adjust(self, change: float) -> None:
        self.adjustment = min(MAX_ADJUSTMENT, max(-MAX_ADJUSTMENT, self.adjustment + change))

    def _kinds(self) -> tuple[tuple[KindState, KindState, Kind, int], ...]:
        """Return for each kind its state, the other kind's state, its name, its moves' sign."""
        return (
            (self.panic, self.reversal, "panic", -1),
            (self.reversal, self.panic, "reversal", 1),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the tracker as plain values. Floats survive JSON exactly."""
        return {
            "last_at": self.last_at,
            "last_price_usd": self.last_price_usd,
            "squared_returns": self.squared_returns,
            "covered_minutes": self.covered_minutes,
            "adjustment": self.adjustment,
            "panic": self.panic.as_json(),
            "reversal": self.reversal.as_json(),
        }

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Tracker:
        """Restore what `as_json` returned."""
        states = {kind: KindState.from_json(plain[kind]) for kind in ("panic", "reversal")}
        return cls(**(plain | states))


def _update_marks(
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


def _reset_after_turn(
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
