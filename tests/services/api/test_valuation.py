"""What transactions come to: by hand, by brute force, and with what is missing said."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.valuation import (
    ZERO,
    Oversold,
    Portfolio,
    Quote,
    Rate,
    Transaction,
    check,
    evaluate,
)
from tests.conftest import NOW

D = Decimal
DAY = timedelta(days=1)


def bought(
    quantity: Any, price: Any, *, days: float, rate: Any = 16_000, fee: Any = 0, coin: str = "btc"
) -> Transaction:
    """A purchase (or sale) so many days ago."""
    at = NOW - timedelta(days=days)
    rated = None if rate is None else D(rate)
    return Transaction(0, at, coin, D(quantity), D(price), D(fee), rated)


def valued(
    own: list[Transaction],
    price: Any = 120,
    rate: Any = 17_000,
    price_before: Any = 110,
    rate_before: Any = 16_500,
) -> Portfolio:
    numbered = [one._replace(transaction_id=n) for n, one in enumerate(own)]
    coins = {one.coin_id for one in own}
    quotes, before = (
        {coin: Quote(D(value), at) for coin in coins} if value is not None else {}
        for value, at in ((price, NOW), (price_before, NOW - DAY))
    )
    return evaluate(
        numbered,
        quotes,
        Rate(D(rate), NOW) if rate is not None else None,
        before,
        Rate(D(rate_before), NOW - DAY) if rate_before is not None else None,
        NOW - DAY,
    )


def test_profit_in_rupiah_is_split_by_the_rate_of_the_purchase() -> None:
    found = valued([bought(2, 100, days=30)])
    assert found.net_worth_usd == 240
    assert found.net_worth_idr == 240 * 17_000
    total = found.total
    assert total.usd == 40
    assert total.coin_move_idr == 2 * 20 * 16_000
    assert total.rupiah_move_idr == 240 * 1_000
    assert total.idr == 240 * 17_000 - 200 * 16_000


def test_the_last_day_counts_from_the_price_and_rate_of_24_hours_ago() -> None:
    day = valued([bought(2, 100, days=30)]).day
    assert day.usd == 20
    assert day.coin_move_idr == 2 * 10 * 16_500
    assert day.rupiah_move_idr == 240 * 500


def test_what_was_bought_today_counts_from_its_own_price() -> None:
    day = valued([bought(2, 100, days=30), bought(1, 118, days=0.2, rate=16_900)]).day
    assert day.usd == 20 + 2
    assert day.coin_move_idr == 20 * 16_500 + 2 * 16_900
    assert day.rupiah_move_idr == 240 * 500 + 120 * 100


def test_what_was_sold_stands_at_the_sales_price_and_rate() -> None:
    own = [bought(1, 100, days=30), bought(-1, 150, days=10, rate=16_400)]
    found = valued(own, price=None, rate=None)
    assert found.net_worth_usd == 0
    assert found.total.usd == 50
    assert found.total.coin_move_idr == 50 * 16_000
    assert found.total.rupiah_move_idr == 150 * 400
    assert found.missing == ()


def test_fees_are_paid_from_the_profit() -> None:
    total = valued([bought(1, 100, days=30, fee=3)]).total
    assert total.usd == 17
    assert total.fees_usd == 3
    assert total.fees_idr == 48_000
    assert total.idr == 20 * 16_000 + 120 * 1_000 - 48_000


def test_cost_basis_by_average_and_first_in_first_out() -> None:
    own = [
        bought(2, 100, days=30, fee=2),
        bought(2, 200, days=20, fee=2),
        bought(-3, 250, days=10, fee=5),
    ]
    [holding] = valued(own).holdings
    assert holding.quantity == 1
    assert holding.average.cost_usd == 151
    assert holding.average.realised_usd == 745 - 453
    assert holding.fifo.cost_usd == 201
    assert holding.fifo.realised_usd == 745 - 403


def test_allocation_is_of_what_has_a_price() -> None:
    own = [bought(3, 1, days=3, coin="a"), bought(1, 1, days=3, coin="b")]
    assert [holding.share for holding in valued(own).holdings] == [D("0.75"), D("0.25")]


@pytest.mark.parametrize(
    ("known", "said", "unknown"),
    [
        ({"price": None}, "no price", ["value_usd", "value_idr"]),
        ({"rate": None}, "no rupiah rate", ["value_idr"]),
    ],
)
def test_what_is_missing_is_said_and_never_taken_for_nothing(
    known: dict[str, None], said: str, unknown: list[str]
) -> None:
    found = valued([bought(2, 100, days=30)], **known)
    [holding] = found.holdings
    assert said in holding.missing
    assert f"btc: {said}" in found.missing
    assert all(getattr(holding, name) is None for name in unknown)
    assert holding.total.idr is None


def test_an_unknown_rate_of_the_purchase_leaves_the_dollars() -> None:
    found = valued([bought(2, 100, days=30, rate=None)])
    assert found.total.usd == 40
    assert found.total.idr is None
    assert found.missing == ("btc: no rupiah rate of the date of 1 transaction",)
    assert found.day.idr is not None


def test_a_coin_without_a_price_is_left_out_of_the_sum_and_named() -> None:
    own = [bought(1, 1, days=3, coin="a"), bought(1, 1, days=3, coin="b")]
    found = evaluate(own, {"a": Quote(D(5), NOW)}, Rate(D(2), NOW), {}, None, NOW - DAY)
    assert found.net_worth_usd == 5
    assert "b: no price" in found.missing
    assert "a: no price of 24 hours ago" in found.missing
    assert found.day.usd is None


def test_more_than_is_held_cannot_be_sold_at_any_time() -> None:
    check([bought(-1, 5, days=1), bought(1, 5, days=1)])
    with pytest.raises(Oversold, match=r"btc.*than the 1 held"):
        check([bought(1, 5, days=3), bought(-2, 5, days=2), bought(5, 5, days=1)])


MOVES = st.lists(
    st.tuples(
        st.decimals("0.01", "50", places=2),
        st.decimals("-1", "1", places=2),
        st.decimals("1", "500", places=2),
        st.decimals("15000", "18000", places=0),
        st.decimals("0", "5", places=2),
    ),
    min_size=1,
    max_size=12,
)


@given(MOVES)
def test_the_parts_add_up_to_what_the_cash_says(moves: list[tuple[Decimal, ...]]) -> None:
    own: list[Transaction] = []
    held = ZERO
    for n, (size, side, price, rate, fee) in enumerate(moves):
        quantity = size if side >= 0 or not held else (-held * -side).quantize(D("0.0001"))
        if not quantity:
            continue
        held += quantity
        own.append(bought(quantity, price, days=50 - n * 4, rate=rate, fee=fee))
    found = valued(own)
    spent_usd = sum((t.quantity * t.price_usd + t.fee_usd for t in own), ZERO)
    spent_idr = sum(
        ((t.quantity * t.price_usd + t.fee_usd) * (t.idr_per_usd or ZERO) for t in own), ZERO
    )
    tiny = D("1e-9")
    assert abs((found.total.usd or ZERO) - (held * 120 - spent_usd)) < tiny
    assert abs((found.total.idr or ZERO) - (held * 120 * 17_000 - spent_idr)) < tiny
    [holding] = found.holdings
    for basis in (holding.average, holding.fifo):
        assert abs(held * 120 - basis.cost_usd + basis.realised_usd - (found.total.usd or ZERO)) < (
            D("1e-9")
        )
