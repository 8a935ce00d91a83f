"""Check the weights of a strategy for several coins for look-ahead. Pure.

As in `order_cuts`, the strategy is loaded again, gets the prices until a decision and the holdings
that the run had there, and must return the weights that the run got.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from sentinel.backtesting.lookahead import (
    CUTS,
    TOLERANCE,
    Difference,
    Findings,
    find_warm_up,
    run_apart,
)
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import LoadedPrices, PriceSeries
from sentinel.backtesting.rebalancing import DecideWeights, Holdings, run_rebalancing
from sentinel.backtesting.signal_cuts import slice_series
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import ConfigurationError

Weights = Mapping[str, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """A decision of the run."""

    moment: float
    known: Mapping[str, int]
    holdings: Holdings
    weights: Weights


def check_weights(
    strategy: Strategy,
    prices: LoadedPrices,
    costs: Costs,
    initial_usd: Decimal,
    dice: np.random.Generator,
) -> Findings:
    """Return the findings on a strategy for several coins. Raises StrategyFailed."""
    decisions = _record_decisions(strategy, prices, costs, initial_usd)
    chosen = sorted(dice.permutation(len(decisions))[:CUTS].tolist())
    for number in chosen:
        cut = decisions[number]
        try:
            found, again = (_ask(strategy, cut, prices.series) for _ in range(2))
        except ConfigurationError:  # it did not fail in the run
            return Findings(len(chosen), _find_difference(cut, None, has_failed=True))
        if _differs(found, again):
            difference = _find_difference(cut, found)
            return Findings(len(chosen), difference, is_deterministic=False)
        if _differs(found, cut.weights):
            # The run asked it at every decision before. If that explains it, it remembers.
            replayed = _ask(strategy, cut, prices.series, decisions[:number])
            if not _differs(replayed, cut.weights):
                return Findings(len(chosen), keeps_state=True)
            return Findings(len(chosen), _find_difference(cut, found))
    return Findings(
        len(chosen), warm_up=_measure_warm_up(strategy, prices, [decisions[n] for n in chosen])
    )


def _record_decisions(
    strategy: Strategy, prices: LoadedPrices, costs: Costs, initial_usd: Decimal
) -> list[_Cut]:
    decide, cuts = strategy.build_weights(prices.series), list[_Cut]()

    def record(moment: float, known: Mapping[str, int], holdings: Holdings) -> Weights:
        weights = decide(moment, known, holdings)
        cuts.append(_Cut(moment, known, holdings, weights))
        return weights

    run_rebalancing(prices, record, strategy.rebalance_seconds, costs, initial_usd)
    return cuts


def _ask(
    strategy: Strategy,
    cut: _Cut,
    series: Mapping[str, PriceSeries],
    earlier: Sequence[_Cut] = (),
    length: int | None = None,
) -> Weights:
    """Return the weights at the cut, after `earlier` decisions, from the last `length` prices."""
    firsts = {
        coin_id: 0 if length is None else max(0, count - length)
        for coin_id, count in cut.known.items()
    }
    known = {
        coin_id: slice_series(series[coin_id], firsts[coin_id], count)
        for coin_id, count in cut.known.items()
    }

    def decide_last(known: Mapping[str, PriceSeries]) -> Weights:
        decide: DecideWeights = strategy.build_weights(known)
        for one in earlier:
            decide(one.moment, one.known, one.holdings)
        counts = {coin_id: len(own) for coin_id, own in known.items()}
        return decide(cut.moment, counts, cut.holdings)

    return run_apart(decide_last, known)


def _differs(one: Weights, other: Weights) -> bool:
    if one is None or other is None:
        return one is not other
    return any(
        abs(one.get(coin_id, 0.0) - other.get(coin_id, 0.0)) > TOLERANCE
        for coin_id in {*one, *other}
    )


def _find_difference(cut: _Cut, found: Weights, *, has_failed: bool = False) -> Difference:
    """Return the coin whose weight differs most; no decision counts as the weights held."""
    held = cut.holdings.weights
    run = held if cut.weights is None else cut.weights
    own = held if found is None else found
    gaps = {coin_id: abs(run.get(coin_id, 0.0) - own.get(coin_id, 0.0)) for coin_id in cut.known}
    coin_id = max(gaps, key=lambda each: gaps[each])
    causal = None if has_failed else own.get(coin_id, 0.0)
    return Difference(coin_id, cut.moment, run.get(coin_id, 0.0), causal, is_weight=True)


def _measure_warm_up(strategy: Strategy, prices: LoadedPrices, cuts: Sequence[_Cut]) -> int | None:
    """Return how many prices of each coin give the same weights as all; None if nearly all do."""
    if not cuts:
        return 0
    longest = max(cuts[-1].known.values())

    def suffices(length: int) -> bool:
        try:
            return not any(
                _differs(_ask(strategy, cut, prices.series, length=length), cut.weights)
                for cut in cuts
                if length < max(cut.known.values())
            )
        except ConfigurationError:
            return False

    return find_warm_up(longest, suffices)
