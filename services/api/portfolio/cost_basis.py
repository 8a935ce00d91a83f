"""Cost basis of a coin: by moving average, and by first in, first out. Transactions by time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from services.api.portfolio.arithmetic import ZERO
from services.api.portfolio.models import CostBasis, Transaction


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


class _CostLot(NamedTuple):
    """Coins bought together and what they cost, fee included."""

    quantity: Decimal
    cost_usd: Decimal


def compute_fifo_cost(transactions: Iterable[Transaction]) -> CostBasis:
    """Return the cost by first in, first out: a sale takes the oldest coins."""
    lots: deque[_CostLot] = deque()
    realized = ZERO
    for transaction in transactions:
        if transaction.quantity > 0:
            lots.append(_CostLot(transaction.quantity, _purchase_cost(transaction)))
        else:
            sold_cost = _take_oldest(lots, -transaction.quantity)
            realized += _sale_proceeds(transaction) - sold_cost
    return CostBasis(cost_usd=sum((lot.cost_usd for lot in lots), ZERO), realized_usd=realized)


def _take_oldest(lots: deque[_CostLot], quantity: Decimal) -> Decimal:
    """Remove the oldest coins from the lots and return what they cost."""
    total = ZERO
    while quantity > 0 and lots:
        lot = lots.popleft()
        taken = min(quantity, lot.quantity)
        taken_cost = lot.cost_usd * taken / lot.quantity
        total += taken_cost
        quantity -= taken
        if lot.quantity > taken:
            lots.appendleft(_CostLot(lot.quantity - taken, lot.cost_usd - taken_cost))
    return total


def _purchase_cost(transaction: Transaction) -> Decimal:
    return transaction.quantity * transaction.price_usd + transaction.fee_usd


def _sale_proceeds(transaction: Transaction) -> Decimal:
    return -transaction.quantity * transaction.price_usd - transaction.fee_usd
