"""Price files, as both readers see them: Python for small files, DuckDB for large ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import safe_zone
from sentinel.backtesting import large_price_csv, price_csv, price_csv_format
from sentinel.backtesting.price_csv import read_points
from sentinel.backtesting.price_csv_format import find_layout
from sentinel.errors import ConfigurationError

MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
HOUR = 3600
DAY = 24 * HOUR
HEADER = "timestamp,coin_id,price\n"


@pytest.fixture(params=["small", "large"], autouse=True)
def _size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let DuckDB read all files, or none."""
    if request.param == "large":
        monkeypatch.setattr(price_csv, "LARGE_BYTES", 1)


def write(folder: Path, content: str | bytes, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def is_read_by_duckdb(path: Path) -> bool:
    header, first = (line.split(",") for line in path.read_text("utf-8-sig").split("\n")[:2])
    return large_price_csv.read(path, find_layout(path, header), first, ()) is not None


@pytest.mark.parametrize(
    "times",
    [
        ("2026-11-01", "2026-11-01 01:00"),
        ("2026-11-01T00:00:00", "2026-11-01T01:00:00.000"),
        ("2026-11-01T00:00:00Z", "2026-11-01T01:00:00+00:00"),
        ("2026-11-01T05:30:00+05:30", "2026-10-31T20:00:00-05:00"),
        ("2026-11-01 00:00:00 UTC", "2026-11-01 01:00:00 UTC"),
        *(
            tuple(str(int((MIDNIGHT + at) * unit)) for at in (0, HOUR))
            for unit in (1, 1_000, 1_000_000, 1_000_000_000)
        ),
        (f"{MIDNIGHT:.1f}", f"{MIDNIGHT + HOUR:.3f}"),
    ],
    ids=str,
)
def test_times_are_iso_or_epoch_and_in_utc_without_a_zone(
    tmp_path: Path, times: tuple[str, str]
) -> None:
    path = write(tmp_path, HEADER + f"{times[0]},a,1\n{times[1]},a,2\n")
    assert read_points(path) == {"a": [(MIDNIGHT, 1), (MIDNIGHT + HOUR, 2)]}
    assert is_read_by_duckdb(path)


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "2026-11-01T01:00:00,b,3\n2026-11-01,a,9\n\n2026-11-01,b,2\n2026-11-01,a,1\n",
        "\ufeffTimestamp,Coin_ID,Price\r\n2026-11-01,a,1\r\n2026-11-01,b,2\r\n"
        "2026-11-01T01:00:00,b,3\r\n",
        'price,coin_id,timestamp\n1,"a",2026-11-01\n2e0,b,2026-11-01\n3, b ,2026-11-01 01:00',
    ],
    ids=["any order, the later line wins", "BOM, CRLF, capitals", "columns in any order"],
)
def test_lines_may_be_in_any_order_and_the_later_one_wins(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, content)
    found = read_points(path)
    assert found == {"a": [(MIDNIGHT, 1)], "b": [(MIDNIGHT, 2), (MIDNIGHT + HOUR, 3)]}
    assert list(found) == ["a", "b"]
    assert is_read_by_duckdb(path)


def test_a_download_of_coingecko_is_a_coin_of_the_files_name(tmp_path: Path) -> None:
    content = (
        "snapped_at,price,market_cap,total_volume\n"
        "2026-11-01 00:00:00 UTC,110.5,2200.0,33.0\n2026-11-02 00:00:00 UTC,111,,0\n"
    )
    path = write(tmp_path, content, "bitcoin-cash-usd-max.csv")
    [(coin_id, own)] = price_csv.read(path).items()
    assert coin_id == "bitcoin-cash"
    assert own.times.tolist() == [MIDNIGHT, MIDNIGHT + DAY]
    assert own.prices.tolist() == [110.5, 111]
    assert np.array_equal(own.market_caps, [2200, np.nan], equal_nan=True)
    assert own.volumes.tolist() == [33, 0]
    assert own.is_observed.all()
    assert is_read_by_duckdb(path)


