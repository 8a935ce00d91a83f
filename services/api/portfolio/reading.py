"""Read the portfolio and value it at the newest prices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sentinel.storage.connection import Connection
from services.api.portfolio.legs import expand
from services.api.portfolio.models import Portfolio, Transaction
from services.api.portfolio.quotes import (
    DAY_AGO_TOLERANCE,
    read_coin_labels,
    read_prices,
    read_rate,
)
from services.api.portfolio.valuation import ValuationPrices, value_portfolio

DAY = timedelta(days=1)


def read_newest(connection: Connection, coin_ids: Sequence[str], now: datetime) -> ValuationPrices:
    """Return the newest prices. One older than a day counts as missing; a page shows its age."""
    quotes, rate = read_prices(connection, coin_ids, now, DAY), read_rate(connection, now, DAY)
    return ValuationPrices(quotes, rate)


def value_now(
    connection: Connection, transactions: Sequence[Transaction], now: datetime
) -> Portfolio:
    """Return the portfolio at the newest prices, without its history."""
    coin_ids = sorted({leg.coin_id for leg in expand(transactions)})
    day_start = now - DAY
    newest = read_newest(connection, coin_ids, now)
    day_ago = ValuationPrices(
        read_prices(connection, coin_ids, day_start, DAY_AGO_TOLERANCE),
        read_rate(connection, day_start, DAY_AGO_TOLERANCE),
    )
    labels = read_coin_labels(connection, coin_ids)
    return value_portfolio(transactions, newest, day_ago, day_start, labels)
