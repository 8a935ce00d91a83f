"""The rows of the market page: changes, movers, lines and file names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from sentinel.site.market import HOURS, HourSource, MarketCoin
from sentinel.site.market_rows import find_movers, make_rows, measure_change, name_file
from sentinel.site.price_line import Bounds, draw_line
from tests.support.market import make_coin, make_market
from tests.support.site import NOW

NEWEST_HOUR = HOURS - 2  # of a coin whose newest price is two minutes old: 11:58


def _prices(**known: float | None) -> list[float | None]:
    """80 USD at all hours but those of `known`: h24 is 24 hours before the newest price."""
    changed = {NEWEST_HOUR - int(name[1:]): price for name, price in known.items()}
    return [changed.get(hour, 80.0) for hour in range(HOURS)]


def _changes(coin: MarketCoin) -> tuple[float | None, float | None]:
    (row,) = make_rows(make_market(coin))
    return row.change_24h, row.change_7d


def test_a_change_compares_with_the_hour_that_long_before_the_newest_price() -> None:
    coin = make_coin(prices_usd=_prices(h24=50.0, h167=200.0))
    charts_from = make_market().charts_from
    assert measure_change(coin, charts_from, 24) == pytest.approx(1.0)
    assert measure_change(coin, charts_from, 167) == pytest.approx(-0.5)


def test_prices_of_the_current_hour_and_of_the_one_before_have_a_change_of_seven_days() -> None:
    prices = [25.0, 50.0, *[80.0] * (HOURS - 2)]
    current = make_coin(observed_at=NOW, prices_usd=prices)
    assert _changes(current) == pytest.approx((0.25, 1.0))
    assert _changes(make_coin(prices_usd=prices)) == pytest.approx((0.25, 3.0))


def test_a_change_is_unknown_where_the_hour_before_is_a_gap_or_before_the_chart() -> None:
    assert _changes(make_coin(prices_usd=_prices(h24=None, h23=50.0, h168=None))) == (None, None)
    old = make_coin(observed_at=NOW - timedelta(days=8))
    assert _changes(old) == (None, None)


def test_only_a_price_that_is_an_hour_older_than_the_newest_one_is_marked() -> None:
    ages = {"a": 2, "b": 61, "c": 62, "d": 194}
    coins = [make_coin(k, observed_at=NOW - timedelta(minutes=age)) for k, age in ages.items()]
    rows = make_rows(make_market(*coins))
    assert [row.minutes_older for row in rows] == [None, None, 60.0, 192.0]


def test_movers_are_fresh_prices_of_the_top_100_that_moved_by_1_percent_or_more() -> None:
    def move(coin_id: str, fraction: float | None, minutes_old: int = 2) -> MarketCoin:
        before = None if fraction is None else 100.0 / (1 + fraction)
        prices = _prices(h24=before, h28=before)
        observed_at = NOW - timedelta(minutes=minutes_old)
        return make_coin(coin_id, prices_usd=prices, observed_at=observed_at)

    moves = [0.02, -0.03, 0.009, -0.009, 0.5, None]
    coins = [move(str(fraction), fraction) for fraction in moves]
    fill = [move("filler", 0.0)] * 93
    rows = make_rows(make_market(*coins, move("old", 0.9, 242), *fill, move("behind", 0.9)))
    movers = find_movers(rows)
    assert [row.coin.coin_id for row in movers.up] == ["0.5", "0.02"]
    assert [row.coin.coin_id for row in movers.down] == ["-0.03"]
    assert movers.compared == 98


def test_the_file_of_a_coin_has_a_harmless_name_of_its_own() -> None:
    assert name_file("bitcoin-cash") == "bitcoin-cash.html"
    odd = [
        "_",
        "-11",
        "../../index",
        "a/b",
        "Bitcoin",
        "hundred_yen",
        "空气币",
        "",
        "a\n",
        "x" * 82,
    ]
    names = {name_file(coin_id) for coin_id in odd}
    assert len(names) == len(odd)
    for name in names:
        assert name.startswith("_")
        assert name[1:-5].isalnum()
        assert name[1:-5].isascii()


def _draw(prices: Sequence[float | None], sources: str) -> tuple[str, str]:
    kinds: dict[str, HourSource] = {"o": "observed", "b": "backfilled", " ": "gap"}
    line = draw_line(
        prices, [kinds[letter] for letter in sources], Bounds(0, 10), hour_width=2, height=10
    )
    return line.observed, line.backfilled


def test_a_line_is_open_at_a_gap_and_shows_a_lone_price_as_a_dot() -> None:
    prices = [0, 10, None, 5, None, 3, 4]
    assert _draw(prices, "oo o oo") == ("M1 10h0l2-10M7 5h0M11 7h0l2-1", "")


def test_a_stretch_that_touches_a_backfilled_price_is_a_line_of_its_own() -> None:
    observed, backfilled = _draw([1, 2, 3, 4, 5], "oobbo")
    assert observed == "M1 9h0l2-1"
    assert backfilled == "M3 8l2-1l2-1l2-1"


def test_the_line_of_a_pegged_coin_looks_flat() -> None:
    pegged = make_coin(prices_usd=[1.0, 1.0005] * (HOURS // 2))
    (row,) = make_rows(make_market(pegged))
    assert row.sparkline is not None
    assert set(row.sparkline.observed[5:].split("l2")[1:]) == {"-2", " 2"}  # of 48 units
