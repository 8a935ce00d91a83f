"""Cost basis of a coin: by moving average, and by first in, first out. Transactions by time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from services.api.portfolio.arithmetic import ZERO
from services.api.portfolio.models import CoinFlow, CostBasis, Transaction

FlowT = TypeVar("FlowT", bound=CoinFlow | Transaction)


def compute_average_cost(transactions: Iterable[Transaction]) -> CostBasis:
    """Return the cost by moving average: a sale takes its share of the cost of all coins held."""
    held = cost = realized = ZERO
    for transaction in transactions:
        if transaction.quantity > 0:
            held += transaction.quantity
            cost += _purchase_cost(transaction)
        else:
            sold_cost = cost * -transaction.quantity / held if held else ZERO
            realized += _sale_proceeds(transaction) - sold_cost
            cost -= sold_cost
            held += transaction.quantity
    return CostBasis(cost_usd=cost if held else ZERO, realized_usd=realized)


def compute_fifo_cost(transactions: Sequence[Transaction]) -> CostBasis:
    """Return the cost by first in, first out: a sale takes the oldest coins."""
    held_cost = sold_cost = ZERO
    for lot, sale in match_lots(transactions):
        if sale:
            sold_cost += _purchase_cost(lot)
        else:
            held_cost += _purchase_cost(lot)
    proceeds = sum((_sale_proceeds(sale) for sale in transactions if sale.quantity < 0), ZERO)
    return CostBasis(cost_usd=held_cost, realized_usd=proceeds - sold_cost)


def match_lots(flows: Iterable[FlowT]) -> Iterable[tuple[FlowT, FlowT | None]]:
    """Yield each purchase beside the sale that took it, oldest first; None: still held.

    A purchase that several sales took is yielded in parts, each with its part of the fee.
    """
    lots: deque[FlowT] = deque()
    for flow in flows:
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


def _purchase_cost(transaction: Transaction) -> Decimal:
    return transaction.quantity * transaction.price_usd + transaction.fee_usd


def _sale_proceeds(transaction: Transaction) -> Decimal:
    return -transaction.quantity * transaction.price_usd - transaction.fee_usd
