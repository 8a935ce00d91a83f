"""The check for look-ahead: strategies that peek are caught, honest ones pass."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sentinel.backtesting import causality, checked_run, engine, signal_cuts, strategies
from sentinel.backtesting.causality import CausalityCheck
from sentinel.backtesting.lookahead import Findings
from sentinel.backtesting.order_rules import OrderRules
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import Floats, LoadedPrices, PriceSeries, from_prices
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.strategy_source import StrategySource
from sentinel.errors import ConfigurationError
from tests.support.sweeps import PEEK_THROUGH_FRAMES

DAY, QUARTER = 86_400.0, 900.0
START = 1_790_000_000.0 - 1_790_000_000.0 % DAY
COSTS, CASH = Costs(Decimal(10), Decimal(5)), Decimal(10_000)
ComputeSignal = Callable[[Floats], Floats]


def market(points: int = 1_500, seed: int = 1, volatility: float = 0.01) -> PriceSeries:
    """Return prices with gaps and backfilled points."""
    dice = np.random.default_rng(seed)
    pauses = np.where(dice.random(points) < 0.01, 40 * QUARTER, QUARTER)
    prices = 100 * np.exp(dice.normal(0, volatility, points).cumsum())
    return from_prices(START + pauses.cumsum(), prices, dice.random(points) > 0.02)


def constant(points: int = 1_500) -> PriceSeries:
    return from_prices(START + QUARTER * np.arange(points, dtype=float), np.full(points, 0.1))


def check_function(compute: ComputeSignal, *series: PriceSeries) -> Findings:
    """Check a function from prices to a signal."""

    def compute_signal(own: PriceSeries) -> Floats:
        return compute(own.prices)

    coins = {f"coin-{n}": own for n, own in enumerate(series or (market(),))}
    signals = {coin_id: compute_signal(own) for coin_id, own in coins.items()}
    return signal_cuts.check_signals(compute_signal, coins, signals, np.random.default_rng(1))


def check_strategy(strategy: Strategy, *series: PriceSeries, warm_up: int = 0) -> CausalityCheck:
    coins = {f"coin-{n}": own for n, own in enumerate(series or (market(),))}
    prices = LoadedPrices(coins, float(coins["coin-0"].times[warm_up]))
    return checked_run.trade_and_check(prices, strategy, COSTS, CASH)[1]


def check_source(source: str, name: str = "own.py") -> CausalityCheck:
    return check_strategy(strategies.load_source(StrategySource(name, source)))


def rolling_mean(prices: Floats, window: int) -> Floats:
    means = np.full(len(prices), np.nan)
    if window <= len(prices):
        means[window - 1 :] = np.convolve(prices, np.full(window, 1 / window), "valid")
    return means


def ema(prices: Floats, span: float) -> Floats:
    found = prices.copy()
    for n in range(1, len(prices)):
        found[n] = found[n - 1] + 2 / (span + 1) * (prices[n] - found[n - 1])
    return found


# --- strategies that peek --------------------------------------------------------------------


def peek_next(prices: Floats) -> Floats:
    return np.append(np.sign(np.diff(prices)), 0.0)


def peek_far(prices: Floats) -> Floats:
    return np.asarray(np.sign(np.roll(prices, -50) - prices))


def score_by_whole_mean(prices: Floats) -> Floats:
    return np.asarray(np.clip(-(prices - prices.mean()) / (prices.std() + 1e-12) / 4, -1, 1))


def scale_by_whole_range(prices: Floats) -> Floats:
    return np.where(prices < np.quantile(prices, 0.2), 1.0, -1.0)


def centered_mean(prices: Floats) -> Floats:
    return np.sign(np.convolve(prices, np.full(9, 1 / 9))[4:-4] - prices)


def fill_warm_up_backwards(prices: Floats) -> Floats:
    mean = rolling_mean(prices, 48)
    known = mean[np.isfinite(mean)]
    return np.sign(prices - np.nan_to_num(mean, nan=known[0] if len(known) else 0.0))


def fill_warm_up_with_whole_mean(prices: Floats) -> Floats:
    return np.sign(prices - np.nan_to_num(rolling_mean(prices, 48), nan=prices.mean()))


def cross_one_price_early(prices: Floats) -> Floats:
    crossing = np.sign(np.nan_to_num(rolling_mean(prices, 12) - rolling_mean(prices, 48)))
    return np.append(crossing[1:], crossing[-1])


def peek_after_rare_moves(prices: Floats) -> Floats:
    returns = np.diff(np.log(prices), prepend=np.log(prices[0]))
    is_rare = np.abs(returns) > 2.5 * 0.01
    return np.where(is_rare, np.sign(np.append(prices[1:], prices[-1]) - prices), 0.0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "peeking",
    [
        cross_one_price_early,
        peek_after_rare_moves,
        peek_next,
        peek_far,
        score_by_whole_mean,
        scale_by_whole_range,
        centered_mean,
        fill_warm_up_backwards,
        fill_warm_up_with_whole_mean,
    ],
)
def test_a_signal_from_later_prices_is_caught(peeking: ComputeSignal, seed: int) -> None:
    for coins in ([market(seed=seed)], [market(300 + n, seed + n) for n in range(30)]):
        found = check_function(peeking, *coins)
        assert found.difference
        assert found.is_deterministic


# Keeps the highest prices that it ever saw in a file, and sells there the next time.
PEEK_THROUGH_A_FILE = """
import pathlib

