"""Read the numbers, times, amounts and pairs of import files. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Literal

from services.api.imports.entries import Amount, BadLine
from services.api.imports.symbols import QUOTE_SYMBOLS

# Of a number: before the decimal point, and half of all.
MAX_DIGITS = 30
DateOrder = Literal["dmy", "mdy"]

# A sign, a currency before or behind the digits, and perhaps an exponent.
_CURRENCY = r"(?:rp\.?|idr|usd|kč|zł|kr|[a-z]{0,2}[^\w\s.,+'\"()-])"
_NUMBER = re.compile(
    rf"([-+]?)\s*{_CURRENCY}?\s*([-+]?)(\d[\d.,]*)(?:e([-+]?\d{{1,2}}))?\s*{_CURRENCY}?",
    re.IGNORECASE,
)
# A number, perhaps with a symbol behind it.
_LIKE_A_NUMBER = re.compile(
    rf"[-+]?\s*{_CURRENCY}?\s*[-+]?(\d[\d.,]*)\s*[^\s.,+-]{{0,12}}", re.IGNORECASE
)
_PLAIN = re.compile(r"\d+(\.\d+)?|\d{1,3}(,\d{3})+(\.\d+)?")
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?")
_SHORT_YEAR = re.compile(r"\d\d-\d\d-\d\d \d\d:\d\d:\d\d")
_CLOCK = r"(\d{1,2})[:.](\d\d)(?:[:.](\d\d))?"
_DAY_OR_MONTH_FIRST = re.compile(
    rf"(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}})(?:[ ,T]+{_CLOCK})?\s*([AaPp][Mm])?"
)
_MONTH_NAME = re.compile(rf"(\d{{1,2}})[ -]([A-Za-z]{{3,9}})[ -](\d{{4}})(?:[ ,]+{_CLOCK})?")
# English and Indonesian, by their first three letters.
_MONTHS = {
    "jan": 1,
    "feb": 2,
    "mar": 3,
    "apr": 4,
    "may": 5,
    "mei": 5,
    "jun": 6,
    "jul": 7,
    "aug": 8,
    "agu": 8,
    "agt": 8,
    "sep": 9,
    "oct": 10,
    "okt": 10,
    "nov": 11,
    "dec": 12,
    "des": 12,
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file writes numbers and times; None: its fields do not show it."""

    date_order: DateOrder | None
    decimal_comma: bool | None
    # Of times without a zone.
    zone: tzinfo = UTC

    def number(self, text: str) -> Decimal:
        """Return a number without currency and sign rules. Raises BadLine."""
        # In a run of spaces the search for the parts would take the square of its length.
        match = _NUMBER.fullmatch(" ".join(text.split()).replace("\u2212", "-"))
        if not match:
            raise BadLine(f"'{text[:40]}' is not a number.")
        digits, is_negative = match[3], "-" in match[1] + match[2]
        if self.decimal_comma is None and re.search("[.,]", digits):
            raise BadLine(
                f"'{text[:40]}' can be read with a decimal comma or a decimal point: say which in "
                "decimal_comma.",
                "decimal_comma",
            )
        if self.decimal_comma:
            digits = digits.translate(str.maketrans(".,", ",."))
        if not _PLAIN.fullmatch(digits):
            raise BadLine(f"'{text[:40]}' is not a number.")
        value = Decimal(digits.replace(",", "") + (f"e{match[4]}" if match[4] else ""))
        if value.adjusted() > MAX_DIGITS or len(value.as_tuple().digits) > 2 * MAX_DIGITS:
            raise BadLine(f"'{text[:40]}' has too many digits.")
        return -value if is_negative else value

    def amount(self, text: str, symbol: str = "") -> Amount:
        """Return an amount with the symbol behind it, such as 0.25BTC. Raises BadLine.

        `symbol` is the one that is expected: only it tells 0.5 1INCH from 0.51 INCH.
        """
        text = text.strip()
        if symbol and text.upper().endswith(symbol.upper()):
            return Amount(abs(self.number(text[: -len(symbol)])), symbol.upper())
        match = re.fullmatch(r"(.*?[\d.,])\s*([^\d\s.,+-][^\s,]{0,19})?", text)
        if not match or not (match[2] or symbol):
            raise BadLine(f"'{text[:40]}' is not an amount of a coin.")
        return Amount(abs(self.number(match[1])), (match[2] or symbol).upper())

    def time(self, text: str) -> datetime:
        """Return a time in UTC. Raises BadLine."""
        try:
            found = self._time(" ".join(text.removesuffix("UTC").split()))
            return (found if found.tzinfo else found.replace(tzinfo=self.zone)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            if isinstance(error, BadLine):
                raise
            raise BadLine(f"'{text[:40]}' is not a time.") from error

    def _time(self, text: str) -> datetime:
        if text.isascii() and text.isdigit() and len(text) in {10, 13}:
            return datetime.fromtimestamp(int(text[:10]), UTC)  # seconds or milliseconds
        text = re.sub(r"^(\d{4})/(\d\d)/(\d\d)", r"\1-\2-\3", text)
        if _ISO_TIME.fullmatch(text):
            return datetime.fromisoformat(text)
        if _SHORT_YEAR.fullmatch(text):
            return datetime.fromisoformat(f"20{text}")
        if match := _MONTH_NAME.fullmatch(text):
            day, month = int(match[1]), _MONTHS.get(match[2][:3].lower(), 0)
            clock = _clock(match[4], match[5], match[6])
            return datetime(int(match[3]), month, day, *clock, tzinfo=self.zone)
        if match := _DAY_OR_MONTH_FIRST.fullmatch(text):
            day, month = int(match[1]), int(match[3])
            if self._order(text) == "mdy":
                day, month = month, day
            clock = _clock(match[5], match[6], match[7], match[8])
            return datetime(int(match[4]), month, day, *clock, tzinfo=self.zone)
        raise ValueError(text)

    def _order(self, text: str) -> DateOrder:
        if self.date_order is None:
            raise BadLine(
                f"'{text[:40]}' can be day/month or month/day: say which in date_order "
                "(dmy or mdy).",
                "date_order",
            )
        return self.date_order


def _clock(
    hour: str | None, minute: str | None, second: str | None, half: str | None = None
) -> tuple[int, int, int]:
    hours = int(hour or 0)
    if half:
        if not 1 <= hours <= 12:
            raise ValueError(hour)
        hours = hours % 12 + (12 if half.lower() == "pm" else 0)
    return hours, int(minute or 0), int(second or 0)


def find_date_order(texts: Iterable[str]) -> DateOrder | None:
    """Return the order of dates such as 31/12/2026; None if no date or several orders show it."""
    found: set[DateOrder] = set()
    for text in texts:
        if match := _DAY_OR_MONTH_FIRST.fullmatch(text.strip()):
            if int(match[1]) > 12:
                found.add("dmy")
            elif int(match[3]) > 12:
                found.add("mdy")
    return found.pop() if len(found) == 1 else None


def find_decimal_comma(texts: Iterable[str]) -> bool | None:
    """Return whether numbers have a decimal comma; None if none or both styles are seen."""
    found: set[bool] = set()
    for text in texts:
        match = _LIKE_A_NUMBER.fullmatch(" ".join(text.split()))
        separators = re.findall("[.,]", match[1]) if match else []
        if not match or not separators:
            continue
        digits, last = match[1], separators[-1]
        whole, _, places = digits.rpartition(last)
        if separators.count(last) > 1:
            if len(set(separators)) == 1 and re.fullmatch(r"\d{1,3}([.,]\d{3})+", digits):
                found.add(last == ".")  # 1.234.567: the points only group
        elif len(set(separators)) == 2 or len(places) != 3 or len(whole) > 3 or whole == "0":
            found.add(last == ",")
    return found.pop() if len(found) == 1 else None


def split_pair(pair: str, quotes: Iterable[str] = QUOTE_SYMBOLS) -> tuple[str, str]:
    """Return the two symbols of a pair such as BTC/USDT or BTCUSDT. Raises BadLine."""
    text = pair.strip().upper()
    parts = re.split(r"[/_\-\s]+", text)
    if len(parts) == 2 and all(parts):
        return parts[0], parts[1]
    for quote in sorted(quotes, key=len, reverse=True):
        if len(parts) == 1 and text.endswith(quote) and len(text) > len(quote):
            return text.removesuffix(quote), quote
    raise BadLine(f"'{pair[:40]}' is not a pair of a coin and a currency that is known.")
