"""The newest prices and the series of a coin."""

from __future__ import annotations

from datetime import timedelta

from sentinel.models import MarketRow
from sentinel.storage.connection import Connection, Session
from sentinel.storage.queries.prices import read_latest_prices, read_price_series
from tests.conftest import NOW, FreshDatabase
from tests.support.loading import load_rows


def test_latest_prices_are_ordered_by_rank_with_unranked_coins_last(connection: Connection) -> None:
    found = read_latest_prices(connection, 10)
    assert [price.coin_id for price in found] == ["bitcoin", "ethereum", "obscure"]
    assert (found[0].price_usd, found[0].observed_at, found[0].market_cap_usd) == (100.0, NOW, None)
    assert len(read_latest_prices(connection, 1)) == 1


def test_a_series_is_in_order_of_time_and_excludes_its_stop(connection: Connection) -> None:
    start = NOW - timedelta(days=1)
    found = read_price_series(connection, "bitcoin", start, NOW)
    assert [point.observed_at for point in found] == [start + timedelta(hours=n) for n in range(24)]
    assert (found[0].price_usd, found[0].source) == (76.0, "observed")
    assert read_price_series(connection, "unknown", start, NOW) == []


def test_times_are_in_utc_for_any_time_zone_of_the_server(fresh: FreshDatabase) -> None:
    [(name,)] = fresh.query("SELECT current_database()")
    fresh.query(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
    first, last = NOW - timedelta(minutes=600), NOW - timedelta(minutes=315)
    rows = [MarketRow("bitcoin", at, 1.0, None, None) for at in (first, last)]
    with Session(fresh.address()) as session:
        load_rows(session, rows)
        binary = session.use(lambda c: read_price_series(c, "bitcoin", first, NOW))
        text = session.use(lambda c: read_latest_prices(c, 1))
    for found, at in ((binary[0].observed_at, first), (text[0].observed_at, last)):
        assert (found, found.utcoffset()) == (at, timedelta())
