"""Write money, percentages, quantities and counts in English and Indonesian.

The dashboard, the messages and the public page use it. Its rule:

- The language of the page or message decides the notation of all its numbers, whatever the currency
  is: $92,140.12 and Rp1,474,248,000 in English, US$92.140,12 and Rp1.474.248.000 in Indonesian.
- A price has two decimals from 1 upwards and four significant digits below, as the rounded value
  has them: $92,140.12, $1.00, $0.07657, $0.000004712. Rupiah are whole from 100 upwards.
- An own amount is written in cents or whole rupiah. A residue below half of that is zero: Rp0.
- A compact amount has three significant digits and a unit: $1.70T, $85.4B, $950M, $12.3K; in
  Indonesian Rp1,70 T, Rp85,4 M (miliar), Rp950 jt (juta), Rp12,3 rb (ribu). From 1,000 T upwards
  it is whole and grouped: Rp30.010 T. Below one it has two decimals; zero has none.
- A percentage has one decimal, and none from 1,000% upwards. A change has a sign.
- A quantity has every digit that it has, up to 18 decimals. A count is whole.
- Zero has no sign. The minus sign is U+2212, as wide as a plus sign; messages replace it with a
  hyphen, which people can paste into a calculator. From 10^18 upwards: $1.00e+18. Unknown: a dash.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import Literal

Language = Literal["en", "id"]
Currency = Literal["USD", "IDR"]
Amount = float | Decimal | str

UNKNOWN = "—"
MINUS = "\N{MINUS SIGN}"
# Below one dollar a fixed number of cents would round most coins to $0.00, so a price shows its
# leading digits instead.
SIGNIFICANT_DIGITS, COMPACT_DIGITS = 4, 3
# The API accepts no finer amounts either.
MAX_DECIMAL_PLACES = 18
_LARGEST = Decimal(10) ** 18
# Enough for every amount below that with all its decimals.
_CONTEXT = Context(prec=60)
_SYMBOLS: dict[Language, dict[Currency, str]] = {
    "en": {"USD": "$", "IDR": "Rp"},
    "id": {"USD": "US$", "IDR": "Rp"},
}
DECIMAL_POINTS: dict[Language, str] = {"en": ".", "id": ","}
_GROUP_SEPARATORS: dict[Language, str] = {"en": ",", "id": "."}
_SWAPPED = str.maketrans(",.", ".,")
_UNITS: dict[Language, tuple[str, ...]] = {
    "en": ("T", "B", "M", "K", ""),
    "id": (" T", " M", " jt", " rb", ""),
}
_EXPONENTS = (12, 9, 6, 3, 0)


def format_price(amount: Amount | None, currency: Currency, language: Language) -> str:
    """Return the price of one coin: $92,140.12, $0.000004712, Rp1.474.248.000."""
    if amount is None:
        return UNKNOWN
    value = _to_decimal(amount)
    rounded = _round(value, _find_price_places(value, currency))
    places = _find_price_places(rounded, currency)
    return _write(value, places, language, before=_SYMBOLS[language][currency])


def _find_price_places(value: Decimal, currency: Currency) -> int:
    if currency == "IDR" and abs(value) >= 100:
        return 0  # prices in Indonesia are written in whole rupiah
    if abs(value) >= 1 or not value:
        return 2
    return min(SIGNIFICANT_DIGITS - 1 - value.adjusted(), MAX_DECIMAL_PLACES)


def format_own_amount(
    amount: Amount | None, currency: Currency, language: Language, *, signed: bool = False
) -> str:
    """Return an amount of a person's money in cents or whole rupiah: $14,120.51, Rp0."""
    if amount is None:
        return UNKNOWN
    places = 0 if currency == "IDR" else 2
    symbol = _SYMBOLS[language][currency]
    return _write(_to_decimal(amount), places, language, before=symbol, signed=signed)


def format_whole_amount(amount: Amount | None, currency: Currency, language: Language) -> str:
    """Return a large amount with all digits before its decimals: $1,903,411,220,118."""
    if amount is None:
        return UNKNOWN
    return _write(_to_decimal(amount), 0, language, before=_SYMBOLS[language][currency])


