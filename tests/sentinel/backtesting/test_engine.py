"""Backtests: the costs of trades, rejected fills, and no strategy sees future prices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.analytics.alerts import AlertRules, Tracker
from sentinel.backtesting import engine, metrics, portfolio, strategies
from sentinel.backtesting.engine import BacktestResult, Signals
from sentinel.backtesting.portfolio import Costs, InvalidTrades, Portfolio, Trade
from sentinel.backtesting.price_series import PriceSeries, from_points, from_prices
from sentinel.backtesting.strategy_source import StrategySource
from sentinel.errors import ConfigurationError

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
QUARTER = 15 * MINUTE
START = 1_790_000_000.0 - 1_790_000_000.0 % DAY  # a UTC midnight
COSTS = Costs(Decimal(10), Decimal(5))
FREE = Costs(Decimal(0), Decimal(0))
CASH = Decimal(10_000)
THRESHOLDS = {"min_threshold": 0.05, "max_threshold": 0.05}

# Decides by the newest price and by the mean of all known prices.
OWN = """
def decide(history, portfolio, *, low=0.99):
    mean = history.prices.mean()
    if history.prices[-1] < low * mean:
        return 0.5
    if history.prices[-1] > mean:
        return -0.7
"""
# Looks for prices behind the end of its arrays.
PEEKING = """
import numpy as np

def decide(history, portfolio):
    for column in (history.times, history.prices, history.volumes, history.market_caps):
        whole = column if column.base is None else column.base
        if not np.isnan(whole[..., len(column):]).all():
            raise RuntimeError("the future is there")
    return 1 if portfolio.quantity == 0 else -1
