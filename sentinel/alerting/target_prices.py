"""The prices that targets are compared with, in each target's currency."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import NamedTuple

from sentinel.alerting.alert_storage import MAX_AHEAD
from sentinel.analytics.price_targets import Currency
from sentinel.storage.connection import Connection

MAX_QUOTE_AGE = timedelta(days=1)  # an older price does not show on which side of the line it is

# The product of two floats has no more digits than a float.
_FLOAT_DIGITS = Context(prec=17)

# The newest price of a coin, in the currency.
QUOTE = """
SELECT c.price_usd, CASE WHEN %(currency)s = 'usd' THEN 1 ELSE
       (SELECT r.per_usd FROM sentinel.fx_rates r
        WHERE r.currency = %(currency)s AND r.observed_at > %(oldest)s
        ORDER BY r.observed_at DESC LIMIT 1) END AS per_usd
FROM sentinel.coins c
WHERE c.coin_id = %(coin_id)s AND c.observed_at > %(oldest)s AND c.price_usd > 1e-30
"""

# The prices of each target's coin after a time, each with the rate of its run: a run's rate has the
# time of its newest price. Without one, the last rate before it counts for a day. Backfilled
# prices count: they show what happened while no run looked.
PRICES = """
SELECT t.target_id, o.observed_at, o.price_usd, CASE WHEN t.currency = 'usd' THEN 1 ELSE coalesce(
    (SELECT r.per_usd FROM sentinel.fx_rates r
     WHERE r.currency = t.currency AND r.observed_at >= o.observed_at
       AND r.observed_at < o.observed_at + interval '15 minutes'
     ORDER BY r.observed_at LIMIT 1),
    (SELECT r.per_usd FROM sentinel.fx_rates r
     WHERE r.currency = t.currency AND r.observed_at < o.observed_at
       AND r.observed_at > o.observed_at - interval '1 day'
     ORDER BY r.observed_at DESC LIMIT 1)) END AS per_usd
FROM unnest(%(target_id)s::int8[], %(coin_id)s::text[], %(currency)s::text[],
            %(since)s::timestamptz[]) AS t (target_id, coin_id, currency, since)
JOIN sentinel.coins c ON c.coin_id = t.coin_id
JOIN sentinel.observations o ON o.coin_key = c.coin_key AND o.observed_at > t.since
WHERE o.observed_at > %(oldest)s AND o.observed_at <= %(newest)s AND o.price_usd > 1e-30
ORDER BY o.observed_at
"""


class Observation(NamedTuple):
    """An observation in a target's currency."""

    at: datetime
    price: Decimal


def read_quote(
    connection: Connection, coin_id: str, currency: Currency, now: datetime
) -> Decimal | None:
    """Return the newest price of a coin in a currency; None without price and rate of a day."""
    parameters = {"coin_id": coin_id, "currency": currency, "oldest": now - MAX_QUOTE_AGE}
    row = connection.execute(QUOTE, parameters).fetchone()
    return _convert(*row) if row else None


def read_prices(
    connection: Connection, wanted: Iterable[tuple[int, str, Currency, datetime]], now: datetime
) -> Iterable[tuple[int, Observation]]:
    """Yield (target id, observation) for each (target id, coin, currency, since), by time.

    Prices in rupiah without a rate of the last day are left out.
    """
    target_ids, coin_ids, currencies, since = map(list, zip(*wanted, strict=True))
    parameters = {
        "target_id": target_ids,
        "coin_id": coin_ids,
        "currency": currencies,
        "since": since,
        "oldest": min(since),
        "newest": now + MAX_AHEAD,
    }
    with connection.cursor(binary=True) as cursor:
        for target_id, at, price_usd, per_usd in cursor.execute(PRICES, parameters):
            price = _convert(price_usd, per_usd)
            if price is not None:
                yield target_id, Observation(at, price)


def _convert(price_usd: float, per_usd: float | None) -> Decimal | None:
    """Return a price in a currency, digit by digit as it was stored; None without a rate."""
    if per_usd is None:
        return None
    price = Decimal(repr(price_usd))
    return price if per_usd == 1 else _FLOAT_DIGITS.multiply(price, Decimal(repr(per_usd)))
