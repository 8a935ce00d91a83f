"""The paper-trading account of one coin: what a trade costs, and what is held after it.

Pure, in decimals. A fee is a share of the money that changes hands. Slippage is how much worse than
the observed price a trade is filled. Both are in basis points (hundredths of a per cent), and a
trade pays both when it buys and when it sells.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple, get_args

from sentinel.errors import SentinelError

TradeSide = Literal["buy", "sell", "close"]
# The rule that sold instead of the strategy.
ExitReason = Literal["stop-loss", "take-profit", "trailing-stop"]
EXIT_REASONS: tuple[ExitReason, ...] = get_args(ExitReason)

BASIS_POINTS = Decimal(10_000)
MIN_ORDER_USD = Decimal("0.01")  # a smaller order is not executed
DEFAULT_INITIAL_USD = Decimal(10_000)
DEFAULT_FEE_BPS = Decimal(10)
DEFAULT_SLIPPAGE_BPS = Decimal(5)


class InvalidTrades(SentinelError):
    """The trades of a wallet are not consistent with each other."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Fee and slippage of a trade, in basis points."""

    fee_bps: Decimal = DEFAULT_FEE_BPS
    slippage_bps: Decimal = DEFAULT_SLIPPAGE_BPS


class Trade(NamedTuple):
    """A filled order."""

    # UNIX seconds of the observation whose price filled the order.
    filled_at: float
    # `close` sells the rest at the end of a backtest.
    side: TradeSide
    # Price of one coin, with slippage.
    price_usd: Decimal
    # Coins bought (above 0) or sold (below 0).
    quantity: Decimal
    # Cash received (above 0) or paid (below 0), after the fee.
    cash_usd: Decimal
    fee_usd: Decimal
    # None: the strategy asked for it.
    reason: ExitReason | None = None


@dataclass(slots=True)
class Portfolio:
    """Cash in USD and a position in one coin."""

    cash: Decimal
    quantity: Decimal = Decimal(0)
    # What the coins that are held now have cost, in USD, with fees.
    cost_basis: Decimal = Decimal(0)
    # UNIX seconds of the purchase that opened the position; None without coins.
    entered_at: float | None = None
    # The average price of the position's purchases in USD, with slippage; None without coins.
    entry_price: Decimal | None = None
    # The trade that sold the last coin of the position before; None if there was none.
    last_exit: Trade | None = None
    # A protective exit blocks purchases until the strategy's own signal was at or below 0 once.
    is_blocked: bool = False

    def simulate_fill(
        self,
        share: float | Decimal,
        filled_at: float,
        price: float,
        costs: Costs,
        reason: ExitReason | None = None,
    ) -> Trade | None:
        """Return the trade that an order makes at an observed price, without applying it.

        A share above 0 is a share of the cash and buys; one below 0 is a share of the coins and
        sells. None if the order is smaller than MIN_ORDER_USD.
        """
        observed, slippage = Decimal(repr(float(price))), costs.slippage_bps / BASIS_POINTS
        part, fee_share = Decimal(str(share)), costs.fee_bps / BASIS_POINTS
        if part > 0:
            spent = self.cash * part
            fee, paid_price = spent * fee_share, observed * (1 + slippage)
            if spent < MIN_ORDER_USD:
                return None
            return Trade(filled_at, "buy", paid_price, (spent - fee) / paid_price, -spent, fee)
        sold, received_price = -self.quantity * part, observed * (1 - slippage)
        if sold * observed < MIN_ORDER_USD:
            return None
        proceeds = sold * received_price
        fee = proceeds * fee_share
        return Trade(filled_at, "sell", received_price, -sold, proceeds - fee, fee, reason)

    def apply(self, trade: Trade) -> Decimal | None:
        """Apply a trade; returns the gain of a sale over its cost basis, None for a purchase.

        Raises InvalidTrades, and changes nothing, if cash or coins would fall below zero.
        """
        cash, quantity = self.cash + trade.cash_usd, self.quantity + trade.quantity
        if cash < 0 or quantity < 0:
            raise InvalidTrades(
                f"A trade of {trade.quantity} coins for {trade.cash_usd} USD is more than the "
                f"{self.quantity} coins and {self.cash} USD of the portfolio."
            )
        gain = None
        if trade.quantity < 0:
            cost = self.cost_basis * (-trade.quantity / self.quantity)
            self.cost_basis -= cost
            gain = trade.cash_usd - cost
            if not quantity:
                self.entered_at, self.entry_price, self.last_exit = None, None, trade
                self.is_blocked = trade.reason is not None
        else:
            self.cost_basis -= trade.cash_usd
            paid = (self.entry_price or 0) * self.quantity + trade.price_usd * trade.quantity
            self.entered_at = trade.filled_at if self.entered_at is None else self.entered_at
            self.entry_price = paid / quantity
        self.cash, self.quantity = cash, quantity
        return gain

    def value(self, price: float) -> Decimal:
        """Return cash plus coins at a price, in USD, without the costs of selling."""
        return self.cash + self.quantity * Decimal(repr(float(price)))


def build_portfolio(cash: Decimal, trades: Iterable[Trade]) -> Portfolio:
    """Return the portfolio after trades. Raises InvalidTrades if they are not consistent."""
    portfolio = Portfolio(cash)
    for trade in trades:
        portfolio.apply(trade)
    return portfolio