FILE = pathlib.Path({path!r})

def decide(history, portfolio):
    known = dict(line.split() for line in FILE.read_text().splitlines()) if FILE.exists() else {{}}
    now = repr(float(history.times[-1]))
    later = [float(price) for at, price in known.items() if float(at) > float(now)]
    if now not in known:
        with FILE.open("a") as file:
            file.write(f"{{now}} {{float(history.prices[-1])!r}}\\n")
    if not later:
        return 1 if len(history.prices) % 2 else -1
    return 1 if later[0] > history.prices[-1] else -1
"""


@pytest.mark.parametrize(
    "signals",
    [
        "np.append(np.sign(np.diff(history.prices)), 0.0)",
        "np.where(history.prices < history.prices.mean(), 1.0, -1.0)",
        "np.sign(history.prices - history.prices[:48].mean())",
    ],
    ids=["a future price", "a statistic over the whole series", "a warm-up that leaks"],
)
def test_signals_in_a_file_that_peek_are_caught(signals: str) -> None:
    source = f"import numpy as np\n\ndef signals(history):\n    return {signals}\n"
    found = check_source(source)
    assert found.outcome == "look-ahead"
    assert found.describe().startswith("LOOK-AHEAD: on coin-0 at 2026-09-2")


def test_a_decision_through_the_frames_of_its_callers_is_caught() -> None:
    found = check_source(PEEK_THROUGH_FRAMES)
    assert found.outcome == "look-ahead"
    assert "but without the later prices it does nothing" in found.describe()


def test_a_decision_from_a_file_that_the_run_wrote_is_caught(tmp_path: Path) -> None:
    source = PEEK_THROUGH_A_FILE.format(path=str(tmp_path / "seen"))
    own = strategies.load_source(StrategySource("own.py", source))
    assert check_strategy(own, market(200)).outcome == "look-ahead"


def test_a_difference_says_where_it_is_and_what_the_strategy_wanted() -> None:
    # The whole series is 1 to 5; without the last price the highest one is 4.
    series = from_prices(START + DAY * np.arange(5.0), np.arange(1.0, 6.0))
    found = check_function(lambda prices: np.where(prices == prices.max(), -1.0, 0.25), series)
    assert found.difference
    assert found.difference.describe() == (
        "on coin-0 at 2026-09-22 00:00 UTC it buys with 0.25 of the cash, but without the later "
        "prices it sells all coins"
    )


# --- honest strategies -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hold", "dca", "sma-cross", "dip", "trailing-stop"])
@pytest.mark.parametrize(
    "series", [market(), market(40, 3), market(2_500, 4, 0.05), constant(300)], ids=len
)
def test_built_in_strategies_pass(name: str, series: PriceSeries) -> None:
    found = check_strategy(strategies.load(name), series)
    assert found.is_causal, found.describe()
    assert found.findings.cuts > 0


@pytest.mark.slow  # imports scikit-learn
def test_the_forecast_passes() -> None:
    assert check_strategy(strategies.load("forecast", {"minutes": 180})).is_causal


@pytest.mark.parametrize("slow", [20, 200])
def test_the_warm_up_of_an_average_is_its_window(slow: int) -> None:
    sma = strategies.load("sma-cross", {"fast": 5, "slow": slow})
    for points in (600, 1_500):
        assert check_strategy(sma, market(points), warm_up=96).findings.warm_up == slow


def test_a_short_warm_up_is_said() -> None:
    sma = strategies.load("sma-cross", {"fast": 5, "slow": 200})
    assert check_strategy(sma, warm_up=95).describe() == (
        "20 cuts: no look-ahead; needs 200 prices of warm-up, had 96 at its start: its decisions "
        "at the first 104 prices are not comparable"
    )
    assert (
        check_strategy(sma, warm_up=199).describe()
        == "20 cuts: no look-ahead; needs 200 prices of warm-up"
    )


def test_a_recursive_average_passes_with_a_warm_up() -> None:
    found = check_function(lambda prices: np.sign(ema(prices, 12) - ema(prices, 48)))
    assert not found.difference
    assert found.warm_up
    assert 20 < found.warm_up < 600


def test_a_signal_from_the_first_price_depends_on_the_whole_history() -> None:
    found = check_function(lambda prices: np.clip(prices / prices[0] - 1, -1, 1))
    assert (found.difference, found.warm_up) == (None, None)


def test_protective_exits_around_a_strategy_raise_no_alarm() -> None:
    own = strategies.load_source(
        StrategySource(
            "own.py",
            "def decide(history, portfolio):\n"
            "    return 1 if history.prices[-1] > history.prices[-9:].mean() else 0\n",
        )
    )
    for strategy in (own, strategies.load("dca"), strategies.load("sma-cross")):
        ruled = strategies.with_rules(strategy, OrderRules(stop_loss=0.02, trailing_stop=0.03))
        assert check_strategy(ruled).is_causal


def test_a_decision_needs_the_prices_that_it_reads() -> None:
    found = check_source(
        "def decide(history, portfolio):\n"
        "    if len(history.prices) < 60: return 0\n"
        "    return 1 if history.prices[-1] < history.prices[-60] else -1\n"
    )
    assert found.is_causal
    assert found.findings.warm_up == 60


def test_a_signal_that_fails_on_few_prices_needs_them_as_warm_up() -> None:
    def fail_on_few(prices: Floats) -> Floats:
        if len(prices) < 150:
            raise ConfigurationError("too few prices")
        return np.sign(np.diff(prices, prepend=0.0))

    found = check_function(fail_on_few)
    assert found.difference is None
    assert found.warm_up
    assert 100 < found.warm_up <= 150


def test_a_strategy_that_remembers_earlier_calls_does_not_look_ahead() -> None:
    found = check_source(
        "calls = []\n"
        "def decide(history, portfolio):\n"
        "    calls.append(1)\n"
        "    return 1 if len(calls) % 10 < 5 else -1\n"
    )
    assert found.is_causal
    assert "a wallet, which loads it anew at each step, trades differently" in found.describe()


@pytest.mark.parametrize("share", ["0.5 * random.random()", "random.choice([1, -1])"])
def test_a_random_strategy_is_called_not_deterministic(share: str) -> None:
    found = check_source(f"import random\ndef decide(history, portfolio):\n    return {share}\n")
    assert found.outcome == "not deterministic"
    assert "the strategy is not deterministic" in found.describe()


def test_a_random_signal_is_called_not_deterministic() -> None:
    dice = np.random.default_rng()
    found = check_function(lambda prices: dice.uniform(-1, 1, len(prices)))
    assert not found.is_deterministic


def test_the_same_run_has_the_same_cuts() -> None:
    sma = strategies.load("sma-cross")
    assert check_strategy(sma).to_json() == check_strategy(sma).to_json()


def spectral_mean(prices: Floats, window: int) -> Floats:
    """Return a rolling mean with rounding errors that depend on all prices."""
    size = len(prices) + window
    spectrum = np.fft.rfft(prices, size) * np.fft.rfft(np.full(window, 1 / window), size)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(prices)])


@settings(max_examples=25, deadline=None)
@given(
    mean=st.sampled_from([rolling_mean, spectral_mean, ema]),
    window=st.integers(2, 60),
    lag=st.integers(0, 5),
    threshold=st.sampled_from([0.0, 0.0, 1e-3]),
    points=st.integers(2, 900),
    volatility=st.sampled_from([0.0, 1e-9, 0.01, 0.5]),
    seed=st.integers(0, 99),
)
def test_a_causal_signal_never_raises_a_false_alarm(
    mean: Callable[[Floats, int], Floats],
    window: int,
    lag: int,
    threshold: float,
    points: int,
    volatility: float,
    seed: int,
) -> None:
    # Prices of 16 orders of magnitude: the later ones really decide about the early means.
    assume(mean is not spectral_mean or volatility < 0.5)

    def compute(prices: Floats) -> Floats:
        earlier = np.concatenate([prices[:1].repeat(lag), prices])[: len(prices)]
        with np.errstate(divide="ignore"):  # a spectral mean may be 0
            ratio = np.nan_to_num(earlier / mean(prices, window), nan=1.0)
        return np.where(ratio > 1 + threshold, 1.0, np.where(ratio < 1 - threshold, -1.0, 0.0))

    found = check_function(compute, market(points, seed, volatility))
    assert found.difference is None
    assert found.is_deterministic


# --- a delay of one price --------------------------------------------------------------------


def test_orders_one_price_later_have_the_return_of_the_later_prices() -> None:
    # Bought at 20 instead of 10, sold at 40 instead of 30: a half of the cash.
    series = from_prices(START + DAY * np.arange(6.0), np.array([5.0, 10, 20, 30, 40, 50]))
    result = engine.run_backtest(
        series,
        engine.Signals([0], [2], lambda index, _portfolio: 0.5 if index == 0 else -1.0),
        Costs(Decimal(0), Decimal(0)),
        CASH,
    )
    assert result.final_usd == 20_000
    found = causality.check_causality(
        strategies.load("hold"),
        LoadedPrices({"a": series}, START),
        [result],
        Costs(Decimal(0), Decimal(0)),
        {"a": np.ones(6)},
    )
    assert (found.total_return, found.delayed_return) == (1.0, 0.5)
    assert found.describe_delay() == (
        "With all orders one price later, the return is +50.0% instead of +100.0%."
    )
