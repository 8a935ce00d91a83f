"""The request that adds or edits a transaction, and the response to an import."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from services.api.portfolio.models import TransactionKind
from services.api.portfolio.transactions_csv import MAIN_WALLET
from services.api.schemas.base import (
    NO_NUL,
    Amount,
    ApiModel,
    SignedAmount,
    Timestamp,
    UnsignedAmount,
    example_config,
)

TransactionCoin = Annotated[
    str, Field(min_length=1, max_length=100, pattern=NO_NUL, examples=["bitcoin"])
]
# A wallet's name without the spaces around it; "main" is the main wallet, which is stored as ''.
WalletName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=50, pattern=NO_NUL),
    AfterValidator(lambda name: "" if name.casefold() == MAIN_WALLET else name),
]


class TransactionRequest(BaseModel):
    """An entry of the portfolio; without `kind` a purchase, or a sale if the quantity is negative.

    A trade gives coins (`quantity` below 0) for `to_quantity` of `to_coin_id`; its `price` is that
    of one coin given. A transfer with `to_wallet` moves coins between own wallets. Without it the
    coins arrive from outside, or leave if `quantity` is below 0, and count as bought or sold at
    their `price`. A reward has no price.

    `price` and `fee` are in `currency`. Rupiah need a rate: `idr_per_usd`, or one that a run
    observed within a day of `made_at`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: TransactionKind | None = None
    wallet: WalletName = ""
    coin_id: TransactionCoin
    quantity: Annotated[SignedAmount, Field(examples=["0.25"])]
    # Of one `coin_id`; rewards and transfers between own wallets need none.
    price: Annotated[UnsignedAmount | None, Field(examples=["91000"])] = None
    fee: UnsignedAmount = Decimal(0)
    currency: Literal["usd", "idr"] = "usd"
    made_at: Annotated[Timestamp | None, Field(examples=["2026-11-20T09:30:00Z"])] = None
    idr_per_usd: UnsignedAmount | None = None
    to_coin_id: TransactionCoin | None = None
    to_quantity: UnsignedAmount | None = None
    to_wallet: WalletName | None = None
    note: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = ""


class PastPriceResponse(ApiModel):
    """The last stored price before a moment; null, with a reason, if there is none."""

    model_config = example_config("""{"coin_id": "bitcoin", "at": "2026-11-20T09:30:00Z",
        "price_usd": "91000", "price_idr": "1478750000", "idr_per_usd": "16250",
        "observed_at": "2026-11-20T09:28:41Z", "source": "database", "reason": null}""")

    coin_id: str
    at: datetime
    price_usd: Amount | None
    # Null also if the rate is unknown.
    price_idr: Amount | None
    # The rate nearest to the moment, within a day of it.
    idr_per_usd: Amount | None
    observed_at: datetime | None
    source: Literal["database", "archive"] | None
    # Why there is no price.
    reason: str | None


class ImportResponse(ApiModel):
    """How many lines of a CSV were new, and how many were skipped because they exist already."""

    added: int
    skipped: int
