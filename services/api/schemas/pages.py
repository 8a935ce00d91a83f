"""Responses that hold all that one page of the dashboard shows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.api.portfolio.models import TransactionKind
from services.api.schemas.alerts import AlertResponse
from services.api.schemas.base import Amount, ApiModel
from services.api.schemas.coins import (
    CoinDetailResponse,
    CoinResponse,
    ExchangeRateResponse,
    HistoryResponse,
    MoverResponse,
)
from services.api.schemas.forecasts import ForecastResponse
from services.api.schemas.pipeline import GapResponse
from services.api.schemas.price_targets import PriceTargetResponse

# Fractions of the price at the start of the span; null if that price, or one of now, is unknown.
Change = Annotated[float | None, Field(examples=[-0.012])]


class OverviewCoinResponse(CoinResponse):
    """A coin in the table of all coins."""

    change_1h: Change
    change_24h: Change
    change_7d: Change
    # The last price of each step of `OverviewResponse`; null for a step without an observation.
    sparkline_usd: list[float | None]


class OverviewResponse(ApiModel):
    """The table of the best-ranked coins, and what stands beside it."""

    # By rank.
    coins: list[OverviewCoinResponse]
    # The start of the sparklines' first step.
    sparkline_start: datetime
    sparkline_step_seconds: float
    # The coins of the table that rose and fell most in 24 hours.
    gainers: list[MoverResponse]
    losers: list[MoverResponse]
    # The newest alerts.
    alerts: list[AlertResponse]
    rate: ExchangeRateResponse


class CoinTransactionResponse(ApiModel):
    """An own transaction of the coin; transfers between own wallets are left out."""

    transaction_id: int
    made_at: datetime
    kind: TransactionKind
    # '' is the main wallet.
    wallet: str
    # Below 0 for coins that were sold, given in a trade or sent away.
    quantity: Amount
    # Of one coin; 0 for a reward.
    price_usd: Amount
    note: str


class CoinPageResponse(ApiModel):
    """A coin: its figures, its history, and what the chart marks."""

    coin: CoinDetailResponse
    change_1h: Change
    change_24h: Change
    change_7d: Change
    # The lowest and the highest price of the last 24 hours; null without an observation.
    low_24h_usd: float | None
    high_24h_usd: float | None
    history: HistoryResponse
    # Null if the last hour has too few observations for one.
    forecast: ForecastResponse | None
    # The newest 100, the newest first.
    alerts: list[AlertResponse]
    # Of the last seven days.
    gaps: list[GapResponse]
    # The coin's targets as `/price-targets` lists them.
    price_targets: list[PriceTargetResponse]
    # The newest 500, by time; without transfers between own wallets.
    transactions: list[CoinTransactionResponse]
