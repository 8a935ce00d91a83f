"""Decimal arithmetic that rounds no amount and passes unknown values on as None."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from decimal import Decimal, localcontext

ZERO = Decimal(0)
# An amount has up to 20 digits before and 18 after the point, and products of three amounts occur:
# Python's usual 28 digits would round them.
PRECISION_DIGITS = 100


@contextlib.contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Compute with enough digits for every amount that the API accepts. Also a decorator."""
    with localcontext(prec=PRECISION_DIGITS):
        yield


def add_known(values: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum, None if one of the values is unknown."""
    total = ZERO
    for value in values:
        if value is None:
            return None
        total += value
    return total


def subtract_known(minuend: Decimal | None, subtrahend: Decimal | None) -> Decimal | None:
    """Return the difference, None if one of the values is unknown."""
    return None if minuend is None or subtrahend is None else minuend - subtrahend


def multiply_known(*factors: Decimal | None) -> Decimal | None:
    """Return the product, None if one of the factors is unknown."""
    product = Decimal(1)
    for factor in factors:
        if factor is None:
            return None
        product *= factor
    return product
