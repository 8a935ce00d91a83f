"""The rows of the market table, from what the database has of each coin."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sentinel.site.market import Market, MarketCoin
from sentinel.site.price_line import LinePaths, draw_line, find_bounds

HOUR = timedelta(hours=1)
TOP_COINS = 100
# A price that is so much older than the newest one of all coins is marked, and is no mover.
OLDER = timedelta(hours=1)
MOVERS = 5
# Pegged coins move by less in a usual day. The line of a smaller move looks flat, too.
MIN_MOVE = 0.01
# Of a small drawing: two units an hour, so that the middle of an hour is a whole number.
SPARKLINE_HOUR_WIDTH, SPARKLINE_HEIGHT = 2, 48
SAFE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,80}")


@dataclass(frozen=True, slots=True)
class MarketRow:
    """One coin as the table shows it."""

    coin: MarketCoin
    # The file of its page in the folder `coins`.
    file: str
    # Fractions; None: no price in the hour that lies so long before the newest price.
    change_24h: float | None
    change_7d: float | None
    # By how much its price is older than the newest of all; None: by less than OLDER.
    minutes_older: float | None
    # None: no price in the last 7 days.
    sparkline: LinePaths | None


@dataclass(frozen=True, slots=True)
class Movers:
    """The coins of the top 100 that moved most in 24 hours, the largest move first."""

    up: Sequence[MarketRow]
    down: Sequence[MarketRow]
    # How many coins were compared.
    compared: int


def make_rows(market: Market) -> list[MarketRow]:
    """Return the rows in the order of the coins."""
    newest = max((coin.observed_at for coin in market.coins), default=market.generated_at)
    return [_make_row(coin, market.charts_from, newest) for coin in market.coins]


def _make_row(coin: MarketCoin, charts_from: datetime, newest: datetime) -> MarketRow:
    bounds = find_bounds(coin.prices_usd)
    sparkline = bounds and draw_line(
        coin.prices_usd,
        coin.sources,
        bounds.widen(MIN_MOVE),
        hour_width=SPARKLINE_HOUR_WIDTH,
        height=SPARKLINE_HEIGHT,
    )
    older_by = newest - coin.observed_at
    return MarketRow(
        coin=coin,
        file=name_file(coin.coin_id),
        change_24h=measure_change(coin, charts_from, 24),
        change_7d=measure_change(coin, charts_from, 7 * 24),
        minutes_older=older_by / timedelta(minutes=1) if older_by >= OLDER else None,
        sparkline=sparkline,
    )


def measure_change(coin: MarketCoin, charts_from: datetime, hours: int) -> float | None:
    """Return by which fraction the newest price differs from the last of the hour `hours` before.

    None where that hour is a gap or before the chart: a price of another hour would be a guess.
    """
    hour = (coin.observed_at - charts_from) // HOUR - hours
    before = coin.prices_usd[hour] if 0 <= hour < len(coin.prices_usd) else None
    return coin.price_usd / before - 1 if before else None


def find_movers(rows: Sequence[MarketRow]) -> Movers:
    """Return the movers among the first 100 rows. Old prices and moves below 1 % are left out."""
    moves = [
        (row.change_24h, row)
        for row in rows[:TOP_COINS]
        if row.change_24h is not None and row.minutes_older is None
    ]
    up = sorted((move for move in moves if move[0] >= MIN_MOVE), key=lambda move: -move[0])
    down = sorted((move for move in moves if move[0] <= -MIN_MOVE), key=lambda move: move[0])
    return Movers([row for _, row in up[:MOVERS]], [row for _, row in down[:MOVERS]], len(moves))


def name_file(coin_id: str) -> str:
    """Return the name of a coin's file: its id, or a hash of an id with unusual characters.

    Ids are chosen by strangers, up to characters that a file system or an address reads otherwise.
    A hash has an underscore before it, which no usual id has.
    """
    if SAFE_ID.fullmatch(coin_id):
        return f"{coin_id}.html"
    return f"_{hashlib.sha256(coin_id.encode()).hexdigest()[:32]}.html"
