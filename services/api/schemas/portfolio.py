"""The request that adds a transaction, and the response to an import."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.api.schemas.base import NO_NUL, ApiModel, SignedAmount, Timestamp, UnsignedAmount


class TransactionRequest(BaseModel):
    """A purchase, or a sale if the quantity is negative.

    `price` and `fee` are in `currency`. Rupiah need a rate: `idr_per_usd`, or one that a run
    observed within a day of `made_at`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    coin_id: Annotated[
        str, Field(min_length=1, max_length=100, pattern=NO_NUL, examples=["bitcoin"])
    ]
    quantity: Annotated[SignedAmount, Field(examples=["0.25"])]
    price: Annotated[UnsignedAmount, Field(examples=["91000"])]
    fee: UnsignedAmount = Decimal(0)
    currency: Literal["usd", "idr"] = "usd"
    made_at: Annotated[Timestamp | None, Field(examples=["2026-11-20T09:30:00Z"])] = None
    idr_per_usd: UnsignedAmount | None = None
    note: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = ""


class ImportResponse(ApiModel):
    """How many lines of a CSV were new, and how many were skipped because they exist already."""

    added: int
    skipped: int
