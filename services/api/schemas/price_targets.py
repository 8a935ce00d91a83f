"""The request that adds a price target, the targets themselves, and the preview of one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from sentinel.analytics.price_targets import MAX_NOTE_CHARACTERS, Currency, Direction
from services.api.schemas.base import NO_NUL, Amount, ApiModel, Timestamp, UnsignedAmount


class PriceTargetRequest(BaseModel):
    """A price target of a coin, in USD or rupiah.

    Without `direction` it is the one in which the price has to move from where it is now.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    coin_id: Annotated[
        str, Field(min_length=1, max_length=100, pattern=NO_NUL, examples=["bitcoin"])
    ]
    price: Annotated[UnsignedAmount, Field(examples=["100000"])]
    currency: Currency = "usd"
    direction: Direction | None = None
    # Whether it fires again after the price has returned.
    repeats: StrictBool = False
    expires_at: Annotated[Timestamp | None, Field(examples=["2027-01-31T17:00:00Z"])] = None
    note: Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS, pattern=NO_NUL)] = ""
    # Which program sends it.
    source: Literal["api", "dashboard", "telegram"] = "api"


class PriceTargetResponse(ApiModel):
    """A price target: open, or closed because it fired once or expired."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    target_id: int
    coin_id: str
    symbol: str
    name: str
    direction: Direction
    # In `currency`.
    price: Amount
    currency: Currency
    repeats: bool
    expires_at: datetime | None
    note: str
    source: Literal["api", "dashboard", "telegram", "settings"]
    state: Literal["open", "fired", "expired"]
    # Whether the next crossing fires; false: the price has to return first; null: unknown yet.
    is_armed: bool | None
    created_at: datetime
    closed_at: datetime | None
    last_fired_at: datetime | None
    fired_count: int


class TargetCrossingResponse(ApiModel):
    """An observation at which a target would have fired."""

    observed_at: datetime
    # In the target's currency.
    price: Amount


class PriceTargetPreviewResponse(ApiModel):
    """When a target would have fired over the stored prices, if it repeats."""

    direction: Direction
    # The newest price in the target's currency; null: none within a day.
    current_price: Amount | None
    # Whether that price is at the target or beyond it already: then it has to return first.
    is_reached: bool
    # The first price that was looked at; null: no prices are stored.
    since: datetime | None
    crossings: list[TargetCrossingResponse]
