"""Figures of the market pages for tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sentinel.site.market import HOURS, Market, MarketCoin
from tests.support.site import NOW


def make_coin(coin_id: str = "bitcoin", **changed: Any) -> MarketCoin:
    """Return a coin whose price rose evenly for 7 days, to 100 USD, with `changed` fields."""
    values: dict[str, Any] = {
        "coin_id": coin_id,
        "symbol": coin_id[:3],
        "name": coin_id.title(),
        "rank": 1,
        "price_usd": 100.0,
        "observed_at": NOW - timedelta(minutes=2),
        "market_cap_usd": 1.9e12,
        "volume_24h_usd": 4.2e10,
        "prices_usd": [80.0 + 20.0 * hour / (HOURS - 1) for hour in range(HOURS)],
        "sources": ["observed"] * HOURS,
    }
    return MarketCoin(**values | changed)


def make_market(*coins: MarketCoin, **changed: Any) -> Market:
    """Return a market of coins, with `changed` fields."""
    values: dict[str, Any] = {
        "generated_at": NOW,
        "charts_from": NOW - timedelta(hours=HOURS - 1),
        "coins": coins,
        "idr_per_usd": 16_250.0,
        "idr_at": NOW - timedelta(minutes=9),
    }
    return Market(**values | changed)
