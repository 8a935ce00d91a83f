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
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import TypeAdapter

from sentinel.analytics.crossings import (
    Alert,
    Kind,
    KindState,
    detect_crossing,
    reset_after_turn,
    update_marks,
)

# A new coin starts with the volatility of a large coin, 4 % a day. The prior weighs as much as six
# hours of observations.
PRIOR_MINUTES = 360.0
PRIOR_VARIANCE = 0.04**2 / 1440  # per minute
RATE_GAIN = 0.3  # added to the logarithm of the multiplier; measured in benchmarks/alerts.py
MAX_ADJUSTMENT = 1.5  # of that logarithm: a factor of 4.5 either way
# A long outage raises no alerts. Only this much of it may lower the multiplier.
MAX_QUIET_TIME = timedelta(days=1)
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


@dataclass(slots=True)
class Tracker:
    """The alert state of one coin. `TRACKER_JSON` keeps it over a restart."""

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
            self._lower_for_quiet_time(at, rules.target_rate)
        self.last_at, self.last_price_usd = at, price
        alerts: list[Alert] = []
        for own, other, kind, sign in self._kinds():
            update_marks(own.marks, at, price, sign, at - rules.window.total_seconds())
            alert = detect_crossing(own, at, price, threshold, kind, sign, may_alert=may_alert)
            if alert:
                if alert.level == 1:
                    other.reset(at, price)
                alerts.append(alert)
        for own, _, _, sign in self._kinds():
            reset_after_turn(own, at, price, sign, threshold)
        if rules.target_rate is not None:
            self._adjust(RATE_GAIN * len(alerts))
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

    def _lower_for_quiet_time(self, at: float, target_rate: float) -> None:
        """Lower the multiplier for the time that passed without an alert."""
        if self.last_at != NEVER:
            weeks = min(at - self.last_at, MAX_QUIET_TIME.total_seconds()) / WEEK_SECONDS
            self._adjust(-RATE_GAIN * target_rate * weeks)

    def _adjust(self, change: float) -> None:
        self.adjustment = min(MAX_ADJUSTMENT, max(-MAX_ADJUSTMENT, self.adjustment + change))

    def _kinds(self) -> tuple[tuple[KindState, KindState, Kind, int], ...]:
        """Return for each kind its state, the other kind's state, its name, its moves' sign."""
        return (
            (self.panic, self.reversal, "panic", -1),
            (self.reversal, self.panic, "reversal", 1),
        )


# Converts a tracker to plain values and back. Floats survive JSON exactly.
TRACKER_JSON = TypeAdapter(Tracker)
