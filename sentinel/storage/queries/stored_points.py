"""Finds which rows of a later load the history lacks."""

from __future__ import annotations

from collections.abc import Sequence

from sentinel.models import MarketRow
from sentinel.storage.connection import Connection

STORED_POINTS = """
SELECT i.coin_id, i.observed_at, o.source
FROM unnest(%(coin_id)b::text[], %(observed_at)b::timestamptz[]) AS i (coin_id, observed_at)
JOIN sentinel.coins c USING (coin_id)
JOIN sentinel.observations o ON o.coin_key = c.coin_key AND o.observed_at = i.observed_at
"""


def find_lacking_rows(connection: Connection, rows: Sequence[MarketRow]) -> list[MarketRow]:
    """Return the rows whose point (coin and time) is not stored.

    A stored point keeps its values, because they are from a later response. But an observed row is
    returned where a backfilled one is stored.
    """
    points = {
        "coin_id": [row.coin_id for row in rows],
        "observed_at": [row.observed_at for row in rows],
    }
    found = connection.execute(STORED_POINTS, points).fetchall()
    stored = {(coin_id, observed_at): source for coin_id, observed_at, source in found}
    replaceable = {"observed": (None, "backfilled"), "backfilled": (None,)}
    return [
        row for row in rows if stored.get((row.coin_id, row.observed_at)) in replaceable[row.source]
    ]
