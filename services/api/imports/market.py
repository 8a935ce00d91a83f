"""Read the stored prices and rupiah rates of many past times at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from sentinel.storage.connection import Connection
from services.api.portfolio.quotes import MAX_RATE_AGE, to_decimal

# For each time the rate nearest to it, if one was observed within `tolerance`. Both neighbors come
# from the index; sorting all rates of two days for each of 10,000 times would take seconds.
NEAREST_RATES = """
SELECT t.at, near.per_usd
FROM unnest(%(times)s::timestamptz[]) AS t (at)
CROSS JOIN LATERAL (
    (SELECT per_usd, t.at - observed_at AS distance FROM sentinel.fx_rates
     WHERE currency = 'idr' AND observed_at BETWEEN t.at - %(tolerance)s AND t.at
     ORDER BY observed_at DESC LIMIT 1)
    UNION ALL
    (SELECT per_usd, observed_at - t.at FROM sentinel.fx_rates
     WHERE currency = 'idr' AND observed_at BETWEEN t.at AND t.at + %(tolerance)s
     ORDER BY observed_at LIMIT 1)
    ORDER BY distance LIMIT 1) AS near
"""
# The same for prices of coins.
NEAREST_PRICES = """
SELECT c.coin_id, t.at, near.price_usd
FROM unnest(%(coin_ids)s::text[], %(times)s::timestamptz[]) AS t (coin_id, at)
JOIN sentinel.coins c USING (coin_id)
CROSS JOIN LATERAL (
    (SELECT price_usd, t.at - observed_at AS distance FROM sentinel.observations
     WHERE coin_key = c.coin_key AND observed_at BETWEEN t.at - %(tolerance)s AND t.at
     ORDER BY observed_at DESC LIMIT 1)
    UNION ALL
    (SELECT price_usd, observed_at - t.at FROM sentinel.observations
     WHERE coin_key = c.coin_key AND observed_at BETWEEN t.at AND t.at + %(tolerance)s
     ORDER BY observed_at LIMIT 1)
    ORDER BY distance LIMIT 1) AS near
"""


@dataclass(frozen=True, slots=True)
class PastMarket:
    """Stored prices and rates, each from within a day of its time."""

    rates: Mapping[datetime, Decimal] = field(default_factory=dict)
    prices: Mapping[tuple[str, datetime], Decimal] = field(default_factory=dict)


def read_past_market(
    connection: Connection,
    times: Collection[datetime],
    coin_times: Collection[tuple[str, datetime]],
) -> PastMarket:
    """Return the rates of `times`, and the price of each coin at its time in `coin_times`."""
    rates = connection.execute(
        NEAREST_RATES, {"times": list(times), "tolerance": MAX_RATE_AGE}
    ).fetchall()
    prices = connection.execute(
        NEAREST_PRICES,
        {
            "coin_ids": [coin_id for coin_id, _ in coin_times],
            "times": [at for _, at in coin_times],
            "tolerance": MAX_RATE_AGE,
        },
    ).fetchall()
    return PastMarket(
        {at: to_decimal(rate) for at, rate in rates},
        {(coin_id, at): to_decimal(price) for coin_id, at, price in prices},
    )
