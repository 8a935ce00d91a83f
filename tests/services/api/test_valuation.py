"""Valuation of transactions: computed by hand, and missing data."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.api.portfolio.models import (
    ExchangeRate,
    Oversold,
    Portfolio,
    PriceQuote,
    Transaction,
    choose_kind,
)
from services.api.portfolio.valuation import ValuationPrices, ensure_not_oversold, value_portfolio
from tests.conftest import NOW

D = Decimal
DAY = timedelta(days=1)


def transaction(
    quantity: Any, price: Any, *, days: float, rate: Any = 16_000, fee: Any = 0, coin: str = "btc"
) -> Transaction:
    """Return a purchase, or a sale if the quantity is negative, made `days` ago."""
    at = NOW - timedelta(days=days)
    rated = None if rate is None else D(rate)
    return Transaction(
        made_at=at,
        kind=choose_kind(D(quantity)),
        coin_id=coin,
        quantity=D(quantity),
        price_usd=D(price),
        fee_usd=D(fee),
        idr_per_usd=rated,
    )


def value(
    own: list[Transaction],
    price: Any = 120,
    rate: Any = 17_000,
    price_before: Any = 110,
    rate_before: Any = 16_500,
) -> Portfolio:
    """Return the valuation of transactions of coins that all have the same price."""
    numbered = [dataclasses.replace(one, transaction_id=n) for n, one in enumerate(own)]
    coins = {one.coin_id for one in own}
    now = market(coins, price, rate, NOW)
    day_ago = market(coins, price_before, rate_before, NOW - DAY)
    return value_portfolio(numbered, now, day_ago, NOW - DAY)


def market(coins: set[str], price: Any, rate: Any, at: datetime) -> ValuationPrices:
    """Return a market in which all coins have the same price; None: unknown."""
    return ValuationPrices(
        {coin: PriceQuote(D(price), at) for coin in coins} if price is not None else {},
        ExchangeRate(D(rate), at) if rate is not None else None,
    )


def test_profit_in_rupiah_is_split_by_the_rate_of_the_purchase() -> None:
    portfolio = value([transaction(2, 100, days=30)])
    assert portfolio.net_worth_usd == 240
    assert portfolio.net_worth_idr == 240 * 17_000
    total = portfolio.total_profit
    assert total.usd == 40
    assert total.coin_move_idr == 2 * 20 * 16_000
    assert total.rupiah_move_idr == 240 * 1_000
    assert total.idr == 240 * 17_000 - 200 * 16_000


def test_the_days_profit_counts_from_the_price_and_rate_of_24_hours_ago() -> None:
    day = value([transaction(2, 100, days=30)]).day_profit
    assert day.usd == 20
    assert day.coin_move_idr == 2 * 10 * 16_500
    assert day.rupiah_move_idr == 240 * 500


def test_coins_bought_today_count_from_their_own_price() -> None:
    day = value(
        [transaction(2, 100, days=30), transaction(1, 118, days=0.2, rate=16_900)]
    ).day_profit
    assert day.usd == 20 + 2
    assert day.coin_move_idr == 20 * 16_500 + 2 * 16_900
    assert day.rupiah_move_idr == 240 * 500 + 120 * 100


def test_sold_coins_are_valued_at_the_price_and_rate_of_the_sale() -> None:
    own = [transaction(1, 100, days=30), transaction(-1, 150, days=10, rate=16_400)]
    portfolio = value(own, price=None, rate=None)
    assert portfolio.net_worth_usd == 0
    assert portfolio.total_profit.usd == portfolio.total_profit.realized_usd == 50
    assert portfolio.total_profit.unrealized_usd == 0
    assert portfolio.total_profit.coin_move_idr == 50 * 16_000
    assert portfolio.total_profit.rupiah_move_idr == 150 * 400
    assert portfolio.missing == ()


def test_fees_are_subtracted_from_the_profit() -> None:
    total = value([transaction(1, 100, days=30, fee=3)]).total_profit
    assert total.usd == 17
    assert total.fees_usd == 3
    assert total.fees_idr == 48_000
    assert total.idr == 20 * 16_000 + 120 * 1_000 - 48_000


def test_cost_basis_by_moving_average_and_by_first_in_first_out() -> None:
    own = [
        transaction(2, 100, days=30, fee=2),
        transaction(2, 200, days=20, fee=2),
        transaction(-3, 250, days=10, fee=5),
    ]
    [holding] = value(own).holdings
    assert holding.quantity == 1
    assert holding.average_cost.cost_usd == 151
    assert holding.average_cost.realized_usd == 745 - 453
    assert holding.fifo_cost.cost_usd == 201
    assert holding.fifo_cost.realized_usd == 745 - 403


def test_shares_are_parts_of_the_net_worth() -> None:
    own = [transaction(3, 1, days=3, coin="a"), transaction(1, 1, days=3, coin="b")]
    assert [holding.share for holding in value(own).holdings] == [D("0.75"), D("0.25")]


@pytest.mark.parametrize(
    ("known", "message", "unknown"),
    [
        ({"price": None}, "no price", ["value_usd", "value_idr"]),
        ({"rate": None}, "no rupiah rate", ["value_idr"]),
    ],
)
def test_a_missing_price_or_rate_is_named_and_never_taken_as_zero(
    known: dict[str, None], message: str, unknown: list[str]
) -> None:
    portfolio = value([transaction(2, 100, days=30)], **known)
    [holding] = portfolio.holdings
    assert message in holding.missing
    assert f"btc: {message}" in portfolio.missing
    assert all(getattr(holding, name) is None for name in unknown)
    assert holding.total_profit.idr is None


def test_an_unknown_rate_of_a_purchase_leaves_the_profit_in_usd() -> None:
    portfolio = value([transaction(2, 100, days=30, rate=None)])
    assert portfolio.total_profit.usd == 40
    assert portfolio.total_profit.idr is None
    assert portfolio.missing == ("btc: no rupiah rate on the date of 1 transaction",)
    assert portfolio.day_profit.idr is not None


def test_a_coin_without_a_price_is_named_and_left_out_of_the_sum() -> None:
    own = [transaction(1, 1, days=3, coin="a"), transaction(1, 1, days=3, coin="b")]
    portfolio = value_portfolio(
        own, market({"a"}, 5, 2, NOW), market(set(), None, None, NOW - DAY), NOW - DAY
    )
    assert portfolio.net_worth_usd == 5
    assert "b: no price" in portfolio.missing
    assert "a: no price from 24 hours ago" in portfolio.missing
    assert portfolio.day_profit.usd is None


def test_a_sale_of_more_than_is_held_at_its_time_is_rejected() -> None:
    ensure_not_oversold([transaction(-1, 5, days=1), transaction(1, 5, days=1)])
    with pytest.raises(Oversold, match=r"btc: the main wallet held only 1 at"):
        ensure_not_oversold(
            [transaction(1, 5, days=3), transaction(-2, 5, days=2), transaction(5, 5, days=1)]
        )