"""


def prices(
    *values: float, every: float = QUARTER, backfilled: Sequence[int] = (), start: float = START
) -> PriceSeries:
    times = start + every * np.arange(len(values), dtype=np.float64)
    observed = np.ones(len(values), dtype=bool)
    observed[list(backfilled)] = False
    return from_prices(times, np.array(values, dtype=np.float64), observed)


def at_times(minutes: Sequence[float], values: Sequence[float] | None = None) -> PriceSeries:
    found = prices(*(values or [100.0] * len(minutes)))
    return from_prices(START + MINUTE * np.array(minutes), found.prices, found.is_observed)


def signals_of(shares: Sequence[float]) -> Signals:
    """Return signals that order these shares, one at each index, whatever the portfolio holds."""
    places = range(len(shares))
    return Signals(places, places, lambda place, _portfolio: shares[place])


def run(
    series: PriceSeries, name: str, costs: Costs = COSTS, cash: Decimal = CASH, **parameters: float
) -> BacktestResult:
    return engine.run_backtest(
        series, strategies.load(name, parameters).build_signals(series), costs, cash
    )


def sides(outcome: BacktestResult) -> list[tuple[str, float]]:
    """Return (side, minutes since START) of each trade."""
    return [(trade.side, (trade.filled_at - START) / MINUTE) for trade in outcome.trades]


# --- what a trade costs ----------------------------------------------------------------------


def test_a_purchase_and_a_sale_match_a_calculation_by_hand() -> None:
    # 10,000 USD at 100: 10 of fee (0.1 %), 9,990 / 100.05 coins. Sold at 120 less 0.05 %: 119.94.
    found = engine.run_backtest(
        prices(90, 100, 110, 120, 130), signals_of([1, 0, -1, 0, 0]), COSTS, CASH
    )
    bought, sold = found.trades
    coins = Decimal(9_990) / Decimal("100.05")
    assert bought == Trade(
        START + QUARTER, "buy", Decimal("100.05"), coins, Decimal(-10_000), Decimal(10)
    )
    gross = coins * Decimal("119.94")
    fee = gross / 1000
    assert (sold.side, sold.filled_at, sold.price_usd) == (
        "sell",
        START + 3 * QUARTER,
        Decimal("119.94"),
    )
    assert sold.quantity == -coins
    assert float(sold.cash_usd) == pytest.approx(float(gross - fee), rel=1e-15)
    assert float(sold.cash_usd) == pytest.approx(9990 / 100.05 * 119.94 * 0.999, rel=1e-15)
    assert float(found.fees_usd) == pytest.approx(10 + 9990 / 100.05 * 119.94 / 1000, rel=1e-15)
    assert found.final_usd == sold.cash_usd
    assert found.realized_gains == [sold.cash_usd - 10_000]


def test_partial_orders_match_a_calculation_by_hand() -> None:
    costs = Costs(Decimal(100), Decimal(0))  # one per cent
    found = engine.run_backtest(
        prices(1, 2, 4, 8), signals_of([0.5, -0.5, 0, 0]), costs, Decimal(1000)
    )
    # 500 USD buy 495 / 2 = 247.5 coins; 123.75 of them sell at 4: 495 less 4.95 = 490.05.
    # At the end 123.75 coins at 8: 990 less 9.90 = 980.10.
    assert [(t.side, t.quantity, t.cash_usd, t.fee_usd) for t in found.trades] == [
        ("buy", Decimal("247.5"), Decimal(-500), Decimal(5)),
        ("sell", Decimal("-123.75"), Decimal("490.05"), Decimal("4.95")),
        ("close", Decimal("-123.75"), Decimal("980.10"), Decimal("9.90")),
    ]
    assert found.final_usd == Decimal("1970.15")  # 500 + 490.05 + 980.10
    assert found.fees_usd == Decimal("19.85")
    assert found.realized_gains == [
        Decimal("240.05"),
        Decimal("730.10"),
    ]  # each less 250, half the cost
    assert found.equity.tolist() == [1000, 500 + 247.5 * 2, 990.05 + 123.75 * 4, 1970.15]
    assert found.exposure.tolist() == [0, 495 / 995, 495 / (990.05 + 495), 0]


@pytest.mark.parametrize(("fee", "slippage"), [(10, 5), (0, 0), (25, 100), (5000, 5000)])
@pytest.mark.parametrize("values", [(7, 8, 10), (3, 125, 12, 50), (1, 64, 3)])
def test_buy_and_hold_returns_the_price_ratio_less_fees_and_slippage(
    fee: int, slippage: int, values: tuple[float, ...]
) -> None:
    f, s = Decimal(fee) / 10_000, Decimal(slippage) / 10_000
    found = run(prices(*values), "hold", Costs(Decimal(fee), Decimal(slippage)))
    with localcontext(prec=60):
        ratio = Decimal(str(values[-1])) / Decimal(str(values[1]))
        expected = CASH * (1 - f) ** 2 * (1 - s) / (1 + s) * ratio
        assert abs(found.final_usd - expected) < Decimal("1e-20")
    assert [trade.side for trade in found.trades] == ["buy", "close"]


def test_buy_and_hold_is_exact_if_the_figures_divide_evenly() -> None:
    # (1 - 0.01)^2 * (1 - 0.25) / (1 + 0.25) * 20 / 16 = 0.9801 * 0.6 * 1.25 = 0.735075
    found = run(prices(99, 16, 20), "hold", Costs(Decimal(100), Decimal(2500)))
    assert found.final_usd == Decimal("7350.75")


def test_orders_below_one_cent_are_not_executed() -> None:
    assert Portfolio(Decimal("0.0099")).simulate_fill(1, 0.0, 1.0, COSTS) is None
    assert Portfolio(Decimal("0.01")).simulate_fill(1, 0.0, 1.0, COSTS) is not None
    assert Portfolio(Decimal(1), Decimal("0.0099")).simulate_fill(-1, 0.0, 1.0, COSTS) is None
    assert Portfolio(Decimal(1), Decimal(5)).simulate_fill(0, 0.0, 1.0, COSTS) is None


@pytest.mark.parametrize(
    ("cash", "quantity", "trade"),
    [
        (100, 0, Trade(0, "buy", Decimal(1), Decimal(101), Decimal("-100.01"), Decimal(0))),
        (100, 5, Trade(0, "sell", Decimal(1), Decimal("-5.01"), Decimal(5), Decimal(0))),
    ],
)
def test_a_portfolio_rejects_a_trade_that_would_make_it_negative_and_does_not_change(
    cash: int, quantity: int, trade: Trade
) -> None:
    account = Portfolio(Decimal(cash), Decimal(quantity), Decimal(3))
    with pytest.raises(InvalidTrades, match="is more than the"):
        account.apply(trade)
    assert account == Portfolio(Decimal(cash), Decimal(quantity), Decimal(3))
    with pytest.raises(InvalidTrades):
        portfolio.build_portfolio(Decimal(cash), [trade])


# --- fills and rejected fills ------------------------------------------------------------------


def test_an_order_is_filled_at_the_next_observed_price() -> None:
    found = engine.run_backtest(prices(1, 2, 4, 8, 16), signals_of([0, 1, 0, -1, 0]), FREE, CASH)
    assert [(t.filled_at, t.price_usd) for t in found.trades] == [
        (START + 2 * QUARTER, Decimal(4)),
        (START + 4 * QUARTER, Decimal(16)),
    ]


def test_an_order_at_the_last_observation_is_never_filled() -> None:
    found = engine.run_backtest(prices(1, 2, 4), signals_of([0, 0, 1]), FREE, CASH)
    assert (found.trades, found.rejected_fills, found.final_usd) == ([], 0, CASH)


def test_a_fill_at_a_backfilled_price_is_rejected_counted_and_ordered_again() -> None:
    found = run(prices(1, 2, 4, 8, 16, backfilled=[1, 2]), "hold")
    # Ordered at 0 and rejected. No decision at 1 and 2, which are backfilled. Ordered at 3, filled
    # at 4.
    assert found.rejected_fills == 1
    assert sides(found) == [("buy", 60), ("close", 60)]


def test_the_strategy_does_not_decide_at_a_backfilled_point() -> None:
    found = engine.run_backtest(
        prices(1, 2, 4, 8, backfilled=[1]), signals_of([0, 1, 0, 0]), COSTS, CASH
    )
    assert (found.trades, found.rejected_fills) == ([], 0)


def test_the_closing_sale_uses_the_last_observed_price() -> None:
    found = run(prices(1, 2, 4, 99, backfilled=[3]), "hold", FREE)
    assert found.final_usd == CASH * 2
    assert found.equity.tolist() == [10_000, 10_000, 20_000, 20_000]


@pytest.mark.parametrize(
    ("every", "pause", "is_filled"),
    [
        *((15, 45, True), (15, 46, False), (5, 30, True), (5, 31, False)),
        *((60, 180, True), (60, 181, False), (1440, 4320, True), (1440, 4321, False)),
    ],
)
def test_a_fill_at_a_late_price_is_rejected(every: float, pause: float, is_filled: bool) -> None:
    regular = [every * n for n in range(10)]
    end = regular[-1] + pause
    series = at_times([*regular, end, end + every, end + 2 * every])
    found = engine.run_backtest(series, signals_of([*[0] * 9, 1, 0, 0, 0]), COSTS, CASH)
    assert (len(found.trades), found.rejected_fills) == ((2, 0) if is_filled else (0, 1))


def test_the_strategy_orders_again_after_a_late_price() -> None:
    series = at_times([0, 15, 30, 45, 105, 165, 225, 240])
    found = engine.run_backtest(series, signals_of([0, 0, 0, 1, 1, 1, 1, 0]), COSTS, CASH)
    assert found.rejected_fills == 3  # of 60 minutes each, where 15 are usual
    assert sides(found) == [("buy", 240), ("close", 240)]


def test_the_usual_pause_is_measured_before_the_order() -> None:
    slow, quick = [600.0 * n for n in range(5)], [2400 + 5.0 * n for n in range(1, 200)]
    assert engine.is_fillable(at_times([*slow, *quick]), 2)
    assert not engine.is_fillable(at_times([*quick, 3600, 4200]), len(quick) - 1)


def test_backfilled_prices_alone_make_no_trade() -> None:
    found = run(prices(1, 2, 4, backfilled=[0, 1, 2]), "hold")
    assert (found.final_usd, found.trades, found.equity.tolist()) == (CASH, [], [10_000] * 3)


# --- the strategies --------------------------------------------------------------------------


def test_dca_spends_equal_parts() -> None:
    hourly = prices(*[100 + n for n in range(12)], every=HOUR)
    found = run(hourly, "dca", hours=2, parts=4)
    assert sides(found) == [*(("buy", 60 + 120 * n) for n in range(4)), ("close", 660)]
    assert [float(t.cash_usd) for t in found.trades[:4]] == pytest.approx([-2500] * 4, rel=1e-12)
    assert found.trades[3].cash_usd + sum(t.cash_usd for t in found.trades[:3]) == -CASH


def test_dca_catches_up_on_rejected_parts() -> None:
    values = [100.0] * 12
    found = run(prices(*values, every=HOUR, backfilled=[3, 5]), "dca", hours=2, parts=4)
    assert found.rejected_fills == 2  # decided at 2 and 4, and the next prices were backfilled
    assert sides(found)[:2] == [("buy", 60), ("buy", 420)]
    assert [float(t.cash_usd) for t in found.trades[:2]] == pytest.approx([-2500, -7500], rel=1e-12)


def test_sma_cross_holds_while_the_fast_mean_is_above_the_slow_one() -> None:
    series = prices(8, 8, 8, 8, 12, 12, 12, 4, 4, 4, 4)
    fast = [8, 8, 8, 8, 10, 12, 12, 8, 4, 4, 4]
    slow = [0, 0, 0, 8, 9, 10, 11, 10, 8, 6, 4]
    expected = [0, 0, 0, *(np.sign(f - s) for f, s in zip(fast[3:], slow[3:], strict=True))]
    signal = strategies.load("sma-cross", {"fast": 2, "slow": 4}).compute_signal(series)
    assert signal is not None
    assert signal.tolist() == expected == [0, 0, 0, 0, 1, 1, 1, -1, -1, -1, 0]
    assert sides(run(series, "sma-cross", fast=2, slow=4)) == [("buy", 75), ("sell", 120)]


@pytest.mark.parametrize("price", [0.1, 1.001, 0.9998, 3.3])
def test_sma_cross_does_not_trade_a_constant_price(price: float) -> None:
    assert run(prices(*[price] * 3000), "sma-cross").trades == []


def test_sma_cross_means_stay_precise_after_a_crash() -> None:
    after = [1e-9 * (1 + 0.5 * math.sin(n / 9)) for n in range(300)]
    alone = strategies.load("sma-cross").compute_signal(prices(*after))
    fallen = strategies.load("sma-cross").compute_signal(prices(*[1e9] * 50, *after))
    assert alone is not None
    assert fallen is not None
    assert fallen[-200:].tolist() == alone[-200:].tolist()


def _walk(seed: int, points: int, deviation: float) -> list[float]:
    dice = np.random.default_rng(seed)
    return [float(p) for p in 100 * np.exp(dice.normal(0, deviation, points).cumsum())]


def _alerts_of(series: PriceSeries) -> list[tuple[float, str]]:
    rules = AlertRules(
        1.5, timedelta(hours=24), timedelta(hours=24), timedelta(hours=72), 0.05, 0.05
    )
    tracker = Tracker()
    return [
        (at, alert.kind)
        for at, price, is_observed in zip(
            series.times.tolist(), series.prices.tolist(), series.is_observed.tolist(), strict=True
        )
        if is_observed
        for alert in tracker.observe(at, price, rules)
    ]


def test_dip_buys_at_a_reversal_alert_and_sells_hours_later() -> None:
    series = prices(*_walk(5, 400, 0.02), backfilled=[20, 21, 200])
    turns = [at for at, kind in _alerts_of(series) if kind == "reversal"]
    assert len(turns) > 5
    signal = strategies.load("dip", {"hours": 3, **THRESHOLDS}).compute_signal(series)
    assert signal is not None
    for at, value in zip(series.times.tolist(), signal.tolist(), strict=True):
        is_in = any(turn <= at < turn + 3 * HOUR for turn in turns)
        assert value == (1 if is_in else -1)


def test_trailing_stop_sells_at_a_panic_alert_and_buys_at_the_next_reversal() -> None:
    series = prices(*_walk(6, 400, 0.02), backfilled=[50, 51])
    kinds = dict(_alerts_of(series))
    assert set(kinds.values()) == {"panic", "reversal"}
    signal = strategies.load("trailing-stop", THRESHOLDS).compute_signal(series)
    assert signal is not None
    is_out = False
    for at, value in zip(series.times.tolist(), signal.tolist(), strict=True):
        is_out = {"panic": True, "reversal": False}.get(kinds.get(at, ""), is_out)
        assert value == (-1 if is_out else 1)


def test_forecast_buys_a_dense_rising_trend_and_sells_a_falling_one() -> None:
    dice = np.random.default_rng(7)
    drift = np.where(np.arange(400) < 200, 0.002, -0.002)
    values = 100 * np.exp((drift + dice.normal(0, 0.0001, 400)).cumsum())
    found = run(prices(*values.tolist(), every=5 * MINUTE), "forecast")
    bought, sold = found.trades
    assert (bought.side, sold.side) == ("buy", "sell")
    assert bought.filled_at < START + 100 * 5 * MINUTE
    assert START + 200 * 5 * MINUTE < sold.filled_at < START + 220 * 5 * MINUTE
    assert found.final_usd > CASH


@pytest.mark.parametrize(("every", "minutes"), [(15, 60), (8, 60), (30, 200)])
def test_forecast_does_not_trade_on_sparse_prices(every: float, minutes: float) -> None:
    values = (100 * np.exp(0.002 * np.arange(400))).tolist()
    assert run(prices(*values, every=every * MINUTE), "forecast", minutes=minutes).trades == []


def test_an_integer_parameter_of_a_user_strategy_stays_an_integer() -> None:
    source = (
        "def decide(history, portfolio, *, window=3):\n"
        "    return history.prices[-window:].size / 10\n"
    )
    series = prices(1, 2, 4, 8, 16)
    signals = strategies.load_source(StrategySource("my.py", source)).build_signals(series)
    assert signals.decide(4, Portfolio(CASH)) == 0.3


@pytest.mark.parametrize(
    "share",
    [
        *(
            "'buy'",
            "float('nan')",
            "2",
            "-1.01",
            "True",
            "[1]",
            "float('inf')",
            "history.prices",
            "1j",
        ),
        *("__import__('numpy').complex128(0.5)", "__import__('numpy').bool_(True)"),
    ],
)
def test_an_invalid_share_is_an_error_of_one_line(share: str) -> None:
    source = f"def decide(history, portfolio):\n    return {share}\n"
    with pytest.raises(
        ConfigurationError, match=r"The strategy my\.py (returned|failed)"
    ) as caught:
        strategies.load_source(StrategySource("my.py", source)).build_signals(prices(1, 2)).decide(
            0, Portfolio(CASH)
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", ["None", "0", "0.25", "-1", "__import__('numpy').float32(0.5)"])
def test_a_share_or_none_is_accepted(share: str) -> None:
    source = f"def decide(history, portfolio):\n    return {share}\n"
    signals = strategies.load_source(StrategySource("my.py", source)).build_signals(prices(1, 2))
    assert signals.decide(0, Portfolio(CASH)) in (0, 0.25, -1, 0.5)


def test_the_globals_of_a_strategy_are_new_in_each_run() -> None:
    """Otherwise the run of a sweep's next fold would know its future from the run before."""
    source = (
        "seen = []\n"
        "def decide(history, portfolio):\n    seen.append(1)\n    return len(seen) / 100\n"
    )
    series = prices(1, 1, 1, 1, 1)
    own = strategies.load_source(StrategySource("my.py", source))
    first, second = (
        engine.run_backtest(series, own.build_signals(series), FREE, CASH) for _ in range(2)
    )
    assert first.trades == second.trades


