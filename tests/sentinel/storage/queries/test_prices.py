"""The newest prices."""

from __future__ import annotations

from datetime import timedelta

from sentinel.models import MarketRow
from sentinel.storage.connection import Connection, Session
from sentinel.storage.queries.prices import read_latest_prices
from tests.conftest import NOW, FreshDatabase
from tests.support.loading import load_rows


def test_latest_prices_are_ordered_by_rank_with_unranked_coins_last(connection: Connection) -> None:
    found = read_latest_prices(connection, 10)
    assert [price.coin_id for price in found] == ["bitcoin", "ethereum", "obscure"]
    assert (found[0].price_usd, found[0].observed_at, found[0].market_cap_usd) == (100.0, NOW, None)
    assert len(read_latest_prices(connection, 1)) == 1


def test_times_are_in_utc_for_any_time_zone_of_the_server(fresh: FreshDatabase) -> None:
    [(name,)] = fresh.query("SELECT current_database()")
    fresh.query(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
    with Session(fresh.address()) as session:
        load_rows(session, [MarketRow("bitcoin", NOW, 1.0, None, None)])
        [latest] = session.use(lambda c: read_latest_prices(c, 1))
        [(binary,)] = session.use(
            lambda c: (
                c.cursor(binary=True)
                .execute("SELECT observed_at FROM sentinel.observations")
                .fetchall()
            )
        )
    for found in (latest.observed_at, binary):
        assert (found, found.utcoffset()) == (NOW, timedelta())
