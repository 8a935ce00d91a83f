"""Profit in USD and IDR, split into the coin's move and the rupiah's move.

With quantity q bought at price P and exchange rate r, now worth P' at rate r' (or sold at them, the
oldest coins first):

    q (P' r' - P r)  =  q (P' - P) r   the coin's move, at the rate of the purchase
                      + q P' (r' - r)  the rupiah's move, on the coins' present value
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from services.api.portfolio.arithmetic import ZERO, add_known, multiply_known, subtract_known
from services.api.portfolio.cost_basis import match_lots
from services.api.portfolio.models import CoinFlow, Profit, Transaction


def compute_profit(
    flows: Sequence[CoinFlow | Transaction], price_usd: Decimal | None, idr_per_usd: Decimal | None
) -> Profit:
    """Return the profit of purchases and sales at a price and an exchange rate."""
    fees = [(flow.fee_usd, flow.idr_per_usd) for flow in flows if flow.fee_usd]
    fees_usd = sum((fee for fee, _ in fees), ZERO)
    fees_idr = add_known(multiply_known(fee, rate) for fee, rate in fees)
    now = CoinFlow(ZERO, price_usd, idr_per_usd)
    lots = [(lot, sale or now) for lot, sale in match_lots(flows)]
    gains = [
        multiply_known(lot.quantity, subtract_known(end.price_usd, lot.price_usd))
        for lot, end in lots
    ]
    gross_usd = add_known(gains)
    coin_move = add_known(
        multiply_known(gain, lot.idr_per_usd) for gain, (lot, _) in zip(gains, lots, strict=True)
    )
    rupiah_move = add_known(
        multiply_known(
            lot.quantity, end.price_usd, subtract_known(end.idr_per_usd, lot.idr_per_usd)
        )
        for lot, end in lots
    )
    return Profit(
        usd=subtract_known(gross_usd, fees_usd),
        idr=subtract_known(add_known((coin_move, rupiah_move)), fees_idr),
        coin_move_idr=coin_move,
        rupiah_move_idr=rupiah_move,
        fees_usd=fees_usd,
        fees_idr=fees_idr,
    )


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
