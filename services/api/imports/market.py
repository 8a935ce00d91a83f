"""Read the prices and rupiah rates of the times of a file's entries."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from sentinel.storage.connection import Connection
from services.api.dependencies import ApiContext
from services.api.portfolio.past_prices import add_archived_prices, read_stored_prices
from services.api.portfolio.price_book import Wanted
from services.api.portfolio.quotes import find_nearest_rates


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
    rates = find_nearest_rates(connection, times)
    stored = read_stored_prices(connection, wanted, context.now())
    book = add_archived_prices(stored, wanted, context.past_prices, context.monitor.settings)
    return PastMarket(
        rates,
        {key: quote.price_usd for key, quote in book.quotes.items()},
        book.note,
    )
