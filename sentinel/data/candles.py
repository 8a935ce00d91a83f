"""Candles of points: open, high, low, close of each interval."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel.archive.parquet import Points
from sentinel.errors import ConfigurationError

DAY_SECONDS = 86_400
_INTERVAL = re.compile(r"([0-9]{1,4})(m|h|d)")
_UNIT_SECONDS = {"m": 60, "h": 3_600, "d": DAY_SECONDS}


def parse_interval(text: str) -> int:
    """Return the seconds of an interval such as 15m, 1h or 1d. Raises ConfigurationError.

    It divides a day, so that candles of all days begin at the same times.
    """
    found = _INTERVAL.fullmatch(text)
    seconds = int(found[1]) * _UNIT_SECONDS[found[2]] if found else 0
    if not seconds or DAY_SECONDS % seconds:
        raise ConfigurationError(
            f"'{text[:40]}' is not an interval that divides a day: write 15m, 1h, 4h or 1d"
        )
    return seconds


def compute_candles(points: Points, interval_seconds: int) -> dict[str, NDArray[Any]]:
    """Return the columns of the candles of points that are sorted by coin and time."""
    starts = np.floor(points.seconds / interval_seconds) * interval_seconds
    is_first = np.ones(len(starts), dtype=bool)
    is_first[1:] = (starts[1:] != starts[:-1]) | (points.coin_id[1:] != points.coin_id[:-1])
    first = np.flatnonzero(is_first)
    after = np.append(first[1:], len(starts))  # of the next candle
    prices = points.price_usd
    return {
        "coin_id": points.coin_id[first],
        "time": starts[first],
        "open": prices[first],
        "high": np.maximum.reduceat(prices, first),
        "low": np.minimum.reduceat(prices, first),
        "close": prices[after - 1],
        "volume": points.volume_24h_usd[after - 1],
        "observations": after - first,
    }
