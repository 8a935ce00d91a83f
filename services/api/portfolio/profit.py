"""Profit in USD and IDR, split into the coin's move and the rupiah's move.

With quantity q bought at price P and exchange rate r, now worth P' at rate r' (or sold at them, the
oldest coins first):

    q (P' r' - P r)  =  q (P' - P) r   the coin's move, at the rate of the purchase
                      + q P' (r' - r)  the rupiah's move, on the coins' present value
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from services.api.portfolio.arithmetic import ZERO, add_known, multiply_known, subtract_known
from services.api.portfolio.models import Profit


@dataclass(frozen=True, slots=True)
class CoinFlow:
    """Coins that were bought, or sold if the quantity is negative."""

    quantity: Decimal
    price_usd: Decimal | None
    idr_per_usd: Decimal | None
    fee_usd: Decimal = ZERO


class _Lot(NamedTuple):
    """Coins bought together, with the price and rate of their sale or of today."""

    quantity: Decimal
    paid_usd: Decimal | None
    paid_rate: Decimal | None
    value_usd: Decimal | None
    value_rate: Decimal | None


def compute_profit(
    flows: Sequence[CoinFlow], price_usd: Decimal | None, idr_per_usd: Decimal | None
) -> Profit:
    """Return the profit of flows at a price and an exchange rate."""
    fees = [(flow.fee_usd, flow.idr_per_usd) for flow in flows if flow.fee_usd]
    fees_usd = sum((fee for fee, _ in fees), ZERO)
    fees_idr = add_known(multiply_known(fee, rate) for fee, rate in fees)
    lots = list(_match_lots(flows, CoinFlow(ZERO, price_usd, idr_per_usd)))
    gross_usd = add_known(multiply_known(lot.quantity, _gain(lot)) for lot in lots)
    coin_move = add_known(multiply_known(lot.quantity, _gain(lot), lot.paid_rate) for lot in lots)
    rupiah_move = add_known(
        multiply_known(lot.quantity, lot.value_usd, subtract_known(lot.value_rate, lot.paid_rate))
        for lot in lots
    )
    return Profit(
        usd=subtract_known(gross_usd, fees_usd),
        idr=subtract_known(add_known((coin_move, rupiah_move)), fees_idr),
        coin_move_idr=coin_move,
        rupiah_move_idr=rupiah_move,
        fees_usd=fees_usd,
        fees_idr=fees_idr,
    )


def _gain(lot: _Lot) -> Decimal | None:
    return subtract_known(lot.value_usd, lot.paid_usd)


def _match_lots(flows: Sequence[CoinFlow], now: CoinFlow) -> Iterable[_Lot]:
    """Match purchases with the sales that took them, oldest first, and the rest with `now`."""
    open_lots: deque[CoinFlow] = deque()
    for flow in flows:
        to_sell = -flow.quantity
        if to_sell < 0:
            open_lots.append(flow)
        while to_sell > 0 and open_lots:
            oldest = open_lots.popleft()
            sold = min(to_sell, oldest.quantity)
            yield _pair(sold, oldest, flow)
            to_sell -= sold
            if oldest.quantity > sold:
                rest = oldest.quantity - sold
                open_lots.appendleft(dataclasses.replace(oldest, quantity=rest))
    for flow in open_lots:
        yield _pair(flow.quantity, flow, now)


def _pair(quantity: Decimal, purchase: CoinFlow, end: CoinFlow) -> _Lot:
    return _Lot(quantity, purchase.price_usd, purchase.idr_per_usd, end.price_usd, end.idr_per_usd)


def add_profits(profits: Iterable[Profit]) -> Profit:
    """Return the sum over the coins whose profit is known in a currency.

    The parts still add up to the sum, because a coin with an unknown part is left out of all of
    them.
    """
    profits = list(profits)
    known_in_usd = [profit for profit in profits if profit.usd is not None]
    known_in_idr = [profit for profit in profits if profit.idr is not None]

    def add_idr(name: str) -> Decimal | None:
        if profits and not known_in_idr:
            return None
        return add_known(getattr(profit, name) for profit in known_in_idr)

    return Profit(
        usd=add_known(p.usd for p in known_in_usd) if known_in_usd or not profits else None,
        idr=add_idr("idr"),
        coin_move_idr=add_idr("coin_move_idr"),
        rupiah_move_idr=add_idr("rupiah_move_idr"),
        fees_usd=sum((profit.fees_usd for profit in known_in_usd), ZERO),
        fees_idr=add_idr("fees_idr"),
    )
