"""Rates of return: time-weighted and money-weighted (XIRR). Pure.

**Time-weighted**: what one unit of money gained that was there all the time. The portfolio is
valued at each payment; the growth between payments is multiplied. It does not depend on when and
how much was paid, so it compares with a coin's price.

**XIRR**: the yearly rate at which all payments would have grown to today's value, with a year of
365 days. It depends on when and how much was paid, so it compares with a savings account. A time
under MIN_XIRR_SPAN has none: one per cent of a day would be 3,700 % a year.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.api.portfolio.arithmetic import exact_arithmetic
from services.api.portfolio.price_book import ReturnUnavailable

YEAR = timedelta(days=365)
MIN_XIRR_SPAN = timedelta(days=30)
TOO_SHORT = f"a yearly rate needs {MIN_XIRR_SPAN.days} days"
# Rates are looked for where the money became this many times more or less, in this many steps.
MAX_GROWTH = 1e9
GRID_STEPS = 2_000
BISECTIONS = 80


class Point(NamedTuple):
    """A valuation. Between two points nothing is paid in or out."""

    # At the end of the time before, with what was taken out now.
    closing: Decimal
    # At the start of the time after, with what was paid in now.
    opening: Decimal


class Payment(NamedTuple):
    """Money put in; negative: taken out."""

    at: datetime
    amount: Decimal


@exact_arithmetic()
def compute_time_weighted(points: Sequence[Point]) -> Decimal:
    """Return the growth between the first point and the last one, minus 1.

    A total loss is -1, whatever is paid in later. While nothing is held, nothing grows. Raises
    ReturnUnavailable if coins were worth something for which nothing had been paid.
    """
    growth = Decimal(1)
    for before, after in pairwise(points):
        if before.opening > 0:
            growth *= after.closing / before.opening
        elif before.opening < 0 or after.closing:
            raise ReturnUnavailable("coins were received while nothing was invested")
    return growth - 1


def compute_xirr(payments: Sequence[Payment], value: Decimal, at: datetime) -> Decimal:
    """Return the yearly rate at which `payments` become `value` at a time, which is the last.

    A total loss is -1. Raises ReturnUnavailable if the time is too short, if nothing was paid in,
    and if no rate or more than one fits the payments.
    """
    flows = [*payments, Payment(at, -value)]
    known = [flow for flow in flows if flow.amount]
    if not any(flow.amount > 0 for flow in known):
        raise ReturnUnavailable("nothing was paid in")
    span = at - min(flow.at for flow in known)
    if span < MIN_XIRR_SPAN:
        raise ReturnUnavailable(TOO_SHORT)
    if not any(flow.amount < 0 for flow in known):
        return Decimal(-1)
    # Time to the end as a part of the span, and amounts as a part of the largest one.
    times = np.array([(at - flow.at) / span for flow in known])
    largest = max(abs(flow.amount) for flow in known)
    amounts = np.array([float(flow.amount / largest) for flow in known])
    return Decimal(float(np.expm1(_find_growth(times, amounts) * (YEAR / span))))


def _find_growth(times: npt.NDArray[np.float64], amounts: npt.NDArray[np.float64]) -> float:
    """Return the logarithm of the growth over the span at which the payments add up to 0."""
    limit = float(np.log(MAX_GROWTH))
    grid = np.linspace(-limit, limit, GRID_STEPS + 1)
    sums = amounts @ np.exp(np.outer(times, grid))
    grid, signs = grid[sums != 0], np.sign(sums[sums != 0])
    changes = np.flatnonzero(np.diff(signs))
    if len(changes) != 1:
        count = "no rate fits" if not len(changes) else "more than one rate fits"
        raise ReturnUnavailable(f"{count} these payments")
    [change] = changes
    low, high = float(grid[change]), float(grid[change + 1])
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if np.sign(amounts @ np.exp(times * middle)) == signs[change]:
            low = middle
        else:
            high = middle
    return (low + high) / 2
