"""Price files: CSV with the header `timestamp,coin_id,price` (ISO times, UTC without an offset)."""

from __future__ import annotations

import csv
import math
from argparse import ArgumentTypeError
from pathlib import Path

from safe_zone import MAX_PRICE
from sentinel import arguments
from sentinel.errors import ConfigurationError

MIN_PRICE_USD = 1e-30  # far below every quoted price
HEADER = ["timestamp", "coin_id", "price"]


def read(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Return the (UNIX seconds, USD) of each coin in order of time.

    If a coin has two prices at the same time, the later line wins. Raises ConfigurationError, with
    the line number, for anything that is not a price.
    """
    found: dict[str, dict[float, float]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            _check_header(path, next(rows, []))
            for row in rows:
                if row:
                    coin_id, at, price = _parse_row(row, f"{path}, line {rows.line_num}")
                    found.setdefault(coin_id, {})[at] = price
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(
            f"{path} cannot be read as CSV in UTF-8 ({type(error).__name__})"
        ) from error
    if not found:
        raise ConfigurationError(f"{path} holds no prices")
    return {coin_id: sorted(prices.items()) for coin_id, prices in sorted(found.items())}


def _check_header(path: Path, header: list[str]) -> None:
    if [name.strip() for name in header] != HEADER:
        raise ConfigurationError(
            f"{path} begins with '{','.join(header)[:80]}': the first line must be "
            f"'{','.join(HEADER)}'"
        )


def _parse_row(row: list[str], where: str) -> tuple[str, float, float]:
    """Return (coin id, UNIX seconds, USD) of a line. Raises ConfigurationError."""
    if len(row) != len(HEADER):
        raise ConfigurationError(f"{where}: {len(row)} fields instead of {len(HEADER)}")
    time, coin_id, price = (cell.strip() for cell in row)
    if not coin_id:
        raise ConfigurationError(f"{where}: no coin_id")
    try:
        seconds = arguments.moment(time).timestamp()
    except ArgumentTypeError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    try:
        usd = float(price)
    except ValueError:
        usd = math.nan
    if not MIN_PRICE_USD <= usd <= MAX_PRICE:
        raise ConfigurationError(
            f"{where}: '{price[:40]}' is not a price above 0, {MAX_PRICE:,.0f} at most"
        )
    return coin_id, seconds, usd
