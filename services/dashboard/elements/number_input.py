"""Numbers that a viewer types, in the notation of the page's language."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from sentinel.amounts import Currency, Language
from services.dashboard.language import tr

# The API accepts no more decimals.
MAX_DECIMAL_PLACES = 18


def parse_number(text: str, language: Language, currency: Currency | None = None) -> Decimal | None:
    """Return the number that a text means, None for an empty one.

    It is an amount of a currency, or without one a quantity. Raises ValueError for a text that is
    no number, and for a quantity that could be meant a thousand times larger.
    """
    # Web pages and spreadsheets write no-break spaces and a typographic minus sign.
    plain = re.sub(r"\s|\xa0|US\$|\$|Rp", "", text).replace("\N{MINUS SIGN}", "-")
    if not plain:
        return None
    group, point = (".", ",") if language == "id" else (",", ".")
    if currency == "IDR" and re.fullmatch(r"[1-9]\d{0,2}([.,])\d{3}(\1\d{3})*", plain):
        # Rupiah have no decimals in use, so either sign before three digits groups them.
        return Decimal(re.sub("[.,]", "", plain))
    if currency is None and re.fullmatch(rf"-?[1-9]\d{{0,2}}[{group}]\d{{3}}", plain):
        raise ValueError(
            tr(
                "{number} could be {large} or {small}: write one of them.",
                number=text.strip(),
                large=plain.replace(group, ""),
                small=plain.replace(group, point),
            )
        )
    if re.fullmatch(rf"-?[1-9]\d{{0,2}}([{group}]\d{{3}})+([{point}]\d+)?", plain):
        plain = plain.replace(group, "")
    try:
        number = Decimal(plain.replace(",", "."))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ValueError(tr("{entered} is not a number.", entered=text.strip()[:40]))
    return number


def format_for_api(number: Decimal) -> str:
    """Return a number as the API reads it: no exponent, at most MAX_DECIMAL_PLACES decimals."""
    text = f"{number:.{MAX_DECIMAL_PLACES}f}"
    return text.rstrip("0").removesuffix(".")
