"""Price files: CSV with the header `timestamp,coin_id,price` (ISO times, UTC where no offset)."""

from __future__ import annotations

import csv
import math
from datetime import UTC, datetime
from pathlib import Path

from safe_zone import MAX_PRICE
from sentinel.errors import ConfigurationError

SMALLEST = 1e-30  # USD; nothing that is quoted costs less
YEARS = range(2000, 2200)
HEADER = ["timestamp", "coin_id", "price"]


def read(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Each coin's (UNIX seconds, USD) in order of time; of two prices at one time the later line's.

    Raises ConfigurationError, naming the line, where the file holds anything else.
    """
    found: dict[str, dict[float, float]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if [name.strip() for name in header] != HEADER:
                raise ConfigurationError(
                    f"{path} begins with '{','.join(header)[:80]}': the first line must be "
                    f"'{','.join(HEADER)}'"
                )
            for row in rows:
                if row:
                    coin_id, at, price = _row(row, f"{path}, line {rows.line_num}")
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


def _row(row: list[str], place: str) -> tuple[str, float, float]:
    if len(row) != len(HEADER):
        raise ConfigurationError(f"{place}: {len(row)} fields instead of {len(HEADER)}")
    time, coin_id, price = (cell.strip() for cell in row)
    if not coin_id:
        raise ConfigurationError(f"{place}: no coin_id")
    try:
        seconds = _seconds(time)
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"{place}: '{time[:40]}' is no time such as 2026-11-20T12:00:00Z"
        ) from error
    try:
        usd = float(price)
    except ValueError:
        usd = math.nan
    if not SMALLEST <= usd <= MAX_PRICE:
        raise ConfigurationError(
            f"{place}: '{price[:40]}' is no price above 0, {MAX_PRICE:,.0f} at most"
        )
    return coin_id, seconds, usd


def _seconds(text: str) -> float:
    """UNIX seconds of an ISO time. Raises ValueError and OverflowError."""
    at = datetime.fromisoformat(text)
    if at.year not in YEARS:
        raise ValueError(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