def format_compact_amount(amount: Amount | None, currency: Currency, language: Language) -> str:
    """Return a large amount in three digits with a unit: $1.70T, Rp85,4 M."""
    if amount is None:
        return UNKNOWN
    value = _to_decimal(amount)
    rounded = abs(Context(prec=COMPACT_DIGITS).create_decimal(value))
    index = next((i for i, e in enumerate(_EXPONENTS) if rounded >= Decimal(10) ** e), -1)
    if abs(value) >= _LARGEST:
        index = -1
    scaled = value.scaleb(-_EXPONENTS[index], context=_CONTEXT)
    # The digits before the decimal point, at least one.
    whole = max(1, rounded.adjusted() - _EXPONENTS[index] + 1)
    places = max(0, COMPACT_DIGITS - whole) if _round(value, 2) else 0
    symbol, unit = _SYMBOLS[language][currency], _UNITS[language][index]
    return _write(scaled, places, language, before=symbol, after=unit)


def format_percent(fraction: float | None, language: Language, *, signed: bool = False) -> str:
    """Return a fraction of one as a percentage: 0.0312 is 3.1%, and +3.1% when signed."""
    if fraction is None:
        return UNKNOWN
    value = _to_decimal(fraction).scaleb(2, context=_CONTEXT)
    places = 0 if abs(value) >= Decimal("999.95") else 1
    return _write(value, places, language, after="%", signed=signed)


def classify_change(fraction: float | None) -> Literal["rise", "fall", ""]:
    """Return the style class of a change; an empty one if it is unknown or rounded to zero."""
    if fraction is None or not _round(_to_decimal(fraction), 3):
        return ""
    return "rise" if fraction > 0 else "fall"


def format_quantity(amount: Amount | None, language: Language, *, signed: bool = False) -> str:
    """Return a number of coins with every digit that it has: 1,250.5, 0.00000001."""
    if amount is None:
        return UNKNOWN
    value = _to_decimal(amount)
    digits = f"{_round(value, MAX_DECIMAL_PLACES):f}".rstrip("0")
    places = len(digits.partition(".")[2]) if "." in digits else 0
    return _write(value, places, language, signed=signed)


def format_count(number: float | None, language: Language = "en") -> str:
    """Return a whole number: 2,880,000."""
    return UNKNOWN if number is None else _write(_to_decimal(number), 0, language)


def format_decimal(number: float | None, places: int, language: Language) -> str:
    """Return a number without a unit, such as a ratio: 1.40."""
    return UNKNOWN if number is None else _write(_to_decimal(number), places, language)


def parse_amount(text: str, language: Language) -> Decimal | None:
    """Return the number that a text means in a language; None if it means none.

    100.000 is 100 in English and 100000 in Indonesian.
    """
    group, point = re.escape(_GROUP_SEPARATORS[language]), re.escape(DECIMAL_POINTS[language])
    grouped, short = rf"[1-9]\d{{0,2}}({group}\d{{3}})+({point}\d+)?", rf"\d+({point}\d+)?"
    if not re.fullmatch(f"{grouped}|{short}", text):
        return None
    return Decimal(
        text.translate(_SWAPPED).replace(",", "") if language == "id" else text.replace(",", "")
    )


def _to_decimal(amount: Amount) -> Decimal:
    """Return the number as it is written: a float has the digits that Python shows."""
    return Decimal(repr(amount)) if isinstance(amount, float) else Decimal(amount)


def _round(value: Decimal, places: int) -> Decimal:
    if abs(value) >= _LARGEST:
        return value
    return value.quantize(Decimal(1).scaleb(-places), context=_CONTEXT)


def _write(
    value: Decimal,
    places: int,
    language: Language,
    *,
    before: str = "",
    after: str = "",
    signed: bool = False,
) -> str:
    rounded = _round(value, places)
    size = rounded.copy_abs()  # abs() would round it to the 28 digits of Python's context
    digits = f"{size:,.{places}f}" if size < _LARGEST else f"{size:.2e}"
    if language == "id":
        digits = digits.translate(_SWAPPED)
    sign = MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
    return f"{sign}{before}{digits}{after}"
