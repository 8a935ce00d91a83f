"""Values of the portfolio, which the API returns as they are.

Amounts are Decimal, and text in JSON; None means that a price or a rate is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from services.api.schemas.base import Amount, Share, example_config


@dataclass(frozen=True, slots=True)
class Transaction:
    """A purchase, or a sale if the quantity is negative, in USD.

    `idr_per_usd` is the rate of its date, null if unknown.
    """

    __pydantic_config__ = example_config("""{"transaction_id": 1, "made_at": "2026-11-20T09:30:00Z",
        "coin_id": "bitcoin", "quantity": "0.25", "price_usd": "91000", "fee_usd": "0",
        "idr_per_usd": "16250", "note": ""}""")

    # 0 for a transaction that is not stored yet.
    transaction_id: int
    made_at: datetime
    coin_id: str
    quantity: Amount
    price_usd: Amount
    fee_usd: Amount
    idr_per_usd: Amount | None
    note: str


@dataclass(frozen=True, slots=True)
class CoinFlow:
    """Coins that count as bought at a price and an exchange rate, which may be unknown."""

    quantity: Decimal
    price_usd: Decimal | None
    idr_per_usd: Decimal | None
    fee_usd: Decimal = Decimal(0)


class PriceQuote(NamedTuple):
    """A coin's price and the time of its observation."""

    price_usd: Decimal
    observed_at: datetime


class ExchangeRate(NamedTuple):
    """The price of one USD in rupiah and the time of its observation."""

    idr_per_usd: Decimal
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Profit:
    """Profit in USD and in rupiah; null if a price or a rate is missing.

    The profit in rupiah is the coin's move plus the rupiah's move minus fees.
    """

    usd: Amount | None
    idr: Amount | None
    coin_move_idr: Amount | None
    rupiah_move_idr: Amount | None
    fees_usd: Amount
    fees_idr: Amount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostBasis:
    """What the coins still held have cost, fees included, and the profit that sales realized."""

    cost_usd: Amount
    realized_usd: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One coin of the portfolio."""

    coin_id: str
    symbol: str
    name: str
    quantity: Amount
    price_usd: Amount | None
    observed_at: datetime | None
    value_usd: Amount | None
    value_idr: Amount | None
    # Cost basis by moving average, and by first in, first out.
    average_cost: CostBasis
    fifo_cost: CostBasis
    total_profit: Profit
    # Of the last 24 hours.
    day_profit: Profit
    # Part of the net worth, as a fraction.
    share: Share | None
    # Which prices and rates are unknown, in words.
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NetWorth:
    """The net worth at the end of a day, or now for the newest; null if a price is missing."""

    __pydantic_config__ = example_config("""{"valued_at": "2026-11-20T12:00:00Z",
        "net_worth_usd": "23035.03", "net_worth_idr": "374319250", "missing": []}""")

    valued_at: datetime
    net_worth_usd: Amount | None
    net_worth_idr: Amount | None
    missing: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """Net worth and profit at the newest prices and exchange rate.

    Sums leave out the coins that `missing` names.
    """

    net_worth_usd: Amount
    net_worth_idr: Amount | None
    idr_per_usd: Amount | None
    rate_observed_at: datetime | None
    total_profit: Profit
    day_profit: Profit
    # The most valuable holding first.
    holdings: tuple[Holding, ...]
    # Of the last days; empty until the route adds it.
    history: tuple[NetWorth, ...]
    missing: tuple[str, ...]


class Oversold(Exception):
    """A sale of more coins than the portfolio held at the time."""

    def __init__(self, coin_id: str, made_at: datetime, held: Decimal) -> None:
        super().__init__(
            f"{coin_id}: the portfolio held only {held:f} at {made_at.isoformat()}, so a larger "
            "sale is not possible."
        )


def sort_transactions(transactions: Iterable[Transaction]) -> list[Transaction]:
    """Return transactions by time; at the same time purchases first, then by id."""
    # A sale may need the coins of a purchase that was entered with the same time.
    return sorted(transactions, key=lambda t: (t.made_at, t.quantity < 0, t.transaction_id))
