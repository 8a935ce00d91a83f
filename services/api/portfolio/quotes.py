"""Read the prices and exchange rates that the portfolio is valued at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sentinel.storage.connection import Connection
from services.api.portfolio.models import ExchangeRate, PriceQuote

# An exchange rate stands for the prices of at most one day around it.
MAX_RATE_AGE = timedelta(days=1)
# A price or rate of "24 hours ago" may be this much older: the schedule may have missed some runs.
DAY_AGO_TOLERANCE = timedelta(hours=2)

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

# Prices and rate as of a time: the last ones observed before it.
PRICES_AT = """
SELECT c.coin_id, o.price_usd, o.observed_at
FROM sentinel.coins c
CROSS JOIN LATERAL (
    SELECT price_usd, observed_at FROM sentinel.observations
    WHERE coin_key = c.coin_key AND observed_at <= %(at)s AND observed_at > %(oldest)s
    ORDER BY observed_at DESC LIMIT 1) AS o
WHERE c.coin_id = ANY (%(coin_ids)s)
"""
RATE_AT = """
SELECT per_usd, observed_at FROM sentinel.fx_rates
WHERE currency = 'idr' AND observed_at <= %(at)s AND observed_at > %(oldest)s
ORDER BY observed_at DESC LIMIT 1
"""

COIN_LABELS = "SELECT coin_id, symbol, name FROM sentinel.coins WHERE coin_id = ANY (%(coin_ids)s)"


def find_nearest_rate(connection: Connection, at: datetime) -> Decimal | None:
    """Return the rupiah rate of a date, None if none was observed within a day of it."""
    return next(iter(find_nearest_rates(connection, [at]).values()), None)


def find_nearest_rates(
    connection: Connection, times: Collection[datetime]
) -> dict[datetime, Decimal]:
    """Return the rupiah rates of times, without those that no rate was observed within a day of."""
    parameters = {"times": list(times), "tolerance": MAX_RATE_AGE}
    rows = connection.execute(NEAREST_RATES, parameters)
    return {at: to_decimal(rate) for at, rate in rows}


def read_prices(
    connection: Connection, coin_ids: Sequence[str], at: datetime, max_age: timedelta
) -> dict[str, PriceQuote]:
    """Return the last price of each coin before a time, if it was not older than `max_age`."""
    parameters = {"coin_ids": list(coin_ids), "at": at, "oldest": at - max_age}
    rows = connection.execute(PRICES_AT, parameters)
    return {
        coin_id: PriceQuote(to_decimal(price_usd), observed_at)
        for coin_id, price_usd, observed_at in rows
    }


def read_rate(connection: Connection, at: datetime, max_age: timedelta) -> ExchangeRate | None:
    """Return the last rupiah rate before a time, if it was not older than `max_age`."""
    row = connection.execute(RATE_AT, {"at": at, "oldest": at - max_age}).fetchone()
    return ExchangeRate(to_decimal(row[0]), row[1]) if row else None


def read_coin_labels(connection: Connection, coin_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return symbol and name by coin id."""
    rows = connection.execute(COIN_LABELS, {"coin_ids": list(coin_ids)})
    return {coin_id: (symbol, name) for coin_id, symbol, name in rows}


def to_decimal(number: float) -> Decimal:
    """Return a stored float as the decimal it is written as: 0.1, not 0.1000000000000000055…"""
    return Decimal(repr(number))
