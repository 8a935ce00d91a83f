"""A strategy on the past: what trades cost, what is refused, and that nobody sees ahead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.analytics.alerts import AlertRules, Tracker
from sentinel.backtesting import engine, metrics, portfolio, strategies
from sentinel.backtesting.engine import Outcome, Signals
from sentinel.backtesting.metrics import Curve
from sentinel.backtesting.portfolio import Costs, InvalidTrades, Portfolio, Trade
from sentinel.backtesting.price_series import Series, from_points
from sentinel.errors import ConfigurationError

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
QUARTER = 15 * MINUTE
START = 1_790_000_000.0 - 1_790_000_000.0 % DAY  # a UTC midnight
COSTS = Costs(Decimal(10), Decimal(5))
FREE = Costs(Decimal(0), Decimal(0))
CASH = Decimal(10_000)
FLOOR = {"floor": 0.05, "ceiling": 0.05}

# Wishes by the newest price alone, and by the mean of all that is known.
OWN = """
def decide(past, purse, *, low=0.99):
    mean = past.prices.mean()
    if past.prices[-1] < low * mean:
        return 0.5
    if past.prices[-1] > mean:
        return -0.7
"""
# Looks for what lies behind the end of what it was handed.
PEEKING = """
import numpy as np

def decide(past, purse):
    for column in past:
        whole = column if column.base is None else column.base
        if not np.isnan(whole[len(column):]).all():
            raise RuntimeError("the future is there")
    return 1 if purse.quantity == 0 else -1
