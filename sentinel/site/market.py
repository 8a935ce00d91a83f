"""The prices that the market pages show. They are shown and never handed out as a file.

CoinGecko's API terms allow to show data with a credit, and no redistribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

# Of a chart: the hour in which the figures were read, the one before, which may hold the newest
# prices, and the 7 days before that one.
HOURS = 170

# What an hour of a chart holds: no price, an observed one, or only backfilled ones.
HourSource = Literal["gap", "observed", "backfilled"]


@dataclass(frozen=True, slots=True)
class MarketCoin:
    """One coin: its newest observation, and its last 7 days by the hour."""

    coin_id: str
    symbol: str
    name: str
    rank: int | None
    price_usd: float
    observed_at: datetime
    # None: CoinGecko does not know it.
    market_cap_usd: float | None
    volume_24h_usd: float | None
    # HOURS entries, the oldest first: the last price of each hour in USD; None: a gap.
    prices_usd: Sequence[float | None]
    # HOURS entries.
    sources: Sequence[HourSource]


@dataclass(frozen=True, slots=True)
class Market:
    """All coins that are collected, by rank."""

    generated_at: datetime
    # Where the first hour of every chart begins: 169 hours before the full hour of generated_at.
    charts_from: datetime
    coins: Sequence[MarketCoin]
    # Rupiah for one USD; None: unknown.
    idr_per_usd: float | None
    # When that rate was stored.
    idr_at: datetime | None