# --- no strategy sees the future ---------------------------------------------------------------

NAMES: dict[str, dict[str, float]] = {
    "hold": {},
    "dca": {"hours": 2, "parts": 5},
    "sma-cross": {"fast": 2, "slow": 5},
    "dip": {"hours": 1, **THRESHOLDS},
    "trailing-stop": THRESHOLDS,
    "forecast": {"minutes": 60},
    "own": {},
    "own-signals": {},
}
SIGNALS = """
import numpy as np

def signals(history, *, rise=1.01):
    changes = history.prices[1:] / history.prices[:-1]
    return [0, *np.where(changes > rise, 0.5, np.where(changes < 1 / rise, -1, np.nan))]
"""
OWN_FILES = {"own": OWN, "own-signals": SIGNALS}


def _strategy(name: str) -> strategies.Strategy:
    return (
        strategies.load_source(StrategySource("my.py", OWN_FILES[name]))
        if name in OWN_FILES
        else strategies.load(name, NAMES[name])
    )


def _random_series(seed: int, points: int) -> PriceSeries:
    """Return a series of 5-minute steps, sometimes 1 or 60; 1 point in 25 is backfilled."""
    dice = np.random.default_rng(seed)
    pauses = dice.choice([5, 1, 60], points, p=[0.98, 0.01, 0.01]) * MINUTE
    drift = np.repeat(dice.choice([-0.003, 0, 0.003], points // 60 + 1), 60)[:points]
    values = 100 * np.exp((drift + dice.normal(0, dice.choice([0.0005, 0.03]), points)).cumsum())
    return from_prices(START + pauses.cumsum(), values, dice.random(points) > 0.04)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**32), other=st.integers(0, 2**32), data=st.data())