"""


def prices(
    *values: float, every: float = QUARTER, backfilled: Sequence[int] = (), start: float = START
) -> Series:
    times = start + every * np.arange(len(values), dtype=np.float64)
    observed = np.ones(len(values), dtype=bool)
    observed[list(backfilled)] = False
    return Series(times, np.array(values, dtype=np.float64), observed)


def at_times(minutes: Sequence[float], values: Sequence[float] | None = None) -> Series:
    found = prices(*(values or [100.0] * len(minutes)))
    return Series(START + MINUTE * np.array(minutes), found.prices, found.observed)


def wishing(shares: Sequence[float]) -> Signals:
    """Wishes the share of each place there, whatever it holds."""
    places = range(len(shares))
    return Signals(places, places, lambda place, _purse: shares[place])


def run(
    series: Series, name: str, costs: Costs = COSTS, cash: Decimal = CASH, **parameters: float
) -> Outcome:
    return engine.run(series, strategies.choose(name, parameters).signals(series), costs, cash)


def sides(outcome: Outcome) -> list[tuple[str, float]]:
    """Each trade with its minute."""
    return [(trade.side, (trade.at - START) / MINUTE) for trade in outcome.trades]


# --- what a trade costs ----------------------------------------------------------------------


def test_a_purchase_and_a_sale_by_hand() -> None:
    # 10,000 USD at 100: 10 of fee (0.1 %), 9,990 / 100.05 coins. Sold at 120 less 0.05 %: 119.94.
    found = engine.run(prices(90, 100, 110, 120, 130), wishing([1, 0, -1, 0, 0]), COSTS, CASH)
    bought, sold = found.trades
    coins = Decimal(9_990) / Decimal("100.05")
    assert bought == Trade(
        START + QUARTER, "buy", Decimal("100.05"), coins, Decimal(-10_000), Decimal(10)
    )
    gross = coins * Decimal("119.94")
    fee = gross / 1000
    assert (sold.side, sold.at, sold.price) == ("sell", START + 3 * QUARTER, Decimal("119.94"))
    assert sold.quantity == -coins
    assert float(sold.cash) == pytest.approx(float(gross - fee), rel=1e-15)
    assert float(sold.cash) == pytest.approx(9990 / 100.05 * 119.94 * 0.999, rel=1e-15)
    assert float(found.fees) == pytest.approx(10 + 9990 / 100.05 * 119.94 / 1000, rel=1e-15)
    assert found.final == sold.cash
    assert found.gains == [sold.cash - 10_000]


def test_half_of_the_cash_then_half_of_the_coins_by_hand() -> None:
    costs = Costs(Decimal(100), Decimal(0))  # one per cent
    found = engine.run(prices(1, 2, 4, 8), wishing([0.5, -0.5, 0, 0]), costs, Decimal(1000))
    # 500 USD buy 495 / 2 = 247.5 coins; 123.75 of them sell at 4: 495 less 4.95 = 490.05.
    # At the end 123.75 coins at 8: 990 less 9.90 = 980.10.
    assert [(t.side, t.quantity, t.cash, t.fee) for t in found.trades] == [
        ("buy", Decimal("247.5"), Decimal(-500), Decimal(5)),
        ("sell", Decimal("-123.75"), Decimal("490.05"), Decimal("4.95")),
        ("close", Decimal("-123.75"), Decimal("980.10"), Decimal("9.90")),
    ]
    assert found.final == Decimal("1970.15")  # 500 + 490.05 + 980.10
    assert found.fees == Decimal("19.85")
    assert found.gains == [Decimal("240.05"), Decimal("730.10")]  # each less 250, half the cost
    assert found.equity.tolist() == [1000, 500 + 247.5 * 2, 990.05 + 123.75 * 4, 1970.15]
    assert found.held.tolist() == [0, 495 / 995, 495 / (990.05 + 495), 0]


@pytest.mark.parametrize(("fee", "slippage"), [(10, 5), (0, 0), (25, 100), (5000, 5000)])
@pytest.mark.parametrize("values", [(7, 8, 10), (3, 125, 12, 50), (1, 64, 3)])
def test_buy_and_hold_is_the_ratio_of_prices_less_two_fees_and_slippage(
    fee: int, slippage: int, values: tuple[float, ...]
) -> None:
    f, s = Decimal(fee) / 10_000, Decimal(slippage) / 10_000
    found = run(prices(*values), "hold", Costs(Decimal(fee), Decimal(slippage)))
    with localcontext(prec=60):
        ratio = Decimal(str(values[-1])) / Decimal(str(values[1]))
        expected = CASH * (1 - f) ** 2 * (1 - s) / (1 + s) * ratio
        assert abs(found.final - expected) < Decimal("1e-20")
    assert [trade.side for trade in found.trades] == ["buy", "close"]


def test_buy_and_hold_that_divides_evenly_is_exact() -> None:
    # (1 - 0.01)^2 * (1 - 0.25) / (1 + 0.25) * 20 / 16 = 0.9801 * 0.6 * 1.25 = 0.735075
    found = run(prices(99, 16, 20), "hold", Costs(Decimal(100), Decimal(2500)))
    assert found.final == Decimal("7350.75")


def test_what_is_worth_less_than_a_cent_is_not_traded() -> None:
    assert Portfolio(Decimal("0.0099")).order(1, 0.0, 1.0, COSTS) is None
    assert Portfolio(Decimal("0.01")).order(1, 0.0, 1.0, COSTS) is not None
    assert Portfolio(Decimal(1), Decimal("0.0099")).order(-1, 0.0, 1.0, COSTS) is None
    assert Portfolio(Decimal(1), Decimal(5)).order(0, 0.0, 1.0, COSTS) is None


@pytest.mark.parametrize(
    ("cash", "quantity", "trade"),
    [
        (100, 0, Trade(0, "buy", Decimal(1), Decimal(101), Decimal("-100.01"), Decimal(0))),
        (100, 5, Trade(0, "sell", Decimal(1), Decimal("-5.01"), Decimal(5), Decimal(0))),
    ],
)
def test_a_purse_refuses_to_hold_less_than_nothing_and_stays_as_it_was(
    cash: int, quantity: int, trade: Trade
) -> None:
    purse = Portfolio(Decimal(cash), Decimal(quantity), Decimal(3))
    with pytest.raises(InvalidTrades, match="is more than the"):
        purse.apply(trade)
    assert purse == Portfolio(Decimal(cash), Decimal(quantity), Decimal(3))
    with pytest.raises(InvalidTrades):
        portfolio.replay(Decimal(cash), [trade])


# --- which orders are filled -----------------------------------------------------------------


def test_a_wish_is_filled_at_the_next_observation_and_its_price() -> None:
    found = engine.run(prices(1, 2, 4, 8, 16), wishing([0, 1, 0, -1, 0]), FREE, CASH)
    assert [(t.at, t.price) for t in found.trades] == [
        (START + 2 * QUARTER, Decimal(4)),
        (START + 4 * QUARTER, Decimal(16)),
    ]


def test_what_is_wished_at_the_last_observation_comes_too_late() -> None:
    found = engine.run(prices(1, 2, 4), wishing([0, 0, 1]), FREE, CASH)
    assert (found.trades, found.refused, found.final) == ([], 0, CASH)


def test_a_backfilled_next_price_is_refused_and_counted_and_tried_again() -> None:
    found = run(prices(1, 2, 4, 8, 16, backfilled=[1, 2]), "hold")
    # Decided at 0 and refused; 1 and 2 were not there to decide at; decided at 3, filled at 4.
    assert found.refused == 1
    assert sides(found) == [("buy", 60), ("close", 60)]


def test_nothing_is_decided_at_a_backfilled_point() -> None:
    found = engine.run(prices(1, 2, 4, 8, backfilled=[1]), wishing([0, 1, 0, 0]), COSTS, CASH)
    assert (found.trades, found.refused) == ([], 0)


def test_everything_is_sold_at_the_last_observed_price_not_at_a_backfilled_one() -> None:
    found = run(prices(1, 2, 4, 99, backfilled=[3]), "hold", FREE)
    assert found.final == CASH * 2
    assert found.equity.tolist() == [10_000, 10_000, 20_000, 20_000]


@pytest.mark.parametrize(
    ("every", "pause", "is_filled"),
    [
        *((15, 45, True), (15, 46, False), (5, 30, True), (5, 31, False)),
        *((60, 180, True), (60, 181, False), (1440, 4320, True), (1440, 4321, False)),
    ],
)
def test_a_price_that_comes_late_is_refused(every: float, pause: float, is_filled: bool) -> None:
    regular = [every * n for n in range(10)]
    end = regular[-1] + pause
    series = at_times([*regular, end, end + every, end + 2 * every])
    found = engine.run(series, wishing([*[0] * 9, 1, 0, 0, 0]), COSTS, CASH)
    assert (len(found.trades), found.refused) == ((2, 0) if is_filled else (0, 1))


def test_after_a_late_price_the_strategy_tries_again() -> None:
    series = at_times([0, 15, 30, 45, 105, 165, 225, 240])
    found = engine.run(series, wishing([0, 0, 0, 1, 1, 1, 1, 0]), COSTS, CASH)
    assert found.refused == 3  # of 60 minutes each, where 15 are usual
    assert sides(found) == [("buy", 240), ("close", 240)]


def test_the_usual_pause_is_that_of_before_and_not_of_after() -> None:
    slow, quick = [600.0 * n for n in range(5)], [2400 + 5.0 * n for n in range(1, 200)]
    assert engine.is_fillable(at_times([*slow, *quick]), 2)
    assert not engine.is_fillable(at_times([*quick, 3600, 4200]), len(quick) - 1)


def test_prices_that_are_all_backfilled_trade_nothing() -> None:
    found = run(prices(1, 2, 4, backfilled=[0, 1, 2]), "hold")
    assert (found.final, found.trades, found.equity.tolist()) == (CASH, [], [10_000] * 3)


# --- the strategies --------------------------------------------------------------------------


def test_dca_spends_equal_parts() -> None:
    hourly = prices(*[100 + n for n in range(12)], every=HOUR)
    found = run(hourly, "dca", hours=2, parts=4)
    assert sides(found) == [*(("buy", 60 + 120 * n) for n in range(4)), ("close", 660)]
    assert [float(t.cash) for t in found.trades[:4]] == pytest.approx([-2500] * 4, rel=1e-12)
    assert found.trades[3].cash + sum(t.cash for t in found.trades[:3]) == -CASH


def test_dca_catches_up_on_parts_that_were_refused() -> None:
    values = [100.0] * 12
    found = run(prices(*values, every=HOUR, backfilled=[3, 5]), "dca", hours=2, parts=4)
    assert found.refused == 2  # decided at 2 and 4, and nothing was observed behind them
    assert sides(found)[:2] == [("buy", 60), ("buy", 420)]
    assert [float(t.cash) for t in found.trades[:2]] == pytest.approx([-2500, -7500], rel=1e-12)


def test_sma_cross_is_in_while_the_fast_mean_is_above_the_slow_one() -> None:
    series = prices(8, 8, 8, 8, 12, 12, 12, 4, 4, 4, 4)
    fast = [8, 8, 8, 8, 10, 12, 12, 8, 4, 4, 4]
    slow = [0, 0, 0, 8, 9, 10, 11, 10, 8, 6, 4]
    expected = [0, 0, 0, *(np.sign(f - s) for f, s in zip(fast[3:], slow[3:], strict=True))]
    signal = strategies.choose("sma-cross", {"fast": 2, "slow": 4}).signal(series)
    assert signal is not None
    assert signal.tolist() == expected == [0, 0, 0, 0, 1, 1, 1, -1, -1, -1, 0]
    assert sides(run(series, "sma-cross", fast=2, slow=4)) == [("buy", 75), ("sell", 120)]


@pytest.mark.parametrize("price", [0.1, 1.001, 0.9998, 3.3])
def test_sma_cross_does_nothing_on_a_price_that_stands_still(price: float) -> None:
    assert run(prices(*[price] * 3000), "sma-cross").trades == []


def test_sma_cross_sees_means_of_a_coin_that_has_lost_nearly_everything() -> None:
    after = [1e-9 * (1 + 0.5 * math.sin(n / 9)) for n in range(300)]
    alone = strategies.choose("sma-cross").signal(prices(*after))
    fallen = strategies.choose("sma-cross").signal(prices(*[1e9] * 50, *after))
    assert alone is not None
    assert fallen is not None
    assert fallen[-200:].tolist() == alone[-200:].tolist()


def _walk(seed: int, points: int, deviation: float) -> list[float]:
    dice = np.random.default_rng(seed)
    return [float(p) for p in 100 * np.exp(dice.normal(0, deviation, points).cumsum())]


def _said(series: Series) -> list[tuple[float, str]]:
    rules = AlertRules(
        1.5, timedelta(hours=24), timedelta(hours=24), timedelta(hours=72), 0.05, 0.05
    )
    tracker = Tracker()
    return [
        (at, alert.kind)
        for at, price, is_observed in zip(
            series.times.tolist(), series.prices.tolist(), series.observed.tolist(), strict=True
        )
        if is_observed
        for alert in tracker.observe(at, price, rules)
    ]


def test_dip_buys_where_the_reversal_tracker_speaks_and_sells_hours_later() -> None:
    series = prices(*_walk(5, 400, 0.02), backfilled=[20, 21, 200])
    turns = [at for at, kind in _said(series) if kind == "reversal"]
    assert len(turns) > 5
    signal = strategies.choose("dip", {"hours": 3, **FLOOR}).signal(series)
    assert signal is not None
    for at, wish in zip(series.times.tolist(), signal.tolist(), strict=True):
        is_in = any(turn <= at < turn + 3 * HOUR for turn in turns)
        assert wish == (1 if is_in else -1)


def test_trailing_stop_is_out_from_a_panic_to_the_next_reversal() -> None:
    series = prices(*_walk(6, 400, 0.02), backfilled=[50, 51])
    said = dict(_said(series))
    assert set(said.values()) == {"panic", "reversal"}
    signal = strategies.choose("trailing-stop", FLOOR).signal(series)
    assert signal is not None
    is_out = False
    for at, wish in zip(series.times.tolist(), signal.tolist(), strict=True):
        is_out = {"panic": True, "reversal": False}.get(said.get(at, ""), is_out)
        assert wish == (-1 if is_out else 1)


def test_forecast_trades_on_a_dense_trend_and_stays_out_of_a_falling_one() -> None:
    dice = np.random.default_rng(7)
    drift = np.where(np.arange(400) < 200, 0.002, -0.002)
    values = 100 * np.exp((drift + dice.normal(0, 0.0001, 400)).cumsum())
    found = run(prices(*values.tolist(), every=5 * MINUTE), "forecast")
    bought, sold = found.trades
    assert (bought.side, sold.side) == ("buy", "sell")
    assert bought.at < START + 100 * 5 * MINUTE
    assert START + 200 * 5 * MINUTE < sold.at < START + 220 * 5 * MINUTE
    assert found.final > CASH


@pytest.mark.parametrize(("every", "minutes"), [(15, 60), (8, 60), (30, 200)])
def test_forecast_stays_out_on_thin_data(every: float, minutes: float) -> None:
    values = (100 * np.exp(0.002 * np.arange(400))).tolist()
    assert run(prices(*values, every=every * MINUTE), "forecast", minutes=minutes).trades == []


def test_a_whole_default_of_a_persons_own_strategy_stays_a_whole_number() -> None:
    source = "def decide(past, purse, *, window=3):\n    return past.prices[-window:].size / 10\n"
    series = prices(1, 2, 4, 8, 16)
    signals = strategies.own("my.py", source).signals(series)
    assert signals.decide(4, Portfolio(CASH)) == 0.3


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "'buy'",
            "float('nan')",
            "2",
            "-1.01",
            "True",
            "[1]",
            "float('inf')",
            "past.prices",
            "1j",
        ),
        *("__import__('numpy').complex128(0.5)", "__import__('numpy').bool_(True)"),
    ],
)
def test_what_is_no_share_is_refused_in_one_line(answer: str) -> None:
    source = f"def decide(past, purse):\n    return {answer}\n"
    with pytest.raises(
        ConfigurationError, match=r"The strategy my\.py (returned|failed)"
    ) as caught:
        strategies.own("my.py", source).signals(prices(1, 2)).decide(0, Portfolio(CASH))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("answer", ["None", "0", "0.25", "-1", "__import__('numpy').float32(0.5)"])
def test_a_share_or_none_is_taken(answer: str) -> None:
    source = f"def decide(past, purse):\n    return {answer}\n"
    signals = strategies.own("my.py", source).signals(prices(1, 2))
    assert signals.decide(0, Portfolio(CASH)) in (0, 0.25, -1, 0.5)


def test_a_strategy_cannot_spend_what_it_does_not_have_by_writing_into_the_purse() -> None:
    source = (
        "def decide(past, purse):\n    purse.cash *= 2\n    purse.quantity += 1\n    return 0.5\n"
    )
    series = prices(1, 1, 1, 1)
    own = strategies.own("my.py", source)
    found = engine.run(series, own.signals(series), FREE, CASH)
    assert [t.cash for t in found.trades[:3]] == [-5000, -2500, -1250]
    assert found.final == CASH


def test_what_a_strategy_remembers_is_forgotten_when_it_begins_anew() -> None:
    """Else a second run, of a sweep's next fold, would know what comes from the first."""
    source = "seen = []\ndef decide(past, purse):\n    seen.append(1)\n    return len(seen) / 100\n"
    series = prices(1, 1, 1, 1, 1)
    own = strategies.own("my.py", source)
    first, second = (engine.run(series, own.signals(series), FREE, CASH) for _ in range(2))
    assert first.trades == second.trades


