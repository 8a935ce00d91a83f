"""Requests and responses of the portfolio: transactions, holdings, profit, net worth."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.api.schemas.base import ApiModel, example_config
from services.api.schemas.fields import NO_NUL, Amount, SignedAmount, Timestamp, UnsignedAmount


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


class TransactionResponse(ApiModel):
    """A stored transaction, in USD; `idr_per_usd` is the rate of its date, null if unknown."""

    model_config = example_config(
        transaction_id=1,
        coin_id="bitcoin",
        quantity="0.25",
        price_usd="91000",
        fee_usd="0",
        idr_per_usd="16250",
        made_at="2026-11-20T09:30:00Z",
        note="",
    )

    transaction_id: int
    coin_id: str
    quantity: Amount
    price_usd: Amount
    fee_usd: Amount
    idr_per_usd: Amount | None
    made_at: datetime
    note: str


class ImportResponse(ApiModel):
    """How many lines of a CSV were new, and how many were skipped because they exist already."""

    added: int
    skipped: int


class ProfitResponse(ApiModel):
    """Profit in USD and in rupiah; null if a price or a rate is missing.

    The profit in rupiah is the coin's move plus the rupiah's move minus fees.
    """

    usd: Amount | None
    idr: Amount | None
    coin_move_idr: Amount | None
    rupiah_move_idr: Amount | None
    fees_usd: Amount
    fees_idr: Amount | None


class CostBasisResponse(ApiModel):
    """What the coins still held have cost, fees included, and the profit that sales realized."""

    cost_usd: Amount
    realized_usd: Amount


class HoldingResponse(ApiModel):
    """One coin of the portfolio."""

    coin_id: str
    symbol: str
    name: str
    quantity: Amount
    price_usd: Amount | None
    observed_at: datetime | None
    value_usd: Amount | None
    value_idr: Amount | None
    # Cost basis by moving average, and by first in, first out.
    average_cost: CostBasisResponse
    fifo_cost: CostBasisResponse
    total_profit: ProfitResponse
    # Of the last 24 hours.
    day_profit: ProfitResponse
    # Part of the net worth, as a fraction.
    share: float | None
    # Which prices and rates are unknown, in words.
    missing: list[str]


class NetWorthResponse(ApiModel):
    """The net worth at the end of a day, or now for the newest; null if a price is missing."""

    model_config = example_config(
        valued_at="2026-11-20T12:00:00Z",
        net_worth_usd="23035.03",
        net_worth_idr="374319250",
        missing=[],
    )

    valued_at: datetime
    net_worth_usd: Amount | None
    net_worth_idr: Amount | None
    missing: list[str]


class PortfolioResponse(ApiModel):
    """Net worth and profit at the newest prices and exchange rate.

    Sums leave out the coins that `missing` names.
    """

    net_worth_usd: Amount
    net_worth_idr: Amount | None
    idr_per_usd: Amount | None
    rate_observed_at: datetime | None
    total_profit: ProfitResponse
    day_profit: ProfitResponse
    holdings: list[HoldingResponse]
    history: list[NetWorthResponse]
    missing: list[str]
