"""Responses about paper-trading wallets: results, positions, equity curve, trades."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from services.api.schemas.base import Amount, ApiModel, example_config


class PositionResponse(ApiModel):
    """A wallet's position in one coin, and the cash reserved for that coin."""

    coin_id: str
    quantity: Amount
    cash_usd: Amount
    # Whether an order waits for the next price.
    has_order: bool


class WalletResponse(ApiModel):
    """The results of a wallet, as if all positions were sold at the last price.

    If the wallet's ledger or its prices cannot be used, `problem` says why and the figures are
    null. Rates are null below ten closed round trips, and rates per year in the first 30 days too.
    A round trip goes from the purchase that opens a position to the sale of its last coin.
    """

    model_config = example_config("""{"name": "slow", "strategy": "sma-cross (fast=24, slow=96)",
        "opened_at": "2026-11-01T12:00:00Z", "closed_at": null, "problem": null, "remarks": [],
        "initial_usd": 10000.0, "final_usd": 10420.5, "net_profit_usd": 420.5,
        "total_return": 0.04205, "buy_and_hold_return": 0.031, "fees_usd": 41.2, "trades": 24,
        "round_trips": 12, "refused_fills": 1, "max_drawdown": 0.06, "exposure": 0.54,
        "win_rate": 0.57, "cagr": 1.1, "sharpe": 1.4, "sortino": 2.0, "volatility": 0.4,
        "calmar": 18.3, "profit_factor": 1.7, "longest_drawdown_days": 4.5}""")

    name: str
    strategy: str
    opened_at: datetime
    closed_at: datetime | None
    problem: str | None
    remarks: list[str] = Field(default_factory=list)
    initial_usd: float | None = None
    final_usd: float | None = None
    net_profit_usd: float | None = None
    # Returns, drawdown, exposure, win rate and CAGR are fractions.
    total_return: float | None = None
    buy_and_hold_return: float | None = None
    fees_usd: float | None = None
    # Filled orders, and positions that were opened and closed again.
    trades: int | None = None
    round_trips: int | None = None
    # Orders rejected because the next price was backfilled or came too late.
    refused_fills: int | None = None
    max_drawdown: float | None = None
    # Average share of the money that was invested in coins.
    exposure: float | None = None
    win_rate: float | None = None
    cagr: float | None = None
    sharpe: float | None = None
    sortino: float | None = None
    volatility: float | None = None
    calmar: float | None = None
    profit_factor: float | None = None
    longest_drawdown_days: float | None = None


class WalletsResponse(ApiModel):
    """All wallets, in the order in which they were opened."""

    items: list[WalletResponse]


class WalletPointResponse(ApiModel):
    """A wallet's value at one time, beside the value of buying and holding."""

    valued_at: datetime
    value_usd: float
    buy_and_hold_usd: float


class WalletTradeResponse(ApiModel):
    """A filled order. Side `close` is what selling the open position at the last price would be."""

    traded_at: datetime
    coin_id: str
    side: Literal["buy", "sell", "close"]
    price_usd: Amount
    quantity: Amount
    cash_usd: Amount
    fee_usd: Amount


class WalletDetailResponse(ApiModel):
    """A wallet with its positions, its equity curve and its trades, the newest trade first."""

    wallet: WalletResponse
    positions: list[PositionResponse]
    curve: list[WalletPointResponse]
    trades: list[WalletTradeResponse]
