"""A price target in ingest_config.json."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from sentinel.analytics.price_targets import MAX_NOTE_CHARACTERS, MAX_PRICE, Currency, Direction


def _check_text(text: str) -> str:
    """PostgreSQL stores neither NUL nor lone surrogates."""
    if "\0" in text or text != text.encode("utf-8", "replace").decode():
        raise ValueError(f"{text!r:.60} has characters that no database stores: remove them")
    return text


def _parse_price(value: Any) -> Any:
    """Return a JSON number as the decimal that it is written as; a text may have more digits."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return Decimal(str(value))
        except InvalidOperation as error:
            raise ValueError(f"{value!r:.60} is not a number: write one such as 0.25") from error
    return value


def _parse_time(value: Any) -> Any:
    """Return a time in ISO 8601; without a zone it is UTC."""
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
        except ValueError as error:
            example = "2027-01-31T17:00:00Z"
            raise ValueError(f"{value!r:.60} is not a time: write one such as {example}") from error
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    return value


def _strip_term(text: str) -> str:
    if not (term := text.strip()):
        raise ValueError("the coin is blank: write its id, symbol or name, or remove the entry")
    return term


# A coin's id, symbol or name.
CoinTerm = Annotated[str, AfterValidator(_check_text), AfterValidator(_strip_term)]


class ConfiguredTarget(BaseModel):
    """An entry of `monitor.price_targets`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    coin: CoinTerm
    # The line, in `currency`.
    price: Annotated[
        Decimal, BeforeValidator(_parse_price), Field(gt=0, le=MAX_PRICE, allow_inf_nan=False)
    ]
    currency: Currency = "usd"
    # None: the direction in which the price has to move when the target is first read.
    direction: Direction | None = None
    repeats: bool = False
    expires_at: Annotated[datetime, BeforeValidator(_parse_time)] | None = None
    note: Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS), AfterValidator(_check_text)] = ""

    @property
    def identity(self) -> str:
        """A digest of all fields: an entry that is edited is another target."""
        fields = self.model_dump() | {"price": self.price.normalize()}
        return hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()
