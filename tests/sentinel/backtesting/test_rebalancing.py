"""Strategies for several coins: trades to the wanted weights, errors, and the check of cuts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
import pytest

from sentinel.backtesting import checked_run, joint_trading, metrics, strategies, sweep_tasks
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import LoadedPrices, from_prices
from sentinel.backtesting.rebalancing import DecideWeights, Holdings, run_rebalancing
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.strategy_modules import StrategyFailed
from sentinel.backtesting.strategy_source import StrategySource
from sentinel.errors import ConfigurationError
from tests.support.sweeps import dumped, market, planned, solved

HOUR = 3600.0
CASH = Decimal(1_000)
FREE = Costs(Decimal(0), Decimal(0))
COSTS = Costs(Decimal(10), Decimal(5))
MOMENTUM = """
def weights(histories, portfolio, *, rebalance_hours=6, look=24):
    gains = {coin: h.prices[-1] / h.prices[-look:][0] for coin, h in histories.items()}
    best = sorted(gains, key=gains.get)[-2:]
    return {coin: 0.5 for coin in best if gains[coin] > 1}
"""


def hourly(prices: Mapping[str, Sequence[float]]) -> LoadedPrices:
    """Return prices at every hour; the coins are observed a minute after each other."""
    series = {
        coin_id: from_prices(
            HOUR * np.arange(len(own), dtype=np.float64) + 60.0 * n, np.array(own, dtype=np.float64)
        )
        for n, (coin_id, own) in enumerate(prices.items())
    }
    return LoadedPrices(series, 0.0)


def always(weights: Mapping[str, float]) -> DecideWeights:
    return lambda _moment, _known, _holdings: weights


def own(text: str, **parameters: float | str) -> Strategy:
    return strategies.load_source(StrategySource("mine.py", text), parameters)


def final_usd(results: Sequence[BacktestResult]) -> Decimal:
    return sum((result.final_usd for result in results), Decimal(0))


def test_coins_are_bought_to_their_weights_at_their_next_prices() -> None:
    prices = hourly({"a": [10, 20, 20, 20], "b": [1, 4, 4, 4]})
    # At the first decision only `a` has a price; `b` has its first one a minute later.
    results = run_rebalancing(prices, always({"a": 0.5}), 10 * HOUR, FREE, CASH)
    [bought, closed] = results[0].trades
    assert (bought.filled_at, bought.price_usd, bought.quantity) == (HOUR, Decimal(20), Decimal(25))
    assert closed.side == "close"
    assert results[1].trades == []
    assert final_usd(results) == CASH


def test_what_is_above_its_weight_is_sold_before_what_is_below_is_bought() -> None:
    wanted = iter([{"a": 1.0}, {"a": 0.25, "b": 0.75}])
    prices = hourly({"a": [1] * 8, "b": [2] * 8})
    [a, b] = run_rebalancing(prices, lambda *_: next(wanted), 4 * HOUR, FREE, CASH)
    [bought, sold, _] = a.trades
    assert (bought.filled_at, sold.filled_at) == (HOUR, 5 * HOUR)
    assert float(sold.quantity) == pytest.approx(-750)
    # The proceeds arrive at 5:00 and pay for the first price of `b` after that.
    assert b.trades[0].filled_at == 5 * HOUR + 60
    assert float(b.trades[0].quantity) == pytest.approx(375)


def test_a_coin_without_a_weight_is_sold_and_no_answer_leaves_all_as_it_is() -> None:
    answers = iter([{"a": 0.6}, None, {}])
    prices = hourly({"a": [1] * 12})
    [a] = run_rebalancing(prices, lambda *_: next(answers), 4 * HOUR, FREE, CASH)
    assert [(trade.side, trade.filled_at) for trade in a.trades] == [
        ("buy", HOUR),
        ("sell", 9 * HOUR),
    ]
    assert a.trades[1].quantity == -a.trades[0].quantity


def test_the_results_of_the_coins_add_up_to_the_account() -> None:
    prices = LoadedPrices(market(4, 900, seed=5), 0.0)
    seen: list[Holdings] = []

    def decide(_moment: float, known: Mapping[str, int], holdings: Holdings) -> dict[str, float]:
        seen.append(holdings)
        return {coin_id: 0.9 / len(known) for coin_id in known}

    results = run_rebalancing(prices, decide, 6 * HOUR, COSTS, CASH)
    together = metrics.combine_results(results)
    assert together.initial_usd == CASH
    assert float(together.final_usd) == pytest.approx(together.equity[-1], abs=1e-6)
    for holdings in seen[1:]:
        assert holdings.cash + sum(holdings.weights.values()) * holdings.value == pytest.approx(
            holdings.value
        )
        # Prices moved since the last decision, and a few fills were rejected.
        assert 0 <= sum(holdings.weights.values()) < 1


def test_a_fill_at_a_backfilled_price_is_rejected_and_cash_is_never_negative() -> None:
    prices = hourly({"a": [1] * 6, "b": [1] * 6})
    observed = np.array([True, False, True, True, True, True])
    series = dict(prices.series)
    series["a"] = from_prices(series["a"].times, series["a"].prices, observed)

    def halve(_moment: float, known: Mapping[str, int], _holdings: Holdings) -> dict[str, float]:
        return dict.fromkeys(known, 0.5)

    [a, b] = run_rebalancing(LoadedPrices(series, 0.0), halve, 3 * HOUR, COSTS, CASH)
    assert a.rejected_fills == 1
    cash = CASH
    trades = sorted(itertools.chain(a.trades, b.trades), key=lambda trade: trade.filled_at)
    for trade in trades:
        cash += trade.cash_usd
        assert cash >= 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return [1]", r"returned \[1\] at .* a dictionary"),
        ("return {'coin-9': 1}", "has no price: it knows coin-0"),
        ("return {'coin-0': 2}", "returned 2 for coin-0"),
        ("return {'coin-0': float('nan')}", "returned nan for coin-0"),
        ("return {'coin-0': True}", "returned True for coin-0"),
        ("return {'coin-0': 0.6, 'coin-1': 0.6}", "weights of 1.2 together"),
        ("return {'coin-0': histories['coin-0'].prices[10**6]}", "IndexError.*line 3"),
    ],
)
def test_an_invalid_answer_names_what_was_returned(body: str, message: str) -> None:
    strategy = own(f"\ndef weights(histories, portfolio):\n    {body}\n")
    series = market(2, 200)
    prices = LoadedPrices(series, float(series["coin-1"].times[0]))
    with pytest.raises(StrategyFailed, match=message):
        joint_trading.trade_jointly(strategy, prices, COSTS, CASH)


def test_weights_of_a_tenth_ten_times_are_not_more_than_all() -> None:
    strategy = own(
        "def weights(histories, portfolio):\n"
        "    return {coin: (0.1 + 0.2) / 3 * 10 / len(histories) for coin in histories}\n"
    )
    assert joint_trading.trade_jointly(strategy, LoadedPrices(market(3, 200), 0.0), COSTS, CASH)


@pytest.mark.parametrize("hours", [0, -1, "often"])
def test_the_time_between_decisions_is_a_number_of_hours(hours: float | str) -> None:
    text = "def weights(histories, portfolio, *, rebalance_hours=6):\n    return {}\n"
    with pytest.raises(ConfigurationError, match="rebalance_hours"):
        own(text, rebalance_hours=hours)


def test_an_honest_strategy_passes_with_its_warm_up() -> None:
    prices = LoadedPrices(market(3, 900, seed=2), 0.0)
    _, check = checked_run.trade_and_check(prices, own(MOMENTUM), COSTS, CASH)
    assert check.is_causal
    assert check.findings.cuts == 20
    assert check.findings.warm_up in range(20, 25)  # of 24: the oldest price seldom decides


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (
            "import sys\n\ndef weights(histories, portfolio):\n"
            "    frame = sys._getframe()\n"
            "    while frame:\n"
            "        prices = frame.f_locals.get('prices')\n"
            "        if hasattr(prices, 'series'):\n"
            "            ends = {c: s.prices[-1] / histories[c].prices[-1]\n"
            "                    for c, s in prices.series.items() if c in histories}\n"
            "            return {max(ends, key=ends.get): 1.0}\n"
            "        frame = frame.f_back\n"
            "    return {}\n",
            "look-ahead",
        ),
        (
            "import random\n\ndef weights(histories, portfolio):\n"
            "    return {coin: random.random() / len(histories) for coin in histories}\n",
            "not deterministic",
        ),
    ],
)
def test_a_strategy_that_peeks_or_guesses_is_found(text: str, outcome: str) -> None:
    prices = LoadedPrices(market(3, 900, seed=2), 0.0)
    _, check = checked_run.trade_and_check(prices, own(text), COSTS, CASH)
    assert check.outcome == outcome


def test_a_strategy_that_remembers_earlier_decisions_is_named() -> None:
    text = (
        "calls = []\n\ndef weights(histories, portfolio):\n    calls.append(1)\n"
        "    return {'coin-0': len(calls) / 1000}\n"
    )
    series = market(1, 900, seed=2)
    _, check = checked_run.trade_and_check(LoadedPrices(series, 0.0), own(text), COSTS, CASH)
    assert check.findings.keeps_state


def test_a_sweep_gives_weights_all_coins_however_it_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep_tasks, "MIN_SWEEP_WORK", 1)
    monkeypatch.setattr(sweep_tasks, "MIN_TASK_WORK", 1)
    candidates = [own(MOMENTUM, look=look) for look in (12, 24, 48)] + [strategies.load("hold")]
    sweep = planned(market(4, 600), candidates)

    def run(workers: int) -> str:
        tasks = sweep_tasks.plan_tasks(sweep, workers)
        return dumped(sweep, [sweep_tasks.run_task(task) for task in reversed(tasks)])

    assert run(1) == run(64)
    assert len(sweep_tasks.plan_tasks(sweep, 10**9)) > 1


def test_weights_depend_on_the_other_coins_of_a_sweep() -> None:
    prices, candidate = market(4, 600), own(MOMENTUM)
    [together] = solved(planned(prices, [candidate])).table
    [alone] = solved(planned({"coin-0": prices["coin-0"]}, [candidate])).table
    assert together.test_returns != alone.test_returns