def test_later_prices_do_not_change_earlier_trades(
    name: str, seed: int, other: int, data: st.DataObject
) -> None:
    known = _random_series(seed, 200)
    cut = data.draw(st.integers(1, 199), label="cut")
    ahead = _random_series(other, data.draw(st.integers(1, 120), label="points ahead"))
    shift = known.times[cut] - START
    planted = from_prices(
        np.concatenate((known.times[: cut + 1], ahead.times + shift)),
        np.concatenate((known.prices[: cut + 1], ahead.prices)),
        np.concatenate((known.is_observed[: cut + 1], ahead.is_observed)),
    )
    moment = float(known.times[cut])
    strategy = _strategy(name)
    there, elsewhere = (
        [
            trade
            for trade in engine.run_backtest(
                series, strategy.build_signals(series), COSTS, CASH
            ).trades
            if trade.filled_at <= moment and trade.side != "close"
        ]
        for series in (known, planted)
    )
    assert there == elsewhere
    signals = [strategy.compute_signal(series) for series in (known, planted)]
    if signals[0] is not None and signals[1] is not None:
        assert signals[0][: cut + 1].tolist() == signals[1][: cut + 1].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_random_series_lead_to_trades(name: str) -> None:
    def count(seed: int) -> int:
        series = _random_series(seed, 200)
        return len(
            engine.run_backtest(series, _strategy(name).build_signals(series), COSTS, CASH).trades
        )

    assert sum(map(count, range(20))) >= 20