# --- nobody sees ahead -----------------------------------------------------------------------

NAMES: dict[str, dict[str, float]] = {
    "hold": {},
    "dca": {"hours": 2, "parts": 5},
    "sma-cross": {"fast": 2, "slow": 5},
    "dip": {"hours": 1, **FLOOR},
    "trailing-stop": FLOOR,
    "forecast": {"minutes": 60},
    "own": {},
}


def _strategy(name: str) -> strategies.Strategy:
    return strategies.own("my.py", OWN) if name == "own" else strategies.choose(name, NAMES[name])


def _random_series(seed: int, points: int) -> Series:
    """Steps of 5 minutes, now and then of 1 or 60; one point in 25 was backfilled."""
    dice = np.random.default_rng(seed)
    pauses = dice.choice([5, 1, 60], points, p=[0.98, 0.01, 0.01]) * MINUTE
    drift = np.repeat(dice.choice([-0.003, 0, 0.003], points // 60 + 1), 60)[:points]
    values = 100 * np.exp((drift + dice.normal(0, dice.choice([0.0005, 0.03]), points)).cumsum())
    return Series(START + pauses.cumsum(), values, dice.random(points) > 0.04)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**32), other=st.integers(0, 2**32), data=st.data())
@settings(max_examples=25, deadline=None)
def test_other_prices_tomorrow_change_nothing_today(
    name: str, seed: int, other: int, data: st.DataObject
) -> None:
    known = _random_series(seed, 200)
    cut = data.draw(st.integers(1, 199), label="cut")
    ahead = _random_series(other, data.draw(st.integers(1, 120), label="points ahead"))
    shift = known.times[cut] - START
    planted = Series(
        np.concatenate((known.times[: cut + 1], ahead.times + shift)),
        np.concatenate((known.prices[: cut + 1], ahead.prices)),
        np.concatenate((known.observed[: cut + 1], ahead.observed)),
    )
    moment = float(known.times[cut])
    strategy = _strategy(name)
    there, elsewhere = (
        [
            trade
            for trade in engine.run(series, strategy.signals(series), COSTS, CASH).trades
            if trade.at <= moment and trade.side != "close"
        ]
        for series in (known, planted)
    )
    assert there == elsewhere
    signals = [strategy.signal(series) for series in (known, planted)]
    if signals[0] is not None and signals[1] is not None:
        assert signals[0][: cut + 1].tolist() == signals[1][: cut + 1].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_series_of_these_properties_do_trade(name: str) -> None:
    def count(seed: int) -> int:
        series = _random_series(seed, 200)
        return len(engine.run(series, _strategy(name).signals(series), COSTS, CASH).trades)

    assert sum(map(count, range(20))) >= 20