@pytest.mark.parametrize(
    ("name", "header", "start", "coin_id"),
    [
        ("BTC-USD.csv", "Date,Open,High,Low,Close,Adj Close,Volume", "2026-11-01", "BTC"),
        ("sol.csv", "time,open,high,low,close,volume", f"{MIDNIGHT:.0f}", "sol"),
        ("all.csv", "timestamp,open,high,low,close,volume,symbol", "2026-11-01", "ETH"),
    ],
)
def test_the_price_of_a_candle_is_its_close(
    tmp_path: Path, name: str, header: str, start: str, coin_id: str
) -> None:
    numbers = {"open": 1, "high": 4, "low": 0.5, "close": 2, "adj close": 9, "volume": 7}
    row = {"symbol": "ETH"} | dict.fromkeys(("date", "time", "timestamp"), start) | numbers
    cells = [str(row[column.lower()]) for column in header.split(",")]
    path = write(tmp_path, f"{header}\n{','.join(cells)}\n", name)
    [(found, own)] = price_csv.read(path).items()
    assert (found, own.times[0], own.prices[0], own.volumes[0]) == (coin_id, MIDNIGHT, 2, 7)
    assert is_read_by_duckdb(path)


def test_only_the_wanted_coins_are_returned_and_checked(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "2026-11-01,Bitcoin,1\n2026-11-01,other,0\n")
    assert list(price_csv.read(path, ["BITCOIN"])) == ["Bitcoin"]
    assert price_csv.read(path, ["nowhere"]) == {}
    path = write(tmp_path, HEADER + "2026-11-01,Bitcoin,1\n2026-11-01,,2\n")
    with pytest.raises(ConfigurationError, match="line 3: no coin_id"):
        price_csv.read(path, ["bitcoin"])
    path = write(tmp_path, "timestamp,price\n2026-11-01,1\n", "btc-usd-max.csv")
    assert list(price_csv.read(path, ["BTC"])) == ["btc"]
    assert price_csv.read(path, ["eth"]) == {}


def test_files_of_all_sizes_allow_a_comma_at_the_end_of_a_line_and_tabs_around_an_id(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, HEADER + "2026-11-01,a,1,\n2026-11-01 01:00,\ta,2\n")
    assert read_points(path) == {"a": [(MIDNIGHT, 1), (MIDNIGHT + HOUR, 2)]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the first line must be 'timestamp,coin_id,price'"),
        (HEADER, "holds no prices"),
        ("2026-11-01,a,1\n", "begins with '2026-11-01,a,1'"),
        ("timestamp;coin_id;price\n", "Separate the columns by commas."),
        ("timestamp,coin,pair,price\n", "begins with 'timestamp,coin,pair,price'"),
        ("timestamp,coin_id\n", "begins with"),
        ("timestamp,price,price\n", "begins with"),
        (HEADER + "2026-11-01,a\n", "line 2: 2 fields instead of 3"),
        (HEADER + "2026-11-01,a,1\n2026-11-01,a,1,2\n", "line 3: 4 fields instead of 3"),
        (HEADER + "yesterday,a,1\n", "line 2: 'yesterday' is not a time"),
        (HEADER + "epoch,a,1\n", "line 2: 'epoch' is not a time"),
        (HEADER + "123,a,1\n", "line 2: '123' is not a time"),
        *(
            (HEADER + f"{time},a,1\n", f"line 2: '{time}' is not a time")
            for time in ("2026/11/01", "2026-1-1", "2026-11-01 24:00", "2026-11-01 00:00 CET")
        ),
        (HEADER + "1999-12-31,a,1\n", "line 2: '1999-12-31' is not a time"),
        (HEADER + "2026-11-01,a,1\n\n2026-11-02,a,\n", "line 4: '' is not a price above 0"),
        *(
            (HEADER + f"2026-11-01,a,{price}\n", f"line 2: '{price}' is not a price")
            for price in ("0", "-1", "nan", "inf", "1e10", "1e-31", "1 000", "$5", "1;5")
        ),
        (HEADER + '2026-11-01,a,"1,5"\n', "line 2: '1,5' is not a price"),
        (HEADER + "2026-11-01, ,1\n", "line 2: no coin_id"),
        (HEADER + "2026-11-01,a,\0\n", "prices.csv"),
        ("timestamp,price,volume\n2026-11-01,1,-5\n", "line 2: '-5' is not a volume"),
        ("timestamp,price,volume\n2026-11-01,1,inf\n", "line 2: 'inf' is not a volume"),
        ((HEADER + "2026-11-01,a,1\n").encode("utf-16"), "cannot be read as CSV in UTF-8"),
        (HEADER.encode() + b"2026-11-01,\xff,1\n", "cannot be read as CSV in UTF-8"),
    ],
    ids=str,
)
def test_an_error_names_the_line_and_its_problem(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigurationError, match=re.escape(words)) as caught:
        price_csv.read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_the_highest_price_of_a_file_is_that_of_an_observation() -> None:
    assert price_csv_format.MAX_PRICE_USD == safe_zone.MAX_PRICE
