"""The rows of the overview's tables, and the table's view in the address."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sentinel.amounts import MINUS, UNKNOWN
from services.dashboard.elements.cells import line_cell
from services.dashboard.elements.table import View, read_view, write_view
from services.dashboard.pages.overview import build_row, list_columns
from tests.conftest import NOW
from tests.services.dashboard.test_dashboard import formatter

COIN = {
    "coin_id": "bitcoin",
    "rank": 1,
    "name": "Bitcoin",
    "symbol": "btc",
    "price_usd": 110.0,
    "market_cap_usd": 1.7e12,
    "volume_24h_usd": 5.0,
    "observed_at": (NOW - timedelta(minutes=7)).isoformat(),
    "is_starred": True,
    "change_1h": 0.012,
    "change_24h": -0.0312,
    "change_7d": None,
    "sparkline_usd": [100.0, None, 110.0],
}


def cells(**changes: Any) -> dict[str, Any]:
    row = build_row(formatter(), COIN | changes, "BTC")
    return dict(zip((column.key for column in list_columns()), row.cells, strict=True))


def test_a_coin_is_a_row_of_values_to_sort_by_and_texts_to_show() -> None:
    row = cells()
    assert row["star"] is True
    assert row["price"] == (110.0, "$110.00")
    assert row["change_24h"] == (-0.0312, f"{MINUS}3.1%")
    assert row["change_7d"] == (None, UNKNOWN)
    assert row["market_cap"] == (1.7e12, "$1.70T")
    assert row["age"] == (420.0 - NOW.timestamp(), "7 min")
    assert row["name"]["small"] == "1 · BTC"
    odd = cells(rank=None, market_cap_usd=None, volume_24h_usd=None, sparkline_usd=[None, None])
    assert odd["rank"] == odd["market_cap"] == odd["volume"] == (None, UNKNOWN)
    assert odd["line"] == (None, [])


def test_a_row_leads_to_the_coin_and_is_found_by_name_symbol_and_id() -> None:
    row = build_row(formatter(), COIN | {"coin_id": "a/b&c"}, "BTC")
    assert row.href == "coin?coin=a%2Fb%26c"
    assert row.search == "Bitcoin btc a/b&c"


def test_the_height_of_a_sparkline_is_at_least_one_percent_of_the_price() -> None:
    assert line_cell([100.0, None, 110.0]) == (pytest.approx(0.1), [0, None, 100])
    change, heights = line_cell([1.0, 0.999, 1.001])
    assert change == pytest.approx(0.001)
    assert heights == [50, 40, 60]
    assert line_cell([1.0, 2.0], change=-0.1) == (-0.1, [0, 100])
    assert line_cell([0.0, 0.0]) == (None, [50, 50])


class Address(dict[str, str]):
    def from_dict(self, values: dict[str, str]) -> None:
        self.clear()
        self.update(values)


def test_the_view_is_kept_in_the_address_beside_other_parameters() -> None:
    address = Address(currency="IDR")
    view = View("change_24h", True, "pepe", True)
    write_view(address, view)
    assert address == {"currency": "IDR", "q": "pepe", "sort": "-change_24h", "starred": "1"}
    assert read_view(address, list_columns()) == view
    assert read_view({"sort": "-nonsense"}, list_columns()) == View()
    write_view(address, View())
    assert address == {"currency": "IDR"}
