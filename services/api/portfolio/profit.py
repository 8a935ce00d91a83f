"""Profit in USD and IDR, split into the coin's move and the rupiah's move.

With quantity q bought at price P and exchange rate r, now worth P' at rate r' (or sold at them, the
oldest coins first):

    q (P' r' - P r)  =  q (P' - P) r   the coin's move, at the rate of the purchase
                      + q P' (r' - r)  the rupiah's move, on the coins' present value

The coin's move is realized for coins that were sold, traded or sent away, and unrealized for the
others. A trade sells one coin and buys another at the same value and rate. Coins of a reward count
as bought at 0. Coins that move between own wallets keep their P and r. Fees stand apart, each at
the rate of its transaction:

    USD     total = realized + unrealized - fees
    rupiah  total = realized + unrealized - fees + rupiah's move
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from services.api.portfolio.arithmetic import ZERO, add_known, multiply_known, subtract_known
from services.api.portfolio.cost_basis import match_lots
from services.api.portfolio.legs import Leg
from services.api.portfolio.models import CoinFlow, Profit

IDR_PARTS = (
    "idr",
    "realized_idr",
    "unrealized_idr",
    "coin_move_idr",
    "rupiah_move_idr",
    "fees_idr",
)


class _Gain(NamedTuple):
    """The parts of one lot's gain, before fees."""

    usd: Decimal | None
    coin_move_idr: Decimal | None
    rupiah_move_idr: Decimal | None


def compute_profit(
    flows: Sequence[CoinFlow | Leg], price_usd: Decimal | None, idr_per_usd: Decimal | None
) -> Profit:
    """Return the profit of purchases and sales at a price and an exchange rate."""
    fees = [(flow.fee_usd, flow.idr_per_usd) for flow in flows if flow.fee_usd]
    fees_usd = sum((fee for fee, _ in fees), ZERO)
    fees_idr = add_known(multiply_known(fee, rate) for fee, rate in fees)
    now = CoinFlow(ZERO, price_usd, idr_per_usd)
    sold: list[_Gain] = []
    held: list[_Gain] = []
    for lot, sale in match_lots(flows):
        (sold if sale else held).append(_compute_gain(lot, sale or now))
    gross_usd = add_known(gain.usd for gain in sold + held)
    coin_move = add_known(gain.coin_move_idr for gain in sold + held)
    rupiah_move = add_known(gain.rupiah_move_idr for gain in sold + held)
    return Profit(
        usd=subtract_known(gross_usd, fees_usd),
        idr=subtract_known(add_known((coin_move, rupiah_move)), fees_idr),
        realized_usd=add_known(gain.usd for gain in sold),
        unrealized_usd=add_known(gain.usd for gain in held),
        realized_idr=add_known(gain.coin_move_idr for gain in sold),
        unrealized_idr=add_known(gain.coin_move_idr for gain in held),
        coin_move_idr=coin_move,
        rupiah_move_idr=rupiah_move,
        fees_usd=fees_usd,
        fees_idr=fees_idr,
    )


def _compute_gain(lot: CoinFlow | Leg, end: CoinFlow | Leg) -> _Gain:
    """Return the gain of a lot between its purchase and its sale, or now."""
    usd = multiply_known(lot.quantity, subtract_known(end.price_usd, lot.price_usd))
    rate_change = subtract_known(end.idr_per_usd, lot.idr_per_usd)
    return _Gain(
        usd=usd,
        coin_move_idr=multiply_known(usd, lot.idr_per_usd),
        rupiah_move_idr=multiply_known(lot.quantity, end.price_usd, rate_change),
    )


def add_profits(profits: Iterable[Profit]) -> Profit:
    """Return the sum over the coins whose profit is known in a currency.

    The parts still add up to the sum, because a coin with an unknown part is left out of all of
    them.
    """
    profits = list(profits)
    known_in_usd = [profit for profit in profits if profit.usd is not None]
    known_in_idr = [profit for profit in profits if profit.idr is not None]

    def add(name: str, known: Sequence[Profit]) -> Decimal | None:
        if profits and not known:
            return None
        return add_known(getattr(profit, name) for profit in known)

    in_usd = {name: add(name, known_in_usd) for name in ("usd", "realized_usd", "unrealized_usd")}
    in_idr = {name: add(name, known_in_idr) for name in IDR_PARTS}
    fees_usd = sum((profit.fees_usd for profit in known_in_usd), ZERO)
    return Profit(**in_usd, **in_idr, fees_usd=fees_usd)
