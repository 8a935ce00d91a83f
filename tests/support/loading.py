"""Rows of made-up coins, and loads of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import database
from sentinel.models import CoinLabel, LoadCounts, MarketRow, Source
from sentinel.storage.connection import Session
from tests.conftest import NOW

LABELS = {f"coin-{n}": CoinLabel(f"c{n}", f"Coin {n}", n or None) for n in range(50)}


def make_rows(
    at: datetime = NOW,
    *,
    coins: Iterable[int] = range(20),
    price: float = 1.0,
    source: Source = "observed",
) -> list[MarketRow]:
    """Return one row for each of `coins`; the price of coin n is `price` + n."""
    return [
        MarketRow(f"coin-{n}", at, price + n, None if n % 3 else 1e9, 5.0 + n, source)
        for n in coins
    ]


def load_rows(
    session: Session,
    rows: Iterable[MarketRow],
    now: datetime = NOW,
    find_label: database.FindLabel = LABELS.get,
) -> LoadCounts:
    """Load rows in a transaction of their own, at the time `now`."""
    return database.run_write_transaction(
        session,
        lambda connection, days: database.load_batch(connection, rows, find_label, days),
        now,
    )