def test_a_strategy_finds_no_future_prices_in_its_arrays() -> None:
    series = prices(*range(1, 50))
    found = engine.run_backtest(
        series,
        strategies.load_source(StrategySource("peek.py", PEEKING)).build_signals(series),
        COSTS,
        CASH,
    )
    assert len(found.trades) > 20


def test_a_strategy_cannot_change_the_price_history() -> None:
    source = "def decide(history, portfolio):\n    history.prices[0] = 1.0\n"
    with pytest.raises(ConfigurationError, match="read-only"):
        strategies.load_source(StrategySource("my.py", source)).build_signals(prices(1, 2)).decide(
            0, Portfolio(CASH)
        )


# --- properties of any strategy ----------------------------------------------------------------


@given(
    st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=30),
    st.lists(st.floats(-1, 1), min_size=30, max_size=30),
    st.decimals("0.01", "1e9", places=2),
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.sets(st.integers(0, 29)),
)
def test_no_balance_falls_below_zero_and_the_curve_ends_at_the_final_value(
    values: list[float],
    shares: list[float],
    cash: Decimal,
    fee: int,
    slippage: int,
    backfilled: set[int],
) -> None:
    series = prices(*values, backfilled=[n for n in backfilled if n < len(values)])
    costs = Costs(Decimal(fee), Decimal(slippage))
    found = engine.run_backtest(series, signals_of(shares[: len(values)]), costs, cash)
    account = Portfolio(cash)
    for trade in found.trades:
        account.apply(trade)
        assert account.cash >= 0
        assert account.quantity >= 0
        assert trade.fee_usd >= 0
    assert account.cash == found.final_usd
    assert found.equity[-1] == pytest.approx(float(found.final_usd))
    assert (found.equity >= 0).all()
    assert (found.exposure >= 0).all()
    assert (found.exposure <= 1 + 1e-12).all()
    assert sum(found.realized_gains, Decimal(0)) == pytest.approx(
        found.final_usd - cash + account.cost_basis
    )
    measured = metrics.compute_metrics(found, [])
    assert 0 <= measured.max_drawdown <= 1
    assert 0 <= measured.exposure <= 1 + 1e-12


DATACLASS = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Memory:
    seen: int = 0

def decide(history, portfolio):
    return 1 if Memory().seen == 0 else 0
"""


def test_a_strategy_file_may_define_dataclasses() -> None:
    assert strategies.load_source(StrategySource("mine.py", DATACLASS)).parameters == {}


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "GeneratorExit", "SystemExit(3)"])
def test_any_exception_of_a_user_strategy_is_a_configuration_error(error: str) -> None:
    strategy = strategies.load_source(
        StrategySource("mine.py", f"def decide(history, portfolio):\n    raise {error}\n")
    )
    series = from_points([(0.0, 1.0), (900.0, 1.0), (1800.0, 1.0)])
    with pytest.raises(ConfigurationError, match=r"mine\.py failed at"):
        engine.run_backtest(series, strategy.build_signals(series), Costs(), Decimal(100))
