"""The grid gives what the engine gives, and the engine alone decides on orders that are small."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest

from sentinel.backtesting import engine, grid, scoring, strategies
from sentinel.backtesting.grid import Outcome
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import Floats, PriceSeries, from_prices

CASH = Decimal(10_000)
POINTS = 400


def build_series(seed: int) -> PriceSeries:
    """Return random prices with late and backfilled points; some coins die or are daily."""
    random = np.random.default_rng(seed)
    pauses = random.choice([300.0, 900.0, 1_900.0, 7_200.0], POINTS, p=[0.2, 0.6, 0.1, 0.1])
    if seed % 4 == 0:
        pauses = random.choice([86_400.0, 4 * 86_400.0], POINTS, p=[0.9, 0.1])
    drift = -0.05 if seed % 5 == 0 else 0.0
    prices: Floats = np.exp(np.cumsum(random.normal(drift, 0.05, POINTS)))
    is_observed = random.random(POINTS) > 0.1
    if seed % 3 == 0:
        is_observed[-40:] = False
    return from_prices(np.cumsum(pauses, dtype=np.float64), prices, is_observed)


def build_signal(seed: int) -> Floats:
    """Return a random signal that keeps its value for some points, or changes at each."""
    values = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], POINTS)
    return values if seed % 2 else np.repeat(values[: POINTS // 8], 8)


def run_engine(
    series: PriceSeries, signal: Floats, span: tuple[float, float], costs: Costs
) -> Outcome:
    known = series.between(-math.inf, span[1])
    own = signal[: len(known)].copy()
    own[known.times < span[0]] = 0.0
    signals = engine.Signals(
        np.flatnonzero(own > 0).tolist(),
        np.flatnonzero(own < 0).tolist(),
        lambda index, _portfolio: float(own[index]),
    )
    result = engine.run_backtest(known, signals, costs, CASH)
    total_return = float(result.final_usd / CASH) - 1
    return Outcome(total_return, len(result.trades), result.rejected_fills)


@pytest.mark.parametrize("seed", range(40))
def test_outcomes_equal_those_of_the_engine(seed: int) -> None:
    series, signal = build_series(seed), build_signal(seed)
    edges = [-math.inf, *series.times[[60, 200, 201, 330]].tolist(), math.inf]
    spans = [(edges[a], edges[b]) for a in range(6) for b in range(a + 1, 6)]
    costs = Costs(Decimal(10 * (seed % 3)), Decimal(seed % 7))
    found = grid.score_signal(grid.build_coin_grid(series, spans), signal, costs, CASH)
    is_dying = seed % 5 == 0
    assert is_dying or None not in found
    for span, outcome in zip(spans, found, strict=True):
        if outcome:
            expected = run_engine(series, signal, span, costs)
            assert outcome[1:] == expected[1:], span
            assert 1 + outcome[0] == pytest.approx(1 + expected[0], rel=1e-9)


def test_orders_that_may_be_too_small_are_left_to_the_engine() -> None:
    prices = np.array([1.0, 1.0, 1e-7, 1e-7, 1e-7])
    series = from_prices(np.arange(5, dtype=np.float64) * 900, prices)
    signal = np.array([1.0, 0.0, -1.0, 0.0, 0.0])
    coin = grid.build_coin_grid(series, [(0.0, math.inf)])
    assert grid.score_signal(coin, signal, Costs(), CASH) == [None]
    edges, candidates = [0.0, 1_800.0, 5_000.0], [strategies.load("hold")]
    scores = scoring.score_candidates({"dead": series}, candidates, edges, Costs(), CASH)
    assert scores["dead"][0][0].test_return == pytest.approx(-0.003, abs=1e-3)


@pytest.mark.parametrize("values", [[0.5, 1.0], [1.0, math.nan]])
def test_partial_orders_are_left_to_the_engine(values: list[float]) -> None:
    assert not grid.is_all_or_nothing(np.array(values))


def test_a_score_does_not_depend_on_the_other_coins_and_candidates() -> None:
    coins = {str(seed): build_series(seed) for seed in range(6)}
    candidates = [strategies.load("sma-cross", {"fast": fast, "slow": 13}) for fast in (2, 3, 5)]
    candidates += [strategies.load("dca"), strategies.load("trailing-stop")]
    for coin_id, series in coins.items():
        edges = np.linspace(series.times[50], series.times[-1], 5).tolist()
        together = scoring.score_candidates(coins, candidates, edges, Costs(), CASH)[coin_id]
        for n, candidate in enumerate(candidates):
            alone = scoring.score_candidates({"x": series}, [candidate], edges, Costs(), CASH)
            assert alone["x"][0] == together[n]
