"""Invented prices and runs of the past, as the pipeline would have stored them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from demo.market import IDR_PER_USD, DemoCoin
from pipeline.report import RunReport
from sentinel.models import FxRate, MarketRow, Source
from sentinel.storage import run_records
from sentinel.storage.connection import Connection

# The ids of invented runs end with it.
RUN_SUFFIX = "-seed"


def make_rows(coins: Sequence[DemoCoin], at: datetime, source: Source) -> Iterator[MarketRow]:
    """Yield the price of each coin at a time."""
    for coin in coins:
        seen_at = at - timedelta(seconds=coin.lag_seconds)
        price = coin.price_at(seen_at.timestamp())
        market_cap = price * coin.supply
        yield MarketRow(coin.id, seen_at, price, market_cap, market_cap * 0.04, source)


def make_report(at: datetime, coins: int, **changed: object) -> dict[str, object]:
    """Return the report of a good run that started at `at`, with `changed` fields."""
    report = RunReport(
        mode="ingest",
        status="ok",
        run_id=f"{at:%Y%m%dT%H%M%SZ}{RUN_SUFFIX}",
        started_at=at.isoformat(),
        finished_at=(at + timedelta(seconds=1)).isoformat(),
        duration_seconds=1.0,
        targets=coins,
        rows_valid=coins,
        rows_inserted=coins,
        api_calls=1,
        api_credits=1,
        db_seconds=0.1,
    )
    return dataclasses.asdict(report) | changed


def record_rupiah(connection: Connection, at: datetime) -> None:
    """Store what a dollar cost in rupiah at a time."""
    rate = IDR_PER_USD * (1 + 0.012 * math.sin(at.timestamp() / 90_000))
    run_records.record_fx_rates(connection, [FxRate(at, "idr", rate)])
