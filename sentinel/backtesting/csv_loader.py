"""Load the price series of a backtest from a price file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from sentinel.backtesting import engine, price_csv, time_span
from sentinel.backtesting.price_series import LoadedPrices
from sentinel.errors import ConfigurationError


def load_from_csv(
    path: Path,
    terms: Sequence[str],
    start: datetime | None = None,
    stop: datetime | None = None,
) -> LoadedPrices:
    """Return the series of a price file: all its coins, or the coins whose ids are `terms`.

    Trading begins at `start`, by default at the first price; prices from `stop` on are left out.
    Raises ConfigurationError.
    """
    if start and stop:
        time_span.require_order(start, stop)
    found = price_csv.read(path, terms)
    # Ids of a file are compared without regard to case, as coins of the database are.
    by_folded = {coin_id.lower(): coin_id for coin_id in found}
    unknown = [term for term in terms if term.lower() not in by_folded]
    if unknown:
        known = ", ".join(list(price_csv.read(path))[:10])
        raise ConfigurationError(
            f"{path} holds no prices of {', '.join(unknown)}: use the coin ids in the file, such "
            f"as {known}"
        )
    chosen = [by_folded[term.lower()] for term in terms] or list(found)
    end = stop.timestamp() if stop else np.inf
    series = {coin_id: found[coin_id].between(-np.inf, end) for coin_id in dict.fromkeys(chosen)}
    first = start.timestamp() if start else min(float(found[name].times[0]) for name in series)
    return engine.require_points(series, first, path, time_span.describe(start, stop))
