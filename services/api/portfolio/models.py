"""Values of the portfolio. Amounts are Decimal; None means that a price or a rate is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple


class Transaction(NamedTuple):
    """A purchase, or a sale if the quantity is negative; price and fee in USD."""

    # 0 for a transaction that is not stored yet.
    transaction_id: int
    made_at: datetime
    coin_id: str
    quantity: Decimal
    price_usd: Decimal
    fee_usd: Decimal
    # The exchange rate of the transaction's date.
    idr_per_usd: Decimal | None
    note: str = ""


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
    """Profit in both currencies; idr = coin_move_idr + rupiah_move_idr - fees_idr."""

    usd: Decimal | None
    idr: Decimal | None
    coin_move_idr: Decimal | None
    rupiah_move_idr: Decimal | None
    fees_usd: Decimal
    fees_idr: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostBasis:
    """What the coins still held have cost, fees included, and the profit that sales realized."""

    cost_usd: Decimal
    realized_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingValuation:
    """One coin of the portfolio at the newest price."""

    coin_id: str
    quantity: Decimal
    quote: PriceQuote | None
    value_usd: Decimal | None
    value_idr: Decimal | None
    # By moving average, and by first in, first out.
    average_cost: CostBasis
    fifo_cost: CostBasis
    total_profit: Profit
    # Of the last 24 hours.
    day_profit: Profit
    # Part of the net worth, 0 to 1.
    share: Decimal | None
    # Which prices and rates are unknown, in words.
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioValuation:
    """All holdings. Sums leave out the coins that `missing` names."""

    net_worth_usd: Decimal
    net_worth_idr: Decimal | None
    rate: ExchangeRate | None
    total_profit: Profit
    day_profit: Profit
    holdings: tuple[HoldingValuation, ...]
    missing: tuple[str, ...]


class NetWorth(NamedTuple):
    """The net worth at one time; None where `missing` says why."""

    valued_at: datetime
    net_worth_usd: Decimal | None
    net_worth_idr: Decimal | None
    missing: list[str]


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
