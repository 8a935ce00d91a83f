"""Data frames of the prices in a real database and a real archive."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from safe_zone import Settings
from sentinel.data import candles, frame, prices
from sentinel.errors import ConfigurationError
from sentinel.models import MarketRow
from sentinel.storage.connection import Session
from tests.conftest import FakeTime, FreshDatabase
from tests.sentinel.archive.helpers import KEPT, OLD, load_rows, purge

SPAN: dict[str, Any] = {"start": "2026-09-15", "stop": "2026-11-18"}
HOUR = timedelta(hours=1)
START = OLD.replace(minute=0, second=0, microsecond=0)


@pytest.fixture(autouse=True)
def _stored(
    fresh: FreshDatabase, time_: FakeTime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Store two hours of `a`, which the archive holds, and one price of `b` in the database."""
    values = {"DATABASE_URL": fresh.url, "ARCHIVE_URL": str(tmp_path / "archive")}
    for name, value in (values | {"SENTINEL_STATE_DIR": str(tmp_path / "state")}).items():
        monkeypatch.setenv(name, value)
    quarters = [START + n * timedelta(minutes=15) for n in range(8)]
    prices = (10, 12, 9, 11, 20, 25, 15, 21)
    rows = [
        MarketRow("a", at, price, 1e9, float(n) if n % 4 == 3 else None, "observed")
        for n, (at, price) in enumerate(zip(quarters, prices, strict=True))
    ]
    settings = Settings(
        database_url=fresh.url, archive_url=values["ARCHIVE_URL"], state_dir=tmp_path / "state"
    )
    with Session(fresh.address(), clock=time_.monotonic, sleep=time_.sleep) as session:
        load_rows(session, [*rows, MarketRow("b", KEPT, 5.0, None, None, "backfilled")], OLD)
        purge(session, settings)
        yield


def test_a_frame_has_the_prices_of_database_and_archive() -> None:
    found = frame(["a", "b"], **SPAN)
    assert found.columns.tolist() == ["coin_id", "time", "price", "market_cap", "volume", "source"]
    assert found["coin_id"].tolist() == ["a"] * 8 + ["b"]
    assert found["time"].iloc[[0, -1]].tolist() == [START, KEPT]
    assert found["price"].tolist() == [10, 12, 9, 11, 20, 25, 15, 21, 5]
    assert found["volume"].isna().tolist() == [True, True, True, False] * 2 + [True]
    assert found["source"].tolist() == ["observed"] * 8 + ["backfilled"]
    assert frame("A", columns=["price", "time"], **SPAN).columns.tolist() == ["price", "time"]


def test_a_frame_of_polars_holds_the_same_values() -> None:
    found = frame("a", library="polars", **SPAN)
    assert found.schema["time"] == pl.Datetime("us", "UTC")
    expected = frame("a", **SPAN)
    assert found["time"].to_list() == [at.to_pydatetime() for at in expected["time"]]
    assert found["price"].to_list() == expected["price"].tolist()
    assert found["volume"].to_list() == [None, None, None, 3.0, None, None, None, 7.0]


def test_candles_have_the_first_highest_lowest_and_last_price_and_the_volume_at_the_close() -> None:
    found = candles(["a"], every="1h", library="polars", **SPAN)
    assert found.rows() == [
        ("a", START.astimezone(UTC), 10, 12, 9, 11, 3, 4),
        ("a", START + HOUR, 20, 25, 15, 21, 7, 4),
    ]
    day = candles(["a", "b"], every="1d", **SPAN)
    assert day["time"].tolist() == [START - 8 * HOUR, KEPT - 8 * HOUR]
    assert day["close"].tolist() == [21, 5]
    assert day["observations"].tolist() == [8, 1]


def test_the_prices_of_a_backtest_begin_before_its_start() -> None:
    found = prices("a", start=(START + HOUR).isoformat(), stop="2026-11-18")
    assert found.start == (START + HOUR).timestamp()
    assert found.series["a"].prices.tolist() == [10, 12, 9, 11, 20, 25, 15, 21]


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda: frame("nocoin", **SPAN), "holds no prices of nocoin from 2026-09-15 00:00"),
        (lambda: frame("a", columns=["close"]), "There is no column close: the columns are"),
        (lambda: frame("a", library="arrow"), "There is no library 'arrow'"),
        (lambda: frame("a", days=3, start="2026-11-01"), "not allowed"),
        (lambda: frame("a", start="soon"), "'soon' is not a time"),
        (lambda: candles("a", every="7h"), "'7h' is not an interval that divides a day"),
    ],
)
def test_an_error_says_what_is_wrong(read: Callable[[], Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read()


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ConfigurationError, match="needs polars: python -m pip install polars"):
        frame("a", library="polars", **SPAN)
