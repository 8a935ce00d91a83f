"""Net worth at the end of each of the last sixty days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sentinel.storage.connection import Connection
from services.api.portfolio.arithmetic import ZERO, add_known, exact_arithmetic, multiply_known
from services.api.portfolio.legs import Leg, expand
from services.api.portfolio.models import NetWorth, Transaction
from services.api.portfolio.quotes import to_decimal

# As long as prices are kept in the database.
HISTORY_DAYS = 60
DAY = timedelta(days=1)

# The last price of each held coin on each day, and each day's last rate. The newest day ends now.
DAILY_PRICES = """
SELECT d.day, c.coin_id, o.price_usd
FROM generate_series(%(first)s::timestamptz, %(last)s::timestamptz, interval '1 day') AS d (day)
CROSS JOIN sentinel.coins c
CROSS JOIN LATERAL (
    SELECT price_usd FROM sentinel.observations
    WHERE coin_key = c.coin_key AND observed_at >= d.day AND observed_at < d.day + interval '1 day'
      AND observed_at <= %(now)s
    ORDER BY observed_at DESC LIMIT 1) AS o
WHERE c.coin_id = ANY (%(coin_ids)s)
"""
DAILY_RATES = """
SELECT DISTINCT ON (date_bin('1 day', observed_at, 'epoch'))
       date_bin('1 day', observed_at, 'epoch') AS day, per_usd
FROM sentinel.fx_rates
WHERE currency = 'idr' AND observed_at >= %(first)s AND observed_at <= %(now)s
ORDER BY date_bin('1 day', observed_at, 'epoch'), observed_at DESC
"""


@exact_arithmetic()
def read_net_worth_history(
    connection: Connection, transactions: Sequence[Transaction], now: datetime
) -> list[NetWorth]:
    """Return the net worth at the end of each of the last HISTORY_DAYS days (UTC), the last now."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - (HISTORY_DAYS - 1) * DAY
    legs = expand(transactions)
    coin_ids = sorted({leg.coin_id for leg in legs})
    parameters = {"first": first, "last": today, "now": now, "coin_ids": coin_ids}
    prices = {
        (day, coin_id): to_decimal(price_usd)
        for day, coin_id, price_usd in connection.execute(DAILY_PRICES, parameters)
    }
    rates = {day: to_decimal(rate) for day, rate in connection.execute(DAILY_RATES, parameters)}
    history: list[NetWorth] = []
    for day in (first + number * DAY for number in range(HISTORY_DAYS)):
        day_end = min(day + DAY, now)
        held = _sum_holdings(legs, day_end)
        if not held and not history:
            continue  # before the first purchase
        day_prices = {coin_id: prices.get((day, coin_id)) for coin_id in held}
        history.append(_compute_net_worth(day_end, held, day_prices, rates.get(day)))
    return history


def _sum_holdings(legs: Sequence[Leg], until: datetime) -> dict[str, Decimal]:
    held: dict[str, Decimal] = {}
    for leg in legs:
        if leg.made_at <= until:
            held[leg.coin_id] = held.get(leg.coin_id, ZERO) + leg.quantity
    return {coin_id: quantity for coin_id, quantity in held.items() if quantity}


def _compute_net_worth(
    valued_at: datetime,
    held: Mapping[str, Decimal],
    prices: Mapping[str, Decimal | None],
    rate: Decimal | None,
) -> NetWorth:
    missing = [f"{coin_id}: no price" for coin_id in held if prices[coin_id] is None]
    if rate is None:
        missing.append("no rupiah rate")
    usd = add_known(multiply_known(quantity, prices[coin_id]) for coin_id, quantity in held.items())
    return NetWorth(valued_at, usd, multiply_known(usd, rate), missing)
