"""The archive's list of coins: `coins.parquet`, which says what a coin id of the day files means.

Its columns are `coin_id`, `symbol`, `name` (text) and `rank` (integer, by market cap), all of them
nullable, sorted by coin id. A coin that the database no longer knows stays in the list.
"""

from __future__ import annotations

from collections.abc import Sequence

from sentinel.archive import parquet
from sentinel.archive.store import Archive
from sentinel.storage.connection import Connection

NAME = "coins.parquet"
MAX_BYTES = 64_000_000  # all of CoinGecko's coins have under 1 MB
COINS = "SELECT coin_id, symbol, name, rank FROM sentinel.coins WHERE observed_at IS NOT NULL"


def write_coins(connection: Connection, archive: Archive) -> None:
    """Bring the list up to date. Raises ArchiveUnavailable."""
    coins: Sequence[tuple[str, str, str, int | None]] = connection.execute(COINS).fetchall()
    stored = archive.read_file(NAME, MAX_BYTES)
    content = parquet.build_coins(coins, stored)
    if content != stored:
        archive.write_file(NAME, content)
