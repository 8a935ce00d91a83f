"""Whether a strategy's entries were better than random ones. Pure.

A strategy that is in the market half of the time of a rising market gains, wherever it enters. So
its closed round trips are compared with PLACEMENTS random placements of the same round trips: on
the same coin as many of them, with the same holding times in a random order, at random moments that
do not overlap, at the same fee and slippage. The result is the share of the placements whose growth
is below the strategy's; a placement of equal growth counts half.

Growth of a coin is the product of its round trips' proceeds over their cost. Several coins count
with their mean, because each has an equal part of the cash. The size of an order is left out: the
figure judges when a strategy trades, not how much. It is a permutation test (Good 2005,
Permutation, Parametric and Bootstrap Tests of Hypotheses). Entries without knowledge come out
anywhere between 0 and 1 with equal chance, so 0.62 is nothing and 0.99 is worth a look. A position
that is still open does not count. Of many parameters that were tried, the best one comes out high
by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sentinel.backtesting.portfolio import BASIS_POINTS, Costs
from sentinel.backtesting.price_series import Floats, PriceSeries
from sentinel.backtesting.round_trips import RoundTrip, select_closed

PLACEMENTS = 1_000
# Fewer round trips can be placed in too few ways to say anything.
MIN_ROUND_TRIPS = 5
SEED = 20_000
MAX_CELLS = 1 << 20  # of an array in memory: placements times round trips


def compare_with_random(
    coins: Sequence[tuple[PriceSeries, Sequence[RoundTrip]]], costs: Costs, seed: int = SEED
) -> float | None:
    """Return the share of random placements that did worse, 0 to 1.

    Takes each coin's prices from the start of trading on, and its round trips. None with fewer than
    MIN_ROUND_TRIPS closed ones. The same input gives the same result.
    """
    closed = [(series, select_closed(trips)) for series, trips in coins]
    if sum(len(trips) for _, trips in closed) < MIN_ROUND_TRIPS:
        return None
    generator = np.random.default_rng(seed)
    own, random = 0.0, np.zeros(PLACEMENTS)
    with np.errstate(over="ignore"):  # absurd prices grow without limit
        for series, trips in closed:
            own += float(np.prod([trip.growth for trip in trips]))
            random += _grow_at_random(series, trips, costs, generator)
    # Equal sums of products may differ in their last digits.
    equal = np.isclose(random, own, rtol=1e-9, atol=0)
    return float(np.mean(np.where(equal, 0.5, random < own)))


def _grow_at_random(
    series: PriceSeries, trips: Sequence[RoundTrip], costs: Costs, generator: np.random.Generator
) -> Floats:
    """Return the growth of each placement: one number for each, 1 without round trips."""
    if not trips:  # there may be no observed price either
        return np.ones(PLACEMENTS)
    times, logs = series.times[series.is_observed], np.log(series.prices[series.is_observed])
    fee, slippage = float(costs.fee_bps / BASIS_POINTS), float(costs.slippage_bps / BASIS_POINTS)
    log_cost = np.log((1 - fee) ** 2 * (1 - slippage) / (1 + slippage)) * len(trips)
    held = np.array([trip.seconds_held for trip in trips])
    parts = [
        (logs[exits] - logs[entries]).sum(axis=1)
        for entries, exits in _place(times, held, generator)
    ]
    growth: Floats = np.exp(np.concatenate(parts) + log_cost)
    return growth


def _place(
    times: Floats, held: Floats, generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the indices of entries and exits: a row for each placement, some rows at once.

    The time without coins is cut at random moments, and the round trips stand at the cuts.
    """
    free = max(0.0, times[-1] - times[0] - held.sum())
    rows = max(1, MAX_CELLS // max(1, len(held)))
    for first in range(0, PLACEMENTS, rows):
        shape = (min(rows, PLACEMENTS - first), len(held))
        order = generator.permuted(np.broadcast_to(held, shape), axis=1)
        cuts = np.sort(generator.random(shape), axis=1) * free
        entered = times[0] + cuts + np.cumsum(order, axis=1) - order
        # The first price at or after each moment, as an order is filled.
        entries, exits = (
            np.minimum(np.searchsorted(times, at), len(times) - 1)
            for at in (entered, entered + order)
        )
        yield entries, exits
