"""Format money, percentages and coin quantities for a locale (Unicode CLDR data, through Babel)."""

from __future__ import annotations

from decimal import Decimal

from babel import numbers

LOCALES = {"en": "en_US", "id": "id_ID"}
# Below one dollar a fixed number of cents would round most coins to $0.00, so a price shows its
# leading digits instead.
SIGNIFICANT_DIGITS = 4
# The API accepts no finer amounts either.
MAX_DECIMAL_PLACES = 18


def format_money(amount: float | Decimal, currency: str, locale: str) -> str:
    """Return an amount of a currency (ISO 4217 code): $92,140.12, $0.000004712, Rp1.474.248.000."""
    value = Decimal(repr(amount)) if isinstance(amount, float) else Decimal(amount)
    places = _decimal_places(value, currency)
    pattern = "¤#,##0" + ("." + "0" * places if places else "")
    text = numbers.format_currency(
        value, currency, format=pattern, locale=locale, currency_digits=False
    )
    return _replace_symbols(text)


def _decimal_places(value: Decimal, currency: str) -> int:
    """Return how many places to show: two from 1 upwards, below 1 as many as its digits need."""
    if currency == "IDR" and abs(value) >= 100:
        return 0  # prices in Indonesia are written in whole rupiah
    if abs(value) >= 1 or not value:
        return 2
    return min(SIGNIFICANT_DIGITS - 1 - value.adjusted(), MAX_DECIMAL_PLACES)


def format_compact_money(amount: float, currency: str, locale: str) -> str:
    """Return a large amount in about three digits: $1.70T."""
    text = numbers.format_compact_currency(amount, currency, locale=locale, fraction_digits=2)
    return _replace_symbols(text)


def format_percent(fraction: float, locale: str, *, signed: bool = False) -> str:
    """Return a fraction of one as a percentage: 0.0312 is +3.1% when signed. Zero has no sign."""
    if abs(fraction) <= 0.0005:  # it is rounded to zero
        fraction, signed = 0.0, False
    pattern = "+0.0%;-0.0%" if signed else "0.0%"
    return str(numbers.format_percent(fraction, format=pattern, locale=locale))


def format_quantity(amount: Decimal, locale: str) -> str:
    """Return a number of coins with every digit that it has."""
    return str(
        numbers.format_decimal(
            amount, locale=locale, decimal_quantization=False, group_separator=True
        )
    )


def _replace_symbols(text: str) -> str:
    """Use the rupiah's own symbol, and plain spaces so that browsers may break the line."""
    return str(text).replace("IDR", "Rp").replace("\xa0", " ")
