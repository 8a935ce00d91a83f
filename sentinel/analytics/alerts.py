"""Panic and reversal of one coin, pure: a tracker is fed observations and says what they mean.

*Panic* (a trailing stop): the price has fallen the threshold below the session's high-water mark.
*Reversal* (buy the dip): it has risen the threshold above the session's low-water mark. The session
is what was observed since the last turn, `session` back at most: an older mark has expired. A turn
is an alert of the opposite kind; it starts the mark anew.

The threshold is k times the coin's realised volatility over `horizon`, within floor and ceiling.
Volatility is that of before the observation, else a crash would raise its own bar. Where a budget
of alerts is named, k drifts with what was spent of it: up by STEP with each alert, down with time,
so that over weeks the rate is the one wished for whatever the market and the cadence do.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, NamedTuple

Kind = Literal["panic", "reversal"]

# Where nothing is known of a coin yet: the fluctuation of a large coin, 4 % in a day, believed like
# six hours of observations.
PRIOR_MINUTES = 360.0
PRIOR_VARIANCE = 0.04**2 / 1440  # per minute
SUDDEN = 2.0  # thresholds at once that need no second observation
STEP = 0.3  # of log k, an alert; measured in benchmarks/alerts.py
MOST_DRIFT = 1.5  # of log k: a factor of 4.5 either way
LONGEST_SAVING = timedelta(days=1)  # nobody was alerted in an outage, and nothing saved by it
WEEK = timedelta(weeks=1).total_seconds()
NEVER = -1.0  # UNIX seconds, before any observation; JSON knows no infinity


@dataclass(frozen=True, slots=True)
class Rules:
    """What an alert takes. `min_threshold` and `max_threshold` bound the threshold, as fractions of
    the price; `per_week` is the budget of alerts that k is kept to, None: k stays as it is."""

    k: float
    session: timedelta
    horizon: timedelta
    half_life: timedelta
    min_threshold: float
    max_threshold: float
    per_week: float | None = None


class Alert(NamedTuple):
    """What a tracker found. Times are UNIX seconds; `move` and `threshold` fractions of the
    `reference`, the mark that the price left at `reference_at`; `step` counts the ladder from 1."""

    kind: Kind
    at: float
    price: float
    reference: float
    reference_at: float
    move: float
    threshold: float
    step: int


@dataclass(slots=True)
class Side:
    """One kind's half of a tracker.

    `marks` are (time, price), each more extreme than those after it: the first is the mark. While
    the kind is silent `announced` is the price of its last alert, `announced_threshold` that
    alert's, and `farthest` the price that went farthest since. `pending` is the threshold of a
    crossing that waits for its second observation.
    """

    marks: deque[tuple[float, float]] = field(default_factory=deque)
    announced: float | None = None
    announced_threshold: float = 0.0
    farthest: float = 0.0
    step: int = 0
    is_turning: bool = False
    pending: float | None = None

    def begin(self, at: float, price: float) -> None:
        """Forget the last alert and speak again, from this price on."""
        self.marks = deque([(at, price)])
        self.announced, self.step, self.is_turning, self.pending = None, 0, False, None

    def as_json(self) -> dict[str, Any]:
        """The half as plain values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"marks": [list(mark) for mark in self.marks]}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Side:
        """The half that `as_json` wrote."""
        return cls(**(plain | {"marks": deque((at, price) for at, price in plain["marks"])}))


