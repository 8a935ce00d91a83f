"""Writes the coins' labels: symbol, name and rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sentinel.models import CoinLabel
from sentinel.storage.connection import Connection

# A coin without a label gets its id as symbol and name.
ADD_COINS = """
INSERT INTO sentinel.coins (coin_id, symbol, name, rank)
SELECT coin_id, coalesce(symbol, coin_id), coalesce(name, coin_id), rank
FROM unnest(%(coin_id)b::text[], %(symbol)b::text[], %(name)b::text[], %(rank)b::int4[])
     AS i (coin_id, symbol, name, rank)
ON CONFLICT (coin_id) DO NOTHING
"""

# A coin without a label keeps its names and loses its rank: a coin that left the ranking must not
# stay in it.
RELABEL_COINS = """
UPDATE sentinel.coins c
SET symbol = i.symbol, name = i.name, rank = i.rank
FROM (SELECT known.coin_key, l.rank, coalesce(l.symbol, known.symbol) AS symbol,
             coalesce(l.name, known.name) AS name
      FROM sentinel.coins known
      LEFT JOIN unnest(%(coin_id)b::text[], %(symbol)b::text[], %(name)b::text[], %(rank)b::int4[])
                AS l (coin_id, symbol, name, rank) USING (coin_id)) AS i
WHERE c.coin_key = i.coin_key
  AND (c.symbol, c.name, c.rank) IS DISTINCT FROM (i.symbol, i.name, i.rank)
"""


def add_coins(connection: Connection, labels: Mapping[str, CoinLabel | None]) -> None:
    """Insert coins that are not stored yet, by their ids."""
    connection.execute(ADD_COINS, _columns(labels))


def relabel_coins(connection: Connection, labels: Mapping[str, CoinLabel]) -> None:
    """Update the names and ranks of all stored coins.

    A coin that is not in `labels` keeps its names and loses its rank. Empty labels change nothing.
    """
    if labels:
        connection.execute(RELABEL_COINS, _columns(labels))


def _columns(labels: Mapping[str, CoinLabel | None]) -> dict[str, Sequence[Any]]:
    """Return labels as one array per column, for unnest."""
    unlabeled = CoinLabel(None, None, None)
    found = [label or unlabeled for label in labels.values()]
    return {
        "coin_id": list(labels),
        "symbol": [label.symbol for label in found],
        "name": [label.name for label in found],
        "rank": [label.rank for label in found],
    }
