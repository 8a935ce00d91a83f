"""Format money as `sentinel.amounts` does, without Babel, which a run on GitHub does not install.

Dollars are written as in English, rupiah as in Indonesian.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

# As `sentinel.amounts` has them.
SIGNIFICANT_DIGITS = 4
MAX_DECIMAL_PLACES = 18
COMPACT_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))
UNKNOWN = "—"
INDONESIAN = str.maketrans(",.", ".,")


def format_usd(amount: float | None) -> str:
    """Return a price in USD: $92,140.12, $0.000004712; a dash for None."""
    if amount is None:
        return UNKNOWN
    return f"${_format_decimal(amount, _decimal_places(amount))}"


def format_idr(amount: float) -> str:
    """Return an amount in rupiah, whole from 100 upwards: Rp1.497.276.950, Rp0,07657."""
    places = 0 if amount >= 100 else _decimal_places(amount)
    return f"Rp{_format_decimal(amount, places).translate(INDONESIAN)}"


def format_whole_usd(amount: float | None) -> str:
    """Return a large amount in USD with all its digits: $1,903,411,220,118; "unknown" for None."""
    return "unknown" if amount is None else f"${amount:,.0f}"


def format_compact_usd(amount: float | None) -> str:
    """Return a large amount in USD with a unit: $1.90T, $85.43B, $950; a dash for None."""
    if amount is None:
        return UNKNOWN
    for unit, letter in COMPACT_UNITS:
        if amount >= unit * 0.999995:  # it is not rounded to 1000.00 of the next smaller unit
            return f"${amount / unit:.2f}{letter}"
    return f"${amount:.0f}"


def format_change(fraction: float) -> str:
    """Return a change as a percentage with a sign, which zero does not have: +3.1%, 0.0%.

    Its minus sign is as wide as a plus sign, and a screen reader reads it. A hyphen is not.
    """
    return (
        f"{fraction:+,.1%}".replace("-", "\N{MINUS SIGN}") if classify_change(fraction) else "0.0%"
    )


def classify_change(fraction: float | None) -> Literal["rise", "fall", ""]:
    """Return the style class of a change; an empty one if it is unknown or rounded to zero."""
    if fraction is None or abs(fraction) <= 0.0005:
        return ""
    return "rise" if fraction > 0 else "fall"


def _decimal_places(amount: float) -> int:
    """Return two places from 1 upwards, below 1 as many as the leading digits need."""
    if amount >= 1 or not amount:
        return 2
    exponent = Decimal(repr(amount)).adjusted()
    return min(SIGNIFICANT_DIGITS - 1 - exponent, MAX_DECIMAL_PLACES)


def _format_decimal(amount: float, places: int) -> str:
    return f"{Decimal(repr(amount)):,.{places}f}"
