"""Read the prices and rates of past times from the database and, beyond it, from the archive."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from safe_zone import RETENTION, Settings
from sentinel.archive.price_lookup import PriceLookup
from sentinel.archive.store import open_configured_archive
from sentinel.errors import ArchiveDamaged, ArchiveUnavailable, ConfigurationError
from sentinel.storage.connection import Connection
from services.api.portfolio.models import ExchangeRate, PriceQuote
from services.api.portfolio.price_book import MAX_AGE, PriceBook, Wanted
from services.api.portfolio.quotes import to_decimal

log = logging.getLogger("sentinel.api.portfolio")

# Prices older than the retention wait for the archive for some days.
PURGE_DELAY = timedelta(days=7)
STILL_READING = " (the archive is still being read: try again in a minute)"
UNREADABLE = " (the archive cannot be read)"

# The last price at or before each time. Each pair looks into the partitions of two days.
PAST_PRICES = """
SELECT w.coin_id, w.at, o.price_usd, o.observed_at
FROM unnest(%(coin_ids)s::text[], %(times)s::timestamptz[]) AS w (coin_id, at)
JOIN sentinel.coins c USING (coin_id)
CROSS JOIN LATERAL (
    SELECT price_usd, observed_at FROM sentinel.observations
    WHERE coin_key = c.coin_key AND observed_at <= w.at AND observed_at > w.at - %(max_age)s
    ORDER BY observed_at DESC LIMIT 1) AS o
"""
PAST_RATES = """
SELECT w.at, r.per_usd, r.observed_at
FROM unnest(%(times)s::timestamptz[]) AS w (at)
CROSS JOIN LATERAL (
    SELECT per_usd, observed_at FROM sentinel.fx_rates
    WHERE currency = 'idr' AND observed_at <= w.at AND observed_at > w.at - %(max_age)s
    ORDER BY observed_at DESC LIMIT 1) AS r
"""


def read_stored_prices(
    connection: Connection, wanted: Collection[Wanted], now: datetime
) -> PriceBook:
    """Return what the database holds of the wanted prices, and the rates of their times."""
    oldest = now - RETENTION - PURGE_DELAY
    stored = [(coin_id, at) for coin_id, at in wanted if at >= oldest]
    coin_ids, times = zip(*stored, strict=True) if stored else ((), ())
    prices = connection.execute(
        PAST_PRICES, {"coin_ids": list(coin_ids), "times": list(times), "max_age": MAX_AGE}
    )
    all_times = sorted({at for _, at in wanted})
    rates = connection.execute(PAST_RATES, {"times": all_times, "max_age": MAX_AGE})
    return PriceBook(
        {(coin_id, at): PriceQuote(to_decimal(p), seen_at) for coin_id, at, p, seen_at in prices},
        {at: ExchangeRate(to_decimal(rate), seen_at) for at, rate, seen_at in rates},
    )


def add_archived_prices(
    book: PriceBook, wanted: Collection[Wanted], lookup: PriceLookup, settings: Settings
) -> PriceBook:
    """Return the book with the prices that only the archive has, if one is configured.

    A book without them says why.
    """
    missing = [each for each in wanted if each not in book.quotes]
    try:
        archive = open_configured_archive(settings) if missing else None
        if archive is None:
            return book
        found, is_complete = lookup.find(archive, missing)
    except (ArchiveUnavailable, ArchiveDamaged, ConfigurationError) as error:
        log.warning("Past prices are missing: %s", error)
        return replace(book, note=UNREADABLE)
    quotes = {
        key: PriceQuote(to_decimal(price.price_usd), price.observed_at)
        for key, price in found.items()
    }
    note = "" if is_complete else STILL_READING
    return replace(book, quotes=book.quotes | quotes, note=note)
