"""Stored prices and candles as data frames of pandas or polars, for notebooks."""

from __future__ import annotations

import importlib
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_zone import load_settings
from sentinel.archive.parquet import Points
from sentinel.arguments import end_moment, moment
from sentinel.backtesting import price_loader, time_span
from sentinel.backtesting.price_loader import StoredRead
from sentinel.backtesting.price_series import LoadedPrices
from sentinel.data.candles import compute_candles, parse_interval
from sentinel.errors import ConfigurationError

COLUMNS = ("coin_id", "time", "price", "market_cap", "volume", "source")
LIBRARIES = ("pandas", "polars")
REMEDY = "Name fewer coins or days, or pass ignore_budget=True."
Columns = Mapping[str, NDArray[Any]]


def frame(
    coins: Sequence[str] | str = (),
    days: float | None = None,
    *,
    start: str | datetime | None = None,
    stop: str | datetime | None = None,
    columns: Sequence[str] = COLUMNS,
    library: str = "pandas",
    ignore_budget: bool = False,
) -> Any:
    """Return the stored prices of coins from database and archive, sorted by coin and time.

    Coins are ids, symbols or names; without any, the ten best ranked. The span is the last `days`
    (30), or from `start` to `stop`, of which the day is included. Columns: `coin_id`, `time` (UTC),
    `price`, `market_cap` and `volume` of the last 24 hours (USD, null if unknown), and `source`
    (`observed` or `backfilled`). The library is `pandas` or `polars`.

    Raises ConfigurationError, StorageUnavailable, ArchiveUnavailable, ArchiveDamaged, and
    BudgetExhausted unless `ignore_budget` is set.
    """
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown or not columns:
        raise ConfigurationError(
            f"There is no column {', '.join(unknown) or 'named'}: the columns are "
            f"{', '.join(COLUMNS)}"
        )
    _require_library(library)
    points = _read(coins, days, start, stop, ignore_budget=ignore_budget)
    found = {
        "coin_id": points.coin_id,
        "time": _to_times(points.seconds),
        "price": points.price_usd,
        "market_cap": points.market_cap_usd,
        "volume": points.volume_24h_usd,
        "source": np.where(points.is_observed, "observed", "backfilled").astype(object),
    }
    return _build({name: found[name] for name in columns}, library)


def candles(
    coins: Sequence[str] | str = (),
    days: float | None = None,
    every: str = "1h",
    *,
    start: str | datetime | None = None,
    stop: str | datetime | None = None,
    library: str = "pandas",
    ignore_budget: bool = False,
) -> Any:
    """Return open, high, low and close of each interval that has a price, such as 15m, 1h or 1d.

    `time` is the start of the interval in UTC. `volume` is what was traded in the 24 hours before
    the close (USD, null if unknown): it is not the volume of the interval. `observations` counts
    the prices of the interval. Other arguments and errors as in `frame`.
    """
    interval_seconds = parse_interval(every)
    _require_library(library)
    points = _read(coins, days, start, stop, ignore_budget=ignore_budget)
    found = compute_candles(points, interval_seconds)
    return _build(found | {"time": _to_times(found["time"])}, library)


def prices(
    coins: Sequence[str] | str = (),
    days: float | None = None,
    *,
    start: str | datetime | None = None,
    stop: str | datetime | None = None,
    ignore_budget: bool = False,
) -> LoadedPrices:
    """Return the prices of a backtest, with 30 days before its start for the strategy's averages.

    Arguments and errors are those of `frame`.
    """
    now = datetime.now(UTC)
    span = time_span.choose_span(days, _parse(start, moment), _parse(stop, end_moment), now)
    return price_loader.load_from_database(
        load_settings(), _to_terms(coins), span, now, ignore_budget=ignore_budget
    )


def _to_terms(coins: Sequence[str] | str) -> list[str]:
    return [coins] if isinstance(coins, str) else list(coins)


def _read(
    coins: Sequence[str] | str,
    days: float | None,
    start: str | datetime | None,
    stop: str | datetime | None,
    *,
    ignore_budget: bool,
) -> Points:
    """Return the points with a price. Raises ConfigurationError if a named coin has none."""
    now = datetime.now(UTC)
    span = time_span.choose_span(days, _parse(start, moment), _parse(stop, end_moment), now)
    read = StoredRead("This data frame", REMEDY, span.start, span.stop)
    database, coin_ids, points = price_loader.read_stored(
        load_settings(), _to_terms(coins), read, now, is_forced=ignore_budget
    )
    is_priced = points.price_usd > 0
    points = Points(*(column[is_priced] for column in points))
    missing = sorted(set(coin_ids) - set(points.coin_id.tolist()))
    if missing or not coin_ids:
        raise ConfigurationError(
            f"{database} holds no prices of {', '.join(missing) or 'any coin'} {span.text}: run "
            "ingest.py, or name other coins"
        )
    return points


def _parse(at: str | datetime | None, parse: Callable[[str], datetime]) -> datetime | None:
    """Return a time in UTC, also of a text. Raises ConfigurationError."""
    try:
        return None if at is None else parse(at if isinstance(at, str) else at.isoformat())
    except ArgumentTypeError as error:
        raise ConfigurationError(str(error)) from error


def _to_times(seconds: NDArray[Any]) -> NDArray[np.datetime64]:
    return np.round(seconds * 1e6).astype("datetime64[us]")


def _require_library(name: str) -> None:
    """Raise ConfigurationError if the library is unknown or not installed."""
    if name not in LIBRARIES:
        raise ConfigurationError(f"There is no library '{name}': name {' or '.join(LIBRARIES)}")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"library='{name}' needs {name}: python -m pip install {name}"
        ) from error


def _build(columns: Columns, library: str) -> Any:
    """Return a frame of these columns: times with the zone UTC, unknown numbers as missing."""
    if library == "polars":
        import polars as pl

        built = pl.DataFrame(dict(columns), nan_to_null=True)
        zoned = pl.col("time").dt.replace_time_zone("UTC")
        return built.with_columns(zoned) if "time" in columns else built
    import pandas as pd

    built = pd.DataFrame(dict(columns))
    return built.assign(time=built["time"].dt.tz_localize("UTC")) if "time" in columns else built
