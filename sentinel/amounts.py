"""Amounts of money, shares and coins as people of a place write them (Unicode CLDR, by Babel)."""

from __future__ import annotations

from decimal import Decimal

from babel.numbers import (
    format_compact_currency,
    format_currency,
    format_decimal,
    format_percent,
)

LOCALES = {"en": "en_US", "id": "id_ID"}
# Below one dollar a price needs as many digits as tell it from its neighbours.
SIGNIFICANT = 4


def money(amount: float | Decimal, currency: str, locale: str) -> str:
    """An amount of a currency (ISO 4217), with cents or with its leading digits."""
    value = Decimal(repr(amount)) if isinstance(amount, float) else Decimal(amount)
    # Cents where there is a whole, else the leading digits of the fraction.
    places = 2 if abs(value) >= 1 or not value else SIGNIFICANT - 1 - value.adjusted()
    places = 0 if currency == "IDR" and abs(value) >= 100 else places
    shape = "¤#,##0" + ("." + "0" * min(places, 18) if places else "")
    text = format_currency(value, currency, format=shape, locale=locale, currency_digits=False)
    return _spoken(text)


def brief(amount: float, currency: str, locale: str) -> str:
    """A large amount of a currency in three digits or so: $1.70T."""
    text = format_compact_currency(amount, currency, locale=locale, fraction_digits=2)
    return _spoken(text)


def percent(fraction: float, locale: str, *, signed: bool = False) -> str:
    """A share of one, as per cent."""
    shape = "+0.0%;-0.0%" if signed else "0.0%"
    return str(format_percent(fraction, format=shape, locale=locale))


def quantity(amount: Decimal, locale: str) -> str:
    """A number of coins, to the last digit."""
    return str(
        format_decimal(amount, locale=locale, decimal_quantization=False, group_separator=True)
    )


def _spoken(text: str) -> str:
    """With the rupiah's sign, and blanks that wrap like others."""
    return str(text).replace("IDR", "Rp").replace("\xa0", " ")
