"""Whether more coins than usual are rejected or missing, without I/O."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from safe_zone import STRIKES_TO_DEACTIVATE
from sentinel.health.facts import HealthCheck
from sentinel.storage.queries.failing_coins import DayFailures

MIN_BASELINE_DAYS = 7
RAISED_SPREADS = 6.0  # above its usual share a reason is raised
ENDED_SPREADS = 3.0  # below that it is over: a message about each crossing would be many
MAD_TO_DEVIATION = 1.4826  # of a normal distribution


class RaisedFailure(NamedTuple):
    """A reason for which more coins fail than usual."""

    # A reason of rejection, or `missing`.
    reason: str
    # Coins of the last 24 hours, of those that a run requests.
    coins: int
    requested: int
    # How many of them are usual.
    usual: float


def find_raised_failures(
    days: Sequence[DayFailures], spreads: float = RAISED_SPREADS
) -> list[RaisedFailure]:
    """Return the reasons whose share of coins in the last 24 hours is above its own baseline.

    With n the coins of a run today, and s the median share of the days before, usual are n·s coins.
    A reason is raised above n·s + spreads·d, where d is the larger of

    - 1.4826·n·MAD of the days' shares, a deviation that one bad day does not widen: Rousseeuw and
      Croux, Alternatives to the Median Absolute Deviation, 1993, doi:10.1080/01621459.1993.10476408
    - the binomial √(n·s·(1 - s) + 1); with the 1, seven coins are needed where none is usual.

    Nothing is raised with fewer than MIN_BASELINE_DAYS days before.
    """
    today = next((day for day in days if day.days_ago == 0), None)
    before = [day for day in days if day.days_ago > 0 and day.requested]
    if today is None or len(before) < MIN_BASELINE_DAYS:
        return []
    raised = []
    for reason, coins in sorted(today.failing.items()):
        shares = [day.failing.get(reason, 0) / day.requested for day in before]
        share = min(1.0, statistics.median(shares))
        deviation = statistics.median(abs(each - share) for each in shares)
        usual = today.requested * share
        spread = max(
            MAD_TO_DEVIATION * today.requested * deviation,
            math.sqrt(usual * (1 - share) + 1),
        )
        if coins > usual + spreads * spread:
            raised.append(RaisedFailure(reason, coins, today.requested, usual))
    return raised


def check_failure_rates(days: Sequence[DayFailures]) -> HealthCheck:
    """Return the check of the coins that are rejected or missing."""
    raised = find_raised_failures(days)
    if not raised:
        text = "Rejected and missing coins are not above their usual share."
        return HealthCheck("rejections", "ok", text)
    counts = "; ".join(
        f"{each.reason}: {each.coins} of {each.requested} coins, usually {each.usual:.0f}"
        for each in raised
    )
    text = (
        f"More coins than usual failed in {STRIKES_TO_DEACTIVATE} or more runs of the last 24 "
        f"hours ({counts}): run python -m pipeline.quarantine list."
    )
    return HealthCheck("rejections", "warning", text)
