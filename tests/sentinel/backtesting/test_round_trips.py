"""Round trips: which trades belong together, and what they gained."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sentinel.backtesting import engine
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.round_trips import build_round_trips, select_closed
from tests.sentinel.backtesting.test_engine import CASH, FREE, QUARTER, START, prices, signals_of


def test_purchases_and_sales_of_one_position_are_one_round_trip() -> None:
    series = prices(1, 10, 20, 40, 20, 30)
    found = engine.run_backtest(series, signals_of([0.5, 1, -0.5, -1, 0, 0]), FREE, Decimal(1000))
    [trip] = build_round_trips("bitcoin", found.trades)
    # 50 coins at 10 and 25 at 20; half of them sold at 40, half at 20.
    assert [trip.quantity, trip.cost_usd, trip.proceeds_usd] == [75, 1000, 2250]
    assert trip.entry_price_usd == pytest.approx(Decimal(1000) / 75)
    assert trip.exit_price_usd == 30
    assert trip.gain_usd == 1250
    assert trip.growth == 2.25
    assert (trip.entered_at, trip.seconds_held) == (START + QUARTER, 3 * QUARTER)


def test_a_position_that_is_held_at_the_end_is_an_open_round_trip() -> None:
    found = engine.run_backtest(prices(1, 1, 2, 2, 3), signals_of([1, -1, 1, 0, 0]), Costs(), CASH)
    trips = build_round_trips("bitcoin", found.trades)
    assert [trip.is_open for trip in trips] == [False, True]
    assert select_closed(trips) == trips[:1]
    assert trips[0].fees_usd == sum(trade.fee_usd for trade in found.trades[:2])
    assert sum(trip.gain_usd for trip in trips) == pytest.approx(found.final_usd - CASH)


def test_trades_that_never_buy_make_no_round_trip() -> None:
    assert build_round_trips("bitcoin", []) == []
