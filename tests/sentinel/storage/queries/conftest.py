"""A database with three coins that were observed once an hour for 72 hours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from sentinel.models import CoinLabel, MarketRow
from sentinel.storage.connection import Connection, Session
from tests.conftest import NOW, FreshDatabase
from tests.support.loading import load_rows

LABELS = {
    "bitcoin": CoinLabel("btc", "Bitcoin", 1),
    "ethereum": CoinLabel("eth", "Ethereum", 2),
    "obscure": CoinLabel("obs", "Obscure", None),
}


@pytest.fixture
def connection(fresh: FreshDatabase) -> Iterator[Connection]:
    with Session(fresh.address()) as session:
        rows = [
            MarketRow(coin_id, NOW - timedelta(hours=hours), 100.0 - hours, None, 1.0)
            for coin_id in LABELS
            for hours in range(72)
        ]
        load_rows(session, rows, find_label=LABELS.get)
        with psycopg.connect(fresh.url, autocommit=True) as opened:
            yield opened
