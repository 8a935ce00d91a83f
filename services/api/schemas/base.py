"""The base of all response classes, and field types that several requests and responses share.

Prices are in USD, shares are fractions, times are in UTC.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Context, Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Body
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

T = TypeVar("T")

# PostgreSQL cannot store the character NUL in a text column.
NO_NUL = r"^[^\x00]*$"
# The smallest part of a coin that the API accepts; most tokens have 18 decimal places.
SMALLEST_AMOUNT = Decimal("1e-18")
LARGEST_AMOUNT = 10**20
# The significant digits of an amount in a response.
AMOUNT_DIGITS = 20

PriceSource = Literal["observed", "backfilled"]
AlertKind = Literal["panic", "reversal"]
ForecastDirection = Literal["bullish", "bearish", "neutral"]

_AMOUNT_PATTERN = r"-?[0-9]{1,20}(\.[0-9]{1,18})?"
_DATE_PATTERN = r"\d{4,}-\d\d-\d\d"


def _parse_amount(value: Any) -> Any:
    """Return a JSON number as the decimal it is written as, rounded to SMALLEST_AMOUNT."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) <= LARGEST_AMOUNT:
            # An amount may have 21 + 18 digits; the default precision of 28 would raise an error.
            return Decimal(repr(value)).quantize(SMALLEST_AMOUNT, context=Context(prec=60))
        return value
    if isinstance(value, str) and not re.fullmatch(_AMOUNT_PATTERN, value):
        raise ValueError("must be a decimal number such as 0.25, with at most 18 decimal places")
    return value


def _amount_schema(pattern: str, minimum: int) -> WithJsonSchema:
    number = {"type": "number", "minimum": minimum, "maximum": LARGEST_AMOUNT}
    return WithJsonSchema({"anyOf": [{"type": "string", "pattern": f"^{pattern}$"}, number]})


# An amount in a request, as text or as a JSON number.
SignedAmount = Annotated[
    Decimal,
    BeforeValidator(_parse_amount),
    Field(ge=-LARGEST_AMOUNT, le=LARGEST_AMOUNT),
    _amount_schema(_AMOUNT_PATTERN, -LARGEST_AMOUNT),
]
UnsignedAmount = Annotated[
    Decimal,
    BeforeValidator(_parse_amount),
    Field(ge=0, le=LARGEST_AMOUNT),
    _amount_schema(_AMOUNT_PATTERN.removeprefix("-?"), 0),
]


def format_amount(value: Decimal) -> str:
    """Return an amount in plain notation with at most 20 significant digits, rounded half even.

    What is smaller than the product of the smallest quantity and price is what a division left
    over, and becomes 0.
    """
    exact = value.quantize(SMALLEST_AMOUNT**2, context=Context(prec=200))
    return strip_zeros(Context(prec=AMOUNT_DIGITS).plus(exact))


def strip_zeros(amount: Decimal) -> str:
    """Return an amount in plain notation, without zeros at its end."""
    whole, point, places = f"{amount:f}".partition(".")
    text = (whole + point + places.rstrip("0")).removesuffix(".")
    return "0" if text == "-0" else text


# An amount in a response, as text: most JSON readers parse numbers as floats and would lose digits
# of the user's money.
Amount = Annotated[Decimal, PlainSerializer(format_amount, return_type=str, when_used="json")]
# A fraction in a response, as a number.
Share = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]


def _parse_timestamp(value: Any) -> Any:
    """Reject bare numbers: they could mean seconds or milliseconds."""
    is_text_date = isinstance(value, str) and re.match(_DATE_PATTERN, value)
    if not is_text_date and not isinstance(value, datetime):
        raise ValueError("must be a time such as 2026-11-20T09:30:00Z")
    return value


# A request's CSV file as it is. Its schema has no type, because the body may be any text.
CSV_MEDIA_TYPE = "text/csv"
CsvBody = Annotated[
    bytes,
    Body(media_type=CSV_MEDIA_TYPE),
    WithJsonSchema({"contentMediaType": CSV_MEDIA_TYPE}),
]

# A time in a request, in ISO 8601.
Timestamp = Annotated[datetime, BeforeValidator(_parse_timestamp)]


class ApiModel(BaseModel):
    """The base of every response."""

    model_config = ConfigDict(frozen=True)


def example_config(text: str) -> ConfigDict:
    """Return a model configuration that puts an example into the OpenAPI description.

    The example is written as JSON, as a client receives it.
    """
    return ConfigDict(frozen=True, json_schema_extra={"examples": [json.loads(text)]})


class Page(ApiModel, Generic[T]):
    """One page of a list.

    `next` is the value of `before` or `offset` that requests the next page; null on the last page.
    """

    items: list[T]
    next: str | None = None
