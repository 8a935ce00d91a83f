"""Cost basis of a coin: by moving average, and by first in, first out. Legs by time.

A purchase costs its fee as well, and a sale yields its proceeds less its fee. Coins of a reward
cost nothing. A transfer between own wallets keeps lots and cost; its fee is a realized loss."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from services.api.portfolio.arithmetic import ZERO
from services.api.portfolio.legs import Leg
from services.api.portfolio.models import CoinFlow, CostBasis

FlowT = TypeVar("FlowT", bound=CoinFlow | Leg)


def compute_average_cost(legs: Iterable[Leg]) -> CostBasis:
    """Return the cost by moving average: a sale takes its share of the cost of all coins held."""
    held = cost = realized = ZERO
    for leg in legs:
        if leg.is_internal:
            realized -= leg.fee_usd
        elif leg.quantity > 0:
            held += leg.quantity
            cost += _purchase_cost(leg)
        else:
            sold_cost = cost * -leg.quantity / held if held else ZERO
            realized += _sale_proceeds(leg) - sold_cost
            cost -= sold_cost
            held += leg.quantity
    return CostBasis(cost_usd=cost if held else ZERO, realized_usd=realized)


def compute_fifo_cost(legs: Sequence[Leg]) -> CostBasis:
    """Return the cost by first in, first out: a sale takes the oldest coins."""
    held_cost = sold_cost = ZERO
    for lot, sale in match_lots(legs):
        if sale:
            sold_cost += _purchase_cost(lot)
        else:
            held_cost += _purchase_cost(lot)
    sales = (leg for leg in legs if leg.quantity < 0 and not leg.is_internal)
    proceeds = sum(map(_sale_proceeds, sales), ZERO)
    transfer_fees = sum((leg.fee_usd for leg in legs if leg.is_internal), ZERO)
    return CostBasis(cost_usd=held_cost, realized_usd=proceeds - sold_cost - transfer_fees)


def match_lots(flows: Iterable[FlowT]) -> Iterable[tuple[FlowT, FlowT | None]]:
    """Yield each purchase beside the sale that took it, oldest first; None: still held.

    A purchase that several sales took is yielded in parts, each with its part of the fee. Transfers
    between own wallets change no lot.
    """
    lots: deque[FlowT] = deque()
    for flow in flows:
        if flow.is_internal:
            continue
        to_sell = -flow.quantity
        if to_sell < 0:
            lots.append(flow)
        while to_sell > 0 and lots:
            lot = lots.popleft()
            if lot.quantity > to_sell:
                fee, rest = lot.fee_usd * to_sell / lot.quantity, lot.quantity - to_sell
                lots.appendleft(replace(lot, quantity=rest, fee_usd=lot.fee_usd - fee))
                lot = replace(lot, quantity=to_sell, fee_usd=fee)
            yield lot, flow
            to_sell -= lot.quantity
    for lot in lots:
        yield lot, None


def _purchase_cost(leg: Leg) -> Decimal:
    return leg.quantity * leg.price_usd + leg.fee_usd


def _sale_proceeds(leg: Leg) -> Decimal:
    return -leg.quantity * leg.price_usd - leg.fee_usd
