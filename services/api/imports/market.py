"""Read the prices and rupiah rates of the times of a file's entries."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from sentinel.storage.connection import Connection
from services.api.dependencies import ApiContext
from services.api.portfolio.past_prices import Wanted, add_archived_prices, read_stored_prices
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


@dataclass(frozen=True, slots=True)
class PastMarket:
    """Stored prices and rates of past times, each at most a day away."""

    rates: Mapping[datetime, Decimal] = field(default_factory=dict)
    prices: Mapping[Wanted, Decimal] = field(default_factory=dict)
    # Why prices may be missing; it follows "no price of Bitcoin on 2026-03-01 is stored".
    note: str = ""


def read_past_market(
    context: ApiContext,
    connection: Connection,
    times: Collection[datetime],
    wanted: Collection[Wanted],
) -> PastMarket:
    """Return the rates of `times` and the wanted prices, from the database and the archive."""
    parameters = {"times": list(times), "tolerance": MAX_RATE_AGE}
    rates = connection.execute(NEAREST_RATES, parameters).fetchall()
    stored = read_stored_prices(connection, wanted, context.now())
    book = add_archived_prices(stored, wanted, context.past_prices, context.monitor.settings)
    return PastMarket(
        {at: to_decimal(rate) for at, rate in rates},
        {key: quote.price_usd for key, quote in book.quotes.items()},
        book.note,
    )