def test_a_strategy_that_goes_looking_for_the_future_finds_none() -> None:
    series = prices(*range(1, 50))
    found = engine.run(series, strategies.own("peek.py", PEEKING).signals(series), COSTS, CASH)
    assert len(found.trades) > 20


def test_a_strategy_cannot_write_into_the_past() -> None:
    source = "def decide(past, purse):\n    past.prices[0] = 1.0\n"
    with pytest.raises(ConfigurationError, match="read-only"):
        strategies.own("my.py", source).signals(prices(1, 2)).decide(0, Portfolio(CASH))


# --- what holds whatever is wished -----------------------------------------------------------


@given(
    st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=30),
    st.lists(st.floats(-1, 1), min_size=30, max_size=30),
    st.decimals("0.01", "1e9", places=2),
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.sets(st.integers(0, 29)),
)
@settings(deadline=None)
def test_no_purse_is_ever_below_nothing_and_the_curve_ends_at_what_is_left(
    values: list[float],
    shares: list[float],
    cash: Decimal,
    fee: int,
    slippage: int,
    backfilled: set[int],
) -> None:
    series = prices(*values, backfilled=[n for n in backfilled if n < len(values)])
    costs = Costs(Decimal(fee), Decimal(slippage))
    found = engine.run(series, wishing(shares[: len(values)]), costs, cash)
    purse = Portfolio(cash)
    for trade in found.trades:
        purse.apply(trade)
        assert purse.cash >= 0
        assert purse.quantity >= 0
        assert trade.fee >= 0
    assert purse.cash == found.final
    assert found.equity[-1] == pytest.approx(float(found.final))
    assert (found.equity >= 0).all()
    assert (found.held >= 0).all()
    assert (found.held <= 1 + 1e-12).all()
    assert sum(found.gains, Decimal(0)) == pytest.approx(found.final - cash + purse.spent)
    judged = metrics.measure_outcomes([found])
    assert 0 <= judged.max_drawdown <= 1
    assert 0 <= judged.exposure <= 1 + 1e-12


