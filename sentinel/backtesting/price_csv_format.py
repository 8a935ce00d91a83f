"""The format of price files: their columns, their times, and the rows that readers return."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sentinel.backtesting.price_series import Floats
from sentinel.errors import ConfigurationError

MIN_PRICE_USD = 1e-30  # far below every quoted price
# A test keeps it equal to safe_zone.MAX_PRICE. That module loads pydantic, which takes as long as a
# whole backtest.
MAX_PRICE_USD = 1_000_000_000.0
# The years 2000 to 2199. The same times in ms, us and ns are larger numbers, without an overlap.
FIRST_SECOND, LAST_SECOND = 946_684_800, 7_258_118_399
UNITS = (1, 1_000, 1_000_000, 1_000_000_000)  # of epoch times: how many are a second

# Names of columns in lower case. If a file has several of them, the first of the tuple is read.
TIME = ("timestamp", "time", "date", "datetime", "snapped_at", "observed_at")
COIN = ("coin_id", "coin", "symbol")
PRICE = ("price", "price_usd", "close")
VOLUME = ("volume_24h", "volume_24h_usd", "total_volume", "volume")
MARKET_CAP = ("market_cap", "market_cap_usd")
# Known and not read: the price of a candle is its close.
UNUSED = ("open", "high", "low", "adj close", "observations")
EXAMPLE = "timestamp,coin_id,price"
# CoinGecko names its downloads like btc-usd-max.csv.
_COIN_OF_FILE = re.compile(r"(.+?)[-_]usd([-_].*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of the columns; None for a column that the file does not have."""

    # How many columns there are.
    width: int
    time: int
    price: int
    coin: int | None
    # Without a column `coin`, all prices are of the coin that the file's name says.
    coin_of_file: str
    volume: int | None
    market_cap: int | None


class Rows(NamedTuple):
    """The rows of a file in its order."""

    # In alphabetical order.
    coin_ids: Sequence[str]
    # The place of each row's coin in `coin_ids`.
    coins: NDArray[np.uint32]
    # UNIX seconds.
    times: Floats
    # USD; volumes and market caps are NaN where they are unknown.
    prices: Floats
    volumes: Floats
    market_caps: Floats


def find_layout(path: Path, header: Sequence[str]) -> Layout:
    """Return the layout of a file with this first line.

    Raises ConfigurationError for an unknown column too: it may be the one that tells coins apart.
    """
    names = [name.strip().lower() for name in header]
    known = {*TIME, *COIN, *PRICE, *VOLUME, *MARKET_CAP, *UNUSED}
    time, price = _find(names, TIME), _find(names, PRICE)
    if time is None or price is None or len(set(names)) < len(names) or not known.issuperset(names):
        shown = ",".join(header)[:80]
        hint = " Separate the columns by commas." if ";" in shown or "\t" in shown else ""
        raise ConfigurationError(
            f"{path} begins with '{shown}': the first line must be '{EXAMPLE}', or the columns of "
            f"a CoinGecko download or of candles.{hint}"
        )
    named = _COIN_OF_FILE.fullmatch(path.stem)
    return Layout(
        len(names),
        time,
        price,
        _find(names, COIN),
        named[1] if named else path.stem,
        _find(names, VOLUME),
        _find(names, MARKET_CAP),
    )


def _find(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)
