"""Round trips: the trades of one coin, from the purchase that opens a position to its last sale.

Pure. They are what a strategy decided: two purchases and three sales of one position are one
decision that came out well or badly, not five.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sentinel.backtesting.portfolio import ExitReason, Trade


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A position in one coin, from its first purchase to the sale of its last coin."""

    coin_id: str
    # UNIX seconds of the first purchase and of the last sale.
    entered_at: float
    exited_at: float
    # Average prices of one coin in USD, with slippage.
    entry_price_usd: Decimal
    exit_price_usd: Decimal
    # All coins that were bought.
    quantity: Decimal
    # Cash paid and received, with fees.
    cost_usd: Decimal
    proceeds_usd: Decimal
    fees_usd: Decimal
    # The rule that sold instead of the strategy.
    reason: ExitReason | None
    # Whether the coins are still held: the last sale is then the pretended one at the end.
    is_open: bool

    @property
    def gain_usd(self) -> Decimal:
        """The gain in USD after fees."""
        return self.proceeds_usd - self.cost_usd

    @property
    def growth(self) -> float:
        """What became of each USD that was spent: 1.1 is a gain of 10 %."""
        return float(self.proceeds_usd / self.cost_usd)

    @property
    def seconds_held(self) -> float:
        """The seconds from the first purchase to the last sale."""
        return self.exited_at - self.entered_at


def build_round_trips(coin_id: str, trades: Iterable[Trade]) -> list[RoundTrip]:
    """Return the round trips of a coin's trades, which are in order of time.

    The trades begin without coins. Coins that are neither sold nor closed make no round trip.
    """
    found: list[RoundTrip] = []
    own: list[Trade] = []
    quantity = Decimal(0)
    for trade in trades:
        own.append(trade)
        quantity += trade.quantity
        if not quantity:
            found.append(_combine_trades(coin_id, own))
            own = []
    return found


def select_closed(round_trips: Iterable[RoundTrip]) -> list[RoundTrip]:
    """Return the round trips that ended by an order, not by the end of the prices."""
    return [trip for trip in round_trips if not trip.is_open]


def _combine_trades(coin_id: str, trades: Sequence[Trade]) -> RoundTrip:
    bought = [trade for trade in trades if trade.quantity > 0]
    sold = [trade for trade in trades if trade.quantity < 0]
    quantity = sum((trade.quantity for trade in bought), Decimal(0))
    return RoundTrip(
        coin_id,
        bought[0].filled_at,
        sold[-1].filled_at,
        sum((trade.price_usd * trade.quantity for trade in bought), Decimal(0)) / quantity,
        sum((trade.price_usd * -trade.quantity for trade in sold), Decimal(0)) / quantity,
        quantity,
        -sum((trade.cash_usd for trade in bought), Decimal(0)),
        sum((trade.cash_usd for trade in sold), Decimal(0)),
        sum((trade.fee_usd for trade in trades), Decimal(0)),
        sold[-1].reason,
        is_open=sold[-1].side == "close",
    )