# --- what it came to -------------------------------------------------------------------------


def test_ratios_of_daily_returns_by_hand() -> None:
    returns = np.array([0.02, -0.01, 0.03, 0.0])
    # Mean 0.01; squares of the differences 1, 4, 4, 1 e-4: their sum over 3 is 10/3 e-4.
    assert metrics.sharpe(returns) == pytest.approx(0.01 / math.sqrt(10e-4 / 3) * math.sqrt(365))
    # Downside: 1e-4 over four days, so 0.005.
    assert metrics.sortino(returns) == pytest.approx(0.01 / 0.005 * math.sqrt(365))
    assert metrics.sharpe(returns[:1]) is None
    assert metrics.sharpe(np.zeros(5)) is None
    assert metrics.sortino(np.array([0.01, 0.02])) is None


@pytest.mark.parametrize("value", [0.01, 0.003, -0.1])
def test_returns_that_never_vary_have_no_sharpe(value: float) -> None:
    assert metrics.sharpe(np.full(20, value)) is None


@pytest.mark.parametrize(
    ("equity", "expected"),
    [([1, 2, 3], 0), ([100, 120, 60, 90, 130, 117], 0.5), ([5, 0], 1), ([], 0), ([0, 0], 0)],
)
def test_the_drawdown_is_the_deepest_fall_from_a_high(equity: list[float], expected: float) -> None:
    assert metrics.max_drawdown(np.array(equity, dtype=np.float64)) == expected