@dataclass(slots=True)
class Tracker:
    """All that is remembered of one coin; `as_json` and `from_json` carry it over a restart.

    `squares` and `minutes` are the decaying sums of squared returns and of the time they took;
    `drift` is what the budget has added to log k.
    """

    at: float = NEVER
    price: float = 0.0
    squares: float = PRIOR_VARIANCE * PRIOR_MINUTES
    minutes: float = PRIOR_MINUTES
    drift: float = 0.0
    panic: Side = field(default_factory=Side)
    reversal: Side = field(default_factory=Side)

    def observe(
        self, at: float, price: float, rules: Rules, *, may_speak: bool = True
    ) -> list[Alert]:
        """Take in the next observation, at UNIX seconds, and say what it means.

        One that is not newer than the last is passed over. With `may_speak` false (a stale one) the
        marks learn of it and nothing is announced.
        """
        if at <= self.at or price <= 0:
            return []
        threshold = self.threshold(rules)
        self._learn(at, price, rules)
        if rules.per_week is not None and may_speak:
            self._save_budget(at, rules.per_week)
        self.at, self.price = at, price
        alerts: list[Alert] = []
        for own, other, kind, sign in self._sides():
            _remember(own.marks, at, price, sign, at - rules.session.total_seconds())
            crossing = _judge(own, at, price, threshold, kind, sign, may_speak=may_speak)
            if crossing:
                if crossing.step == 1:
                    other.begin(at, price)
                alerts.append(crossing)
        for own, _, _, sign in self._sides():
            _look_for_turn(own, at, price, sign, threshold)
        if rules.per_week is not None:
            self._shift(STEP * len(alerts))
        return alerts

    def threshold(self, rules: Rules) -> float:
        """What a move must reach now, as a fraction of the price."""
        horizon = rules.horizon.total_seconds() / 60
        sigma = math.sqrt(self.squares / self.minutes * horizon)
        return min(rules.max_threshold, max(rules.min_threshold, self.k_in_force(rules) * sigma))

    def k_in_force(self, rules: Rules) -> float:
        """k with what the budget has added to it."""
        return rules.k * (1.0 if rules.per_week is None else math.exp(self.drift))

    def _learn(self, at: float, price: float, rules: Rules) -> None:
        """Realised variance per minute, the past weighing half after each half-life."""
        if self.price > 0:
            minutes = (at - self.at) / 60
            decay = 0.5 ** (minutes * 60 / rules.half_life.total_seconds())
            move = math.log(price) - math.log(self.price)
            self.squares = self.squares * decay + move**2
            self.minutes = self.minutes * decay + minutes

    def _save_budget(self, at: float, per_week: float) -> None:
        if self.at != NEVER:
            saved = min(at - self.at, LONGEST_SAVING.total_seconds()) / WEEK
            self._shift(-STEP * per_week * saved)

    def _shift(self, by: float) -> None:
        self.drift = min(MOST_DRIFT, max(-MOST_DRIFT, self.drift + by))

    def _sides(self) -> tuple[tuple[Side, Side, Kind, int], ...]:
        """Each kind's half, the other's, its name, and the sign of its moves."""
        return (
            (self.panic, self.reversal, "panic", -1),
            (self.reversal, self.panic, "reversal", 1),
        )

    def as_json(self) -> dict[str, Any]:
        """The tracker as plain values; floats survive JSON exactly."""
        return {
            "at": self.at,
            "price": self.price,
            "squares": self.squares,
            "minutes": self.minutes,
            "drift": self.drift,
            "panic": self.panic.as_json(),
            "reversal": self.reversal.as_json(),
        }

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Tracker:
        """The tracker that `as_json` wrote."""
        sides = {kind: Side.from_json(plain[kind]) for kind in ("panic", "reversal")}
        return cls(**(plain | sides))


def _remember(
    marks: deque[tuple[float, float]], at: float, price: float, sign: int, oldest: float
) -> None:
    """Keep what may still become the mark: highs for a panic (sign -1), lows for a reversal."""
    while marks and sign * (marks[-1][1] - price) >= 0:
        marks.pop()
    marks.append((at, price))
    while marks[0][0] < oldest:
        marks.popleft()


def _look_for_turn(side: Side, at: float, price: float, sign: int, threshold: float) -> None:
    """A slow turn, over more than a session, ends the silence too; nothing is announced for it.

    To be asked once both kinds were judged: a turn within the session is the other kind's alert.
    """
    if side.announced is None:
        return
    side.farthest = max(side.farthest, price) if sign > 0 else min(side.farthest, price)
    has_turned = sign * (price / side.farthest - 1) <= -threshold
    if has_turned and side.is_turning:
        side.begin(at, price)
    else:
        side.is_turning = has_turned


def _judge(
    side: Side, at: float, price: float, threshold: float, kind: Kind, sign: int, *, may_speak: bool
) -> Alert | None:
    """Whether this observation completes a crossing that nobody was told of."""
    reference_at, reference = side.marks[0]
    asked = side.pending or threshold
    move = price / reference - 1
    if sign * move < asked or not _is_further(side, price, reference, asked, sign):
        side.pending = None
        return None
    if not may_speak:
        return None
    if side.pending is None and sign * move < SUDDEN * asked:
        side.pending = asked
        return None
    side.announced, side.announced_threshold, side.farthest = price, asked, price
    side.pending, side.is_turning = None, False
    side.step += 1
    return Alert(kind, at, price, reference, reference_at, move, asked, side.step)


def _is_further(side: Side, price: float, reference: float, asked: float, sign: int) -> bool:
    """Whether the price has gone a full threshold beyond the last alert, if one is standing."""
    if side.announced is None:
        return True
    rung = max(asked, side.announced_threshold) * max(reference, side.announced)
    return sign * (price - side.announced) >= rung
