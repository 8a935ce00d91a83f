"""Prices and amounts as the portfolio can store them. Pure."""

from __future__ import annotations

from decimal import Decimal

from services.api.imports.entries import Amount, BadLine
from services.api.schemas.base import LARGEST_AMOUNT, SMALLEST_AMOUNT

# Before the decimal point: with 18 places, Decimal's precision is enough for them.
MAX_DIGITS = 60


def unit_price(money: Amount, amount: Amount, stated: Amount | None) -> Decimal:
    """Return the price of one coin in money: the file's own if it gives exactly that money."""
    if stated and stated.quantity * amount.quantity == money.quantity:
        return stated.quantity
    return money.quantity / amount.quantity


def round_amount(amount: Decimal) -> Decimal:
    """Return an amount with 18 decimal places. Raises BadLine."""
    if amount.adjusted() > MAX_DIGITS:
        raise BadLine(f"the amount {amount:.6e} is too large.")
    return amount.quantize(SMALLEST_AMOUNT)


def check_amount(amount: Decimal) -> Decimal:
    """Return an amount that can be stored. Raises BadLine."""
    if abs(amount) > LARGEST_AMOUNT:
        raise BadLine(f"the amount {amount:.6e} is too large.")
    if amount != round_amount(amount):
        raise BadLine(f"the amount {amount:.6e} has more than 18 decimal places.")
    return amount