def test_daily_returns_go_from_the_end_of_a_utc_day_to_that_of_the_next() -> None:
    hours = np.array([6, 23, 24, 47.9, 50, 71])
    equity = np.array([100.0, 110, 999, 99, 0.5, 198])
    curve = Curve(START + hours * HOUR, equity, np.zeros(6))
    # Days end at 110 (23:00), 99 (23:54) and 198; the first began with 100.
    assert metrics.daily_returns(curve, 100.0) == pytest.approx([0.1, -0.1, 1.0])


def test_days_without_a_price_are_days_without_a_return() -> None:
    """Prices of a week's distance are no days: sqrt(365) would make sqrt(7) too much of them."""
    worth = np.array([100.0, 102, 101, 104, 103, 107])
    curve = Curve(START + np.arange(6.0) * 7 * DAY, worth, np.zeros(6))
    filled = np.repeat(worth, 7)[:36]
    daily = Curve(START + np.arange(36.0) * DAY, filled, np.zeros(36))
    expected = metrics.sharpe(metrics.daily_returns(daily, 100.0))
    assert metrics.sharpe(metrics.daily_returns(curve, 100.0)) == pytest.approx(expected)


def _judged(trades: int, gains: Sequence[int] = (5, -3, 2, 0)) -> metrics.Performance:
    days = np.arange(731.0)
    equity = 100 * 1.21 ** (days / 730)
    return metrics.compute_metrics(
        Curve(START + days * DAY, equity, np.where(days < 365, 1.0, 0.5)),
        initial=Decimal(100),
        final=Decimal(121),
        fees=Decimal(1),
        trades=trades,
        refused=0,
        gains=[Decimal(gain) for gain in gains],
    )


