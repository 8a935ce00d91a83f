"""Panic and reversal alerts of one coin: a tracker reads observations and returns alerts. Pure.

*Panic* (a trailing stop): the price has fallen by the threshold below the high-water mark.
*Reversal* (buy the dip): the price has risen by the threshold above the low-water mark. Both marks
are taken from a rolling window and, with a larger threshold, from a week. An alert of one kind
resets the other kind, whose marks then start at the current price. docs/monitor.md has the rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from sentinel.analytics.confirmation import Confirmation
from sentinel.analytics.crossings import (
    Alert,
    Basis,
    Kind,
    KindState,
    Reference,
    detect_crossing,
    end_silence,
    update_marks,
)
from sentinel.analytics.peg import PEG_DEVIATIONS, PEG_THRESHOLD, PEG_USD, RETURN_SHARE, Peg
from sentinel.analytics.volatility import DAY_SECONDS, RETURN_SECONDS, Volatility

# Of the stored state. A tracker of another version starts again from the stored prices.
VERSION = 2
# A coin's own volatility is uncertain, and people think in falls of 5 %. So it is drawn to that of
# a common coin (a day, 1.5 of which are 5 %), with this weight; both measured in decisions.md.
COMMON_VOLATILITY, COMMON_WEIGHT = 0.0333, 0.75
# A larger step waits for the next observation: in thresholds; over hours, when larger steps are
# common, in standard deviations of that time; and in thresholds at most.
MAX_STEP, MAX_STEP_DEVIATIONS, MAX_LONG_STEP = 0.75, 3.0, 1.5
WEEK_SECONDS = timedelta(weeks=1).total_seconds()
# The threshold for the marks of a week, in thresholds.
WEEK_FACTOR = 2.5
# A longer pause of the observations, in windows, is an outage. Almost one: a fall that is found
# after it needs time for its confirmation.
OUTAGE_WINDOWS = 0.9
# So many alerts more than the target rate are free; each further one raises the multiplier.
FREE_ALERTS, RATE_GAIN = 4.0, 0.2
MAX_EXCESS_ALERTS = 12.0  # the multiplier is raised by a factor of 5 at most
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
    # Older returns lose half of their weight in the short volatility after this time.
    volatility_half_life: timedelta
    # Limits of the threshold, as fractions of the price.
    min_threshold: float
    max_threshold: float
    # At most so many alerts per coin and week. None: no limit.
    target_rate: float | None = None


@dataclass(slots=True)
class Tracker:
    """The alert state of one coin. It survives a restart as JSON, see `alert_storage`."""

    # UNIX seconds and price of the newest observation.
    last_at: float = NEVER
    last_price_usd: float = 0.0
    confirmation: Confirmation = field(default_factory=Confirmation)
    volatility: Volatility = field(default_factory=Volatility)
    peg: Peg = field(default_factory=Peg)
    # UNIX seconds before and after the last outage of the observations.
    outage: tuple[float, float] = (NEVER, NEVER)
    # Alerts beyond the target rate.
    excess_alerts: float = 0.0
    panic: KindState = field(default_factory=KindState)
    reversal: KindState = field(default_factory=KindState)
    version: int = VERSION

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
        usual = MAX_STEP_DEVIATIONS * self.volatility.sigma(at - self.last_at)
        max_step = max(MAX_STEP * threshold, min(MAX_LONG_STEP * threshold, usual))
        self._advance_time(at, rules)
        self.last_at, self.last_price_usd = at, price
        confirmed = self.confirmation.confirm(price, max_step)
        if confirmed is None:
            return []
        self.peg.observe(at, confirmed)
        self.volatility.learn(at, confirmed, rules.volatility_half_life.total_seconds())
        alerts = list(self._detect(at, confirmed, threshold, rules, may_alert=may_alert))
        if rules.target_rate is not None:
            self.excess_alerts = min(MAX_EXCESS_ALERTS, self.excess_alerts + len(alerts))
        return alerts

    def compute_threshold(self, rules: AlertRules) -> float:
        """Return the move that raises an alert now, as a fraction of the price."""
        if self.peg.is_held:
            noise = PEG_DEVIATIONS * self.volatility.sigma(RETURN_SECONDS)
            threshold = max(PEG_THRESHOLD, noise) * self._excess_factor(rules)
            return min(rules.max_threshold, threshold)
        seconds = rules.horizon.total_seconds()
        common = COMMON_VOLATILITY * math.sqrt(seconds / DAY_SECONDS)
        own = self.volatility.sigma(seconds)
        sigma = math.pow(own, 1 - COMMON_WEIGHT) * math.pow(common, COMMON_WEIGHT)
        threshold = self.effective_multiplier(rules) * sigma
        return min(rules.max_threshold, max(rules.min_threshold, threshold))

    def effective_multiplier(self, rules: AlertRules) -> float:
        """Return the multiplier, raised if there were more alerts than the target rate."""
        return rules.multiplier * self._excess_factor(rules)

    def _excess_factor(self, rules: AlertRules) -> float:
        excess = 0.0 if rules.target_rate is None else self.excess_alerts - FREE_ALERTS
        return math.exp(RATE_GAIN * max(0.0, excess))

    def _advance_time(self, at: float, rules: AlertRules) -> None:
        if self.last_at == NEVER:
            return
        pause = at - self.last_at
        if pause > OUTAGE_WINDOWS * rules.window.total_seconds():
            self.outage = (self.last_at, at)
        earned = (rules.target_rate or 0.0) * pause / WEEK_SECONDS
        self.excess_alerts = max(0.0, self.excess_alerts - earned)

    def _detect(
        self, at: float, price: float, threshold: float, rules: AlertRules, *, may_alert: bool
    ) -> Iterator[Alert]:
        week_ago = self._find_oldest(at, WEEK_SECONDS)
        window_ago = self._find_oldest(at, rules.window.total_seconds())
        for own, other, kind, sign in self._kinds():
            update_marks(own.marks, at, price, sign, window_ago)
            update_marks(own.week_marks, at, price, sign, week_ago)
            if self.peg.is_held:
                found = [self._find_peg_reference(at, threshold, own, other, sign)]
            else:
                end_silence(own, at, price, sign)
                found = self._find_references(own, threshold)
            alert = detect_crossing(own, at, price, kind, sign, found) if may_alert else None
            if alert:
                own.last_alert, own.extreme_usd = alert, price
                if alert.level == 1:
                    other.reset(at, price)
                if alert.basis == "peg" and alert.reference_usd != PEG_USD:
                    own.reset(at, price)  # back at the peg: both kinds start anew
                yield alert

    def _find_references(self, own: KindState, threshold: float) -> list[Reference]:
        mark, week_mark = own.marks[0], own.week_marks[0]
        basis: Basis = "outage" if mark[0] <= self.outage[0] else "window"
        return [
            Reference(*mark, threshold, basis),
            Reference(*week_mark, WEEK_FACTOR * threshold, "week"),
        ]

    def _find_oldest(self, at: float, window: float) -> float:
        """Return the UNIX seconds where a window begins. A recent outage does not count."""
        before, after = self.outage
        return at - window - (after - before if at - after < window else 0.0)

    def _find_peg_reference(
        self, at: float, threshold: float, own: KindState, other: KindState, sign: int
    ) -> Reference:
        """Return the peg; after an alert of the other kind, its extreme and the way to the peg."""
        if other.last_alert is None:
            return Reference(at, PEG_USD, threshold, "peg")
        extreme_at, extreme = own.week_marks[0]
        was_away = sign * (1 - own.marks[0][1] / PEG_USD) >= threshold  # within the window
        share = RETURN_SHARE if was_away else 1.0
        back = PEG_USD * (1 - sign * threshold * share) / extreme - 1
        return Reference(extreme_at, extreme, max(sign * back, threshold / 2), "peg")

    def _kinds(self) -> tuple[tuple[KindState, KindState, Kind, int], ...]:
        """Return for each kind its state, the other kind's state, its name, its moves' sign."""
        return (
            (self.panic, self.reversal, "panic", -1),
            (self.reversal, self.panic, "reversal", 1),
        )
