"""Price files: CSV with a header line, such as `timestamp,coin_id,price`."""

from __future__ import annotations

import csv
import math
from argparse import ArgumentTypeError
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentinel import arguments
from sentinel.backtesting import large_price_csv
from sentinel.backtesting.price_csv_format import (
    FIRST_SECOND,
    LAST_SECOND,
    MAX_PRICE_USD,
    MIN_PRICE_USD,
    UNITS,
    Layout,
    Rows,
    find_layout,
)
from sentinel.backtesting.price_series import PriceSeries
from sentinel.errors import ConfigurationError

# Below this size, DuckDB takes longer to start than Python to read the lines.
LARGE_BYTES = 1_000_000

Cells = tuple[str, float, float, float, float]  # of Rows: coin id, time, price, volume, market cap


def read(path: Path, coins: Collection[str] = ()) -> dict[str, PriceSeries]:
    """Return the prices of each coin in alphabetical order, or only of `coins`.

    Ids are compared without regard to case. If a coin has two prices at the same time, the later
    line wins. Raises ConfigurationError, with the line number, for anything that is not a price.
    """
    wanted = frozenset(coin.lower() for coin in coins)
    try:
        rows = _read_rows(path, wanted)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(
            f"{path} cannot be read as CSV in UTF-8 ({type(error).__name__})"
        ) from error
    if not rows.coin_ids and not wanted:
        raise ConfigurationError(f"{path} holds no prices")
    return _split_by_coin(rows)


def read_points(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Return the (UNIX seconds, USD) of each coin in order of time. Raises like `read`."""
    return {
        coin_id: list(zip(own.times.tolist(), own.prices.tolist(), strict=True))
        for coin_id, own in read(path).items()
    }


def _read_rows(path: Path, wanted: Collection[str]) -> Rows:
    """Return the rows from DuckDB if the file is large, otherwise line by line.

    A file that DuckDB refuses is read line by line too: this finds the number of the bad line, or
    accepts a notation that DuckDB does not know.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        layout = find_layout(path, next(reader, []))
        lines = ((reader.line_num, cells) for cells in reader if cells)
        first = next(lines, None)
        if first and path.is_file() and path.stat().st_size >= LARGE_BYTES:
            rows = large_price_csv.read(path, layout, first[1], wanted)
            if rows is not None:
                return rows
        return _read_lines(path, chain([first] if first else [], lines), layout, wanted)


def _read_lines(
    path: Path, lines: Iterable[tuple[int, list[str]]], layout: Layout, wanted: Collection[str]
) -> Rows:
    names: list[str] = []
    numbers: list[tuple[float, ...]] = []
    for name, *values in _parse_lines(path, lines, layout, wanted):
        names.append(name)
        numbers.append(tuple(values))
    coin_ids, coins = np.unique(np.array(names, dtype=object), return_inverse=True)
    columns = np.array(numbers, dtype=np.float64).reshape(-1, 4).T
    return Rows(coin_ids.tolist(), coins.astype(np.uint32), *columns)


def _parse_lines(
    path: Path, lines: Iterable[tuple[int, list[str]]], layout: Layout, wanted: Collection[str]
) -> Iterator[Cells]:
    for number, cells in lines:
        try:
            coin_id = _parse_coin(cells, layout)
            if not wanted or coin_id.lower() in wanted:
                yield _parse_line(coin_id, cells, layout)
        except (ValueError, ArgumentTypeError) as error:
            raise ConfigurationError(f"{path}, line {number}: {error}") from error


def _parse_coin(cells: list[str], layout: Layout) -> str:
    # A comma after the last column is no field, as for DuckDB.
    if len(cells) != layout.width and (len(cells) != layout.width + 1 or cells[-1]):
        raise ValueError(f"{len(cells)} fields instead of {layout.width}")
    coin_id = layout.coin_of_file if layout.coin is None else cells[layout.coin].strip()
    if not coin_id:
        raise ValueError("no coin_id")
    return coin_id


def _parse_line(coin_id: str, cells: list[str], layout: Layout) -> Cells:
    price = _parse_number(cells[layout.price])
    if not MIN_PRICE_USD <= price <= MAX_PRICE_USD:
        shown = cells[layout.price].strip()[:40]
        raise ValueError(f"'{shown}' is not a price above 0, {MAX_PRICE_USD:,.0f} at most")
    return (
        coin_id,
        parse_time(cells[layout.time]),
        price,
        _parse_amount(cells, layout.volume),
        _parse_amount(cells, layout.market_cap),
    )


def parse_time(text: str) -> float:
    """Return the UNIX seconds of a time: ISO, or epoch in s, ms, us or ns.

    Raises ArgumentTypeError.
    """
    if text[4:5] != "-":  # a date and no number: float() takes longest to refuse one
        number = _parse_number(text)
        for unit in UNITS:
            if FIRST_SECOND <= number / unit <= LAST_SECOND:
                return number / unit
    return arguments.moment(text.strip().removesuffix(" UTC")).timestamp()


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _parse_amount(cells: list[str], column: int | None) -> float:
    """Return a volume or market cap; NaN for an empty cell. Raises ValueError."""
    text = "" if column is None else cells[column].strip()
    if text.lower() in ("", "nan", "-nan"):
        return math.nan
    amount = _parse_number(text)
    if not 0 <= amount < math.inf:
        raise ValueError(f"'{text[:40]}' is not a volume or market cap")
    return amount


def _split_by_coin(rows: Rows) -> dict[str, PriceSeries]:
    order = _sort(rows)
    coins, times = rows.coins[order], rows.times[order]
    is_last = (coins[1:] != coins[:-1]) | (times[1:] != times[:-1])
    order = order[np.append(is_last, True)[: len(order)]]
    edges = np.flatnonzero(np.diff(rows.coins[order])) + 1  # the first row of each further coin
    parts = zip(*(np.split(column[order], edges) for column in rows[2:]), strict=True)
    return {
        coin_id: PriceSeries(times, prices, np.ones(len(times), dtype=bool), volumes, caps)
        for coin_id, (times, prices, volumes, caps) in zip(rows.coin_ids, parts, strict=False)
    }


def _sort(rows: Rows) -> NDArray[np.intp]:
    """Return the order by coin and time. Rows of one time stay in the file's order."""
    # NumPy sorts small integers in one pass. Most files are in order of time already.
    coins = rows.coins.astype(np.min_scalar_type(len(rows.coin_ids)))
    order = np.argsort(coins, kind="stable")
    is_ascending = (np.diff(rows.times[order]) >= 0) | (np.diff(coins[order]) != 0)
    return order if is_ascending.all() else np.lexsort((rows.times, coins))