def test_growth_of_a_year_exposure_and_win_rate_by_hand() -> None:
    found = _judged(10)
    assert found.cagr == pytest.approx(0.1)  # 1.21 in two years
    assert found.exposure == pytest.approx(0.75)  # half the time all of it, half the time half
    assert found.win_rate == 0.5  # two of four sales gained
    assert found.total_return == pytest.approx(0.21)
    assert found.profit == 21
    assert found.sharpe is not None


def test_below_ten_trades_nothing_is_said_that_would_be_luck() -> None:
    found = _judged(9)
    assert [found.cagr, found.sharpe, found.sortino, found.win_rate] == [None] * 4
    assert found.max_drawdown == 0
    assert found.exposure == pytest.approx(0.75)
    assert found.total_return == pytest.approx(0.21)


def test_the_drawdown_counts_from_the_cash_at_the_beginning() -> None:
    found = metrics.measure_outcomes(
        [run(prices(100, 100), "hold", Costs(Decimal(1000), Decimal(0)))]
    )
    assert found.max_drawdown == pytest.approx(1 - 0.9 * 0.9)


def test_curves_of_coins_add_up_over_all_their_times() -> None:
    one = run(prices(1, 2, 4, every=HOUR), "hold", FREE, Decimal(100))
    other = run(prices(1, 1, 1, every=HOUR, start=START + 1.5 * HOUR), "hold", FREE, Decimal(50))
    found = metrics.curve([one, other])
    assert ((found.times - START) / HOUR).tolist() == [0, 1, 1.5, 2, 2.5, 3.5]
    assert found.equity.tolist() == [150, 150, 150, 250, 250, 250]
    assert found.held.tolist() == pytest.approx([0, 100 / 150, 100 / 150, 0, 50 / 250, 0])
    together = metrics.measure_outcomes([one, other])
    assert (float(together.initial), float(together.final), together.trades) == (150, 250, 4)


DATACLASS = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Memory:
    seen: int = 0

def decide(past, purse):
    return 1 if Memory().seen == 0 else 0
"""


def test_a_persons_own_file_may_hold_what_any_module_may() -> None:
    assert strategies.own("mine.py", DATACLASS).parameters == {}


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "GeneratorExit", "SystemExit(3)"])
def test_whatever_a_persons_own_strategy_raises_is_its_own_failure(error: str) -> None:
    strategy = strategies.own("mine.py", f"def decide(past, purse):\n    raise {error}\n")
    series = from_points([(0.0, 1.0), (900.0, 1.0), (1800.0, 1.0)])
    with pytest.raises(ConfigurationError, match=r"mine\.py failed at"):
        engine.run(series, strategy.signals(series), Costs(), Decimal(100))
