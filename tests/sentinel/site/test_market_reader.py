"""The prices of the market pages, from a real database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sentinel.models import FxRate, MarketRow
from sentinel.site.market import HOURS, MarketCoin
from sentinel.site.market_reader import read_market
from sentinel.storage import run_records
from sentinel.storage.connection import Session
from tests.conftest import NOW
from tests.support.loading import load_rows, make_rows

MINUTE = timedelta(minutes=1)


def _charted(coin: MarketCoin) -> dict[int, tuple[float | None, str]]:
    """Return the hours of a coin's chart that are no gaps, counted back from the last one."""
    hours = zip(coin.prices_usd, coin.sources, strict=True)
    return {HOURS - 1 - n: hour for n, hour in enumerate(hours) if hour[1] != "gap" or hour[0]}


def test_an_hour_has_the_last_price_of_its_observations(session: Session) -> None:
    """It is backfilled only if no run observed a price in it."""
    noon = NOW.replace(second=0)
    load_rows(
        session,
        [
            *(row for m in (0, 1, 45) for row in make_rows(noon - m * MINUTE, price=m + 1.0)),
            *make_rows(noon - 90 * MINUTE, source="backfilled", price=7.0),
            *make_rows(noon - 100 * MINUTE, source="backfilled", price=8.0),
            *make_rows(noon - 50 * MINUTE, source="backfilled", price=9.0),
            *make_rows(noon - 168 * 60 * MINUTE, price=0.1),
            *make_rows(noon - 170 * 60 * MINUTE, coins=[30]),
            MarketRow("coin-40", noon, 1e-60, None, None),
        ],
    )
    session.use(lambda c: run_records.record_fx_rates(c, [FxRate(noon, "idr", 16_000.0)]))
    market = session.use(lambda connection: read_market(connection, NOW))
    assert (market.idr_per_usd, market.idr_at) == (16_000.0, noon)
    assert market.charts_from == noon - timedelta(hours=169)
    assert [coin.coin_id for coin in market.coins] == [
        *(f"coin-{n}" for n in range(1, 20)),
        "coin-40",
        "coin-0",
    ]
    first = market.coins[0]
    assert (first.symbol, first.rank, first.price_usd, first.observed_at) == ("c1", 1, 2.0, noon)
    assert (first.market_cap_usd, first.volume_24h_usd) == (None, 6.0)
    assert _charted(first) == {
        0: (2.0, "observed"),
        1: (3.0, "observed"),
        2: (8.0, "backfilled"),
        168: (pytest.approx(1.1), "observed"),
    }
    assert _charted(market.coins[-2]) == {0: (0.0, "observed")}
