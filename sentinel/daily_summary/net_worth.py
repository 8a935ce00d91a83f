"""The value of the held coins and its change over 24 hours, in USD and rupiah.

The change is the profit of the day: what the coins are worth now, less what they were worth 24
hours ago, less what was paid since (a sale is a negative payment). It equals the day's profit of
the API's portfolio, which splits it further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from sentinel.daily_summary.figures import NetWorth
from sentinel.storage.connection import Connection

DAY = timedelta(days=1)
# A price or rate of 24 hours ago may be this much older: the schedule may have missed some runs.
TOLERANCE = timedelta(hours=2)

# One row for each coin that is held or was traded on the day, beside prices and rupiah rates.
HOLDINGS = """
WITH flows AS (
    SELECT coin_id, quantity, made_at < %(day_ago)s AS is_before, idr_per_usd,
           value_usd + fee_usd AS paid_usd,
           -- A move between own wallets needs a rate for its fee only.
           idr_per_usd IS NOT NULL OR is_internal AND fee_usd = 0 AS is_rated
    FROM sentinel.transaction_legs
),
held AS (
    SELECT coin_id, sum(quantity) AS quantity,
           coalesce(sum(quantity) FILTER (WHERE is_before), 0) AS opening,
           coalesce(sum(paid_usd) FILTER (WHERE NOT is_before), 0) AS paid_usd,
           CASE WHEN bool_and(is_before OR is_rated)
                THEN coalesce(sum(paid_usd * idr_per_usd) FILTER (WHERE NOT is_before), 0)
           END AS paid_idr
    FROM flows
    GROUP BY coin_id
    HAVING sum(quantity) <> 0 OR NOT bool_and(is_before)
),
rates AS (
    SELECT (SELECT per_usd FROM sentinel.fx_rates
            WHERE currency = 'idr' AND observed_at <= %(now)s
              AND observed_at > %(now)s - interval '1 day'
            ORDER BY observed_at DESC LIMIT 1) AS rate,
           (SELECT per_usd FROM sentinel.fx_rates
            WHERE currency = 'idr' AND observed_at <= %(day_ago)s
              AND observed_at > %(day_ago)s - %(tolerance)s
            ORDER BY observed_at DESC LIMIT 1) AS rate_before
)
SELECT coalesce(c.symbol, h.coin_id) AS symbol, h.quantity, h.opening, h.paid_usd, h.paid_idr,
       CASE WHEN c.observed_at > %(now)s - interval '1 day' THEN c.price_usd END::text::numeric
           AS price_usd,
       before.price_usd::text::numeric AS price_usd_before,
       rate::text::numeric AS rate, rate_before::text::numeric AS rate_before
FROM held h
CROSS JOIN rates
LEFT JOIN sentinel.coins c USING (coin_id)
LEFT JOIN LATERAL (
    SELECT price_usd FROM sentinel.observations o
    WHERE o.coin_key = c.coin_key AND o.observed_at <= %(day_ago)s
      AND o.observed_at > %(day_ago)s - %(tolerance)s
    ORDER BY o.observed_at DESC LIMIT 1) AS before ON true
ORDER BY h.coin_id
"""


class Holding(NamedTuple):
    """A coin with its quantity now and 24 hours ago; prices and rates are None if unknown."""

    symbol: str
    quantity: Decimal
    # 24 hours ago.
    opening: Decimal
    # Paid since then, fees included. In rupiah at the rates of the transactions.
    paid_usd: Decimal
    paid_idr: Decimal | None
    price_usd: Decimal | None
    price_usd_before: Decimal | None
    # Rupiah per USD.
    rate: Decimal | None
    rate_before: Decimal | None

    @property
    def value_usd(self) -> Decimal | None:
        """The value now."""
        return _multiply(self.quantity, self.price_usd)

    @property
    def value_idr(self) -> Decimal | None:
        """The value now, in rupiah."""
        return _multiply(self.quantity, self.price_usd, self.rate)

    @property
    def change_usd(self) -> Decimal | None:
        """What prices changed within 24 hours."""
        before = _multiply(self.opening, self.price_usd_before)
        return _subtract(self.value_usd, before, self.paid_usd)

    @property
    def change_idr(self) -> Decimal | None:
        """What prices and rates changed within 24 hours."""
        before = _multiply(self.opening, self.price_usd_before, self.rate_before)
        return _subtract(self.value_idr, before, self.paid_idr)


def find_holdings(connection: Connection, now: datetime) -> psycopg.Cursor[Holding]:
    """Return the coins that are held, or that were traded within the last 24 hours."""
    cursor = connection.cursor(row_factory=class_row(Holding))
    return cursor.execute(HOLDINGS, {"now": now, "day_ago": now - DAY, "tolerance": TOLERANCE})


def add_up(holdings: list[Holding]) -> NetWorth | None:
    """Return the net worth; None if no coin is held."""
    held = [holding for holding in holdings if holding.quantity]
    if not held:
        return None
    without_price = [holding.symbol for holding in held if holding.value_usd is None]
    unchanged = [h.symbol for h in holdings if h.change_usd is None]
    return NetWorth(
        value_usd=_add(held, lambda holding: holding.value_usd),
        change_usd=_add(holdings, lambda holding: holding.change_usd),
        value_idr=_add(held, lambda holding: holding.value_idr),
        change_idr=_add(holdings, lambda holding: holding.change_idr),
        without_price=without_price,
        without_change=[symbol for symbol in unchanged if symbol not in without_price],
    )


def _add(
    holdings: Iterable[Holding], amount: Callable[[Holding], Decimal | None]
) -> Decimal | None:
    """Return the sum of the known amounts; None if none is known."""
    known = [value for holding in holdings if (value := amount(holding)) is not None]
    return sum(known, Decimal(0)) if known else None


def _multiply(quantity: Decimal, *factors: Decimal | None) -> Decimal | None:
    """Return the product; None if a factor is unknown. No coins are worth nothing at any price."""
    product: Decimal | None = quantity
    for factor in factors if quantity else ():
        product = None if product is None or factor is None else product * factor
    return product


def _subtract(
    value: Decimal | None, before: Decimal | None, paid: Decimal | None
) -> Decimal | None:
    return None if value is None or before is None or paid is None else value - before - paid
