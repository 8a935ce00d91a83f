"""The comparison with random entries: knowledge comes out at the top, chance anywhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from sentinel.backtesting import engine, luck
from sentinel.backtesting.price_series import Floats, PriceSeries
from sentinel.backtesting.round_trips import RoundTrip, build_round_trips
from tests.sentinel.backtesting.test_engine import CASH, COSTS, prices, run, signals_of

RANDOM = np.random.default_rng(5)
SERIES = prices(*100 * np.exp(np.cumsum(RANDOM.normal(0, 0.01, 500))))


def trips_of(series: PriceSeries, shares: Sequence[float] | Floats) -> list[RoundTrip]:
    found = engine.run_backtest(series, signals_of(list(shares)), COSTS, CASH)
    return build_round_trips("bitcoin", found.trades)


def test_a_strategy_that_knows_the_future_beats_nearly_all_random_entries() -> None:
    changes = np.diff(np.log(SERIES.prices), append=0.0)
    # An order is filled at the next price: decide by the move after that one.
    known = np.where(np.roll(changes, -1) > 0, 1.0, -1.0)
    assert (luck.compare_with_random([(SERIES, trips_of(SERIES, known))], COSTS) or 0) > 0.99
    assert luck.compare_with_random([(SERIES, trips_of(SERIES, -known))], COSTS) == pytest.approx(
        0, abs=0.01
    )


def test_random_entries_come_out_anywhere_with_equal_chance() -> None:
    """Of 100 random strategies, the lowest tenth is below about 0.1, and so on."""
    found = np.sort([_compare_random(np.random.default_rng(seed)) for seed in range(100)])
    expected = (np.arange(100) + 0.5) / 100
    assert np.abs(found - expected).max() < 0.16  # Kolmogorov and Smirnov at 1 %: 1.63 / sqrt(100)


def _compare_random(generator: np.random.Generator) -> float:
    shares = np.zeros(len(SERIES))
    cuts = np.sort(generator.choice(len(SERIES) - 2, 20, replace=False))
    shares[cuts[::2]], shares[cuts[1::2]] = 1.0, -1.0
    found = luck.compare_with_random([(SERIES, trips_of(SERIES, shares))], COSTS)
    assert found is not None
    return found


def test_a_coin_that_has_only_backfilled_prices_and_no_round_trip_changes_little() -> None:
    trips = trips_of(SERIES, np.tile([1.0, -1.0], len(SERIES) // 2))
    backfilled = dataclasses.replace(SERIES, is_observed=np.zeros(len(SERIES), dtype=bool))
    alone = luck.compare_with_random([(SERIES, trips)], COSTS)
    assert alone is not None
    assert luck.compare_with_random([(SERIES, trips), (backfilled, [])], COSTS) == alone


def test_the_same_round_trips_come_out_the_same() -> None:
    shares = [1.0, 0, 0, -1.0, 0] * 100
    trips = trips_of(SERIES, shares)
    found = luck.compare_with_random([(SERIES, trips)], COSTS)
    assert found == luck.compare_with_random([(SERIES, trips)], COSTS)


def test_entries_at_a_constant_price_are_neither_better_nor_worse() -> None:
    series = prices(*[7.0] * 200)
    trips = trips_of(series, [1.0, 0, 0, -1.0, 0] * 40)
    assert luck.compare_with_random([(series, trips)], COSTS) == 0.5


def test_holding_and_few_round_trips_are_not_compared() -> None:
    held = run(SERIES, "hold")
    trips = build_round_trips("bitcoin", held.trades)
    assert luck.compare_with_random([(SERIES, trips)], COSTS) is None
    four = trips_of(SERIES, [1.0, 0, -1.0, 0] * 4 + [0.0] * 484)
    assert len(four) == luck.MIN_ROUND_TRIPS - 1
    assert luck.compare_with_random([(SERIES, four)], COSTS) is None


def test_round_trips_of_several_coins_count_together() -> None:
    trips = trips_of(SERIES, [1.0, 0, -1.0, 0] * 3 + [0.0] * 488)
    found = luck.compare_with_random([(SERIES, trips), (SERIES, trips)], COSTS)
    assert found is not None
    assert 0 < found < 1
