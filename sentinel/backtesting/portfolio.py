"""Paper money: what a trade costs, and what is left after it. Pure, in decimals.

A fee is a share of the money that changes hands; slippage is how much worse than the observed price
a trade is filled. Both are in basis points (hundredths of a per cent) and paid on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from sentinel.errors import SentinelError

Side = Literal["buy", "sell", "close"]

BASIS = Decimal(10_000)
SMALLEST_ORDER = Decimal("0.01")  # USD; less is none
DEFAULT_USD = Decimal(10_000)
DEFAULT_FEE = Decimal(10)
DEFAULT_SLIPPAGE = Decimal(5)


class InvalidTrades(SentinelError):
    """The trades of a wallet do not add up."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Fee and slippage of a trade, in basis points."""

    fee_bps: Decimal = DEFAULT_FEE
    slippage_bps: Decimal = DEFAULT_SLIPPAGE


class Trade(NamedTuple):
    """A filled order; a `close` sells what is left at the end. `at` is the time of the observation
    it was filled at (UNIX seconds), `price` what was paid or got for one coin in USD, slippage
    within; `quantity` coins and `cash` USD that came (above 0) or went, the fee (USD) within the
    cash."""

    at: float
    side: Side
    price: Decimal
    quantity: Decimal
    cash: Decimal
    fee: Decimal


@dataclass(slots=True)
class Portfolio:
    """Cash (USD) and coins of one kind. What it holds is what its trades come to; `spent` is what
    the coins that are held have cost."""

    cash: Decimal
    quantity: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)

    def order(self, share: float | Decimal, at: float, price: float, costs: Costs) -> Trade | None:
        """What comes of an order that is filled at an observed price: a share above 0 is of the
        cash and buys, one below is of the coins and sells. None where that is worth nothing."""
        observed, slip = Decimal(repr(float(price))), costs.slippage_bps / BASIS
        part, fee_share = Decimal(str(share)), costs.fee_bps / BASIS
        if part > 0:
            spent = self.cash * part
            fee, paid = spent * fee_share, observed * (1 + slip)
            if spent < SMALLEST_ORDER:
                return None
            return Trade(at, "buy", paid, (spent - fee) / paid, -spent, fee)
        sold, got = -self.quantity * part, observed * (1 - slip)
        if sold * observed < SMALLEST_ORDER:
            return None
        fee = sold * got * fee_share
        return Trade(at, "sell", got, -sold, sold * got - fee, fee)

    def apply(self, trade: Trade) -> Decimal | None:
        """Book a trade; returns what a sale gained over what its coins had cost, None for a buy.

        Raises LedgerBroken where there would be less than nothing after it.
        """
        cash, quantity = self.cash + trade.cash, self.quantity + trade.quantity
        if cash < 0 or quantity < 0:
            raise InvalidTrades(
                f"A trade of {trade.quantity} coins for {trade.cash} USD is more than the "
                f"{self.quantity} coins and {self.cash} USD that there are."
            )
        gain = None
        if trade.quantity < 0:
            cost = self.spent * (-trade.quantity / self.quantity)
            self.spent -= cost
            gain = trade.cash - cost
        else:
            self.spent -= trade.cash
        self.cash, self.quantity = cash, quantity
        return gain

    def worth(self, price: float) -> Decimal:
        """What it is worth at a price, costs aside."""
        return self.cash + self.quantity * Decimal(repr(float(price)))


def replay(cash: Decimal, trades: Iterable[Trade]) -> Portfolio:
    """The purse that trades come to. Raises LedgerBroken where they do not add up."""
    purse = Portfolio(cash)
    for trade in trades:
        purse.apply(trade)
    return purse
