"""Which coin a path means by an id or a symbol, and the ids near an unknown one."""

from __future__ import annotations

import difflib

from sentinel.storage.connection import Connection
from services.api.problems import conflict
from services.api.queries.coins import find_coins_named, list_best_ranked_coins

# Near ids are searched among these: the others are rarely meant.
NEAR_AMONG, MAX_NEAR = 2_000, 3


def find_coin_id(connection: Connection, term: str) -> str | None:
    """Return the id of the stored coin with this id or symbol; None if there is none.

    Raises HTTPException (409) if several coins have the symbol.
    """
    found = find_coins_named(connection, term)
    if not found:
        return None
    if len(found) > 1 and not found[0]["is_id"]:
        ids = ", ".join(f"{row['coin_id']} (rank {row['rank'] or 'unknown'})" for row in found)
        raise conflict(f"Several coins have the symbol '{term}': {ids}. Name one by its id.")
    return str(found[0]["coin_id"])


def find_near_ids(connection: Connection, coin_id: str) -> list[str]:
    """Return the ids of well-ranked coins that look like an unknown one."""
    ids = list_best_ranked_coins(connection, NEAR_AMONG)
    return difflib.get_close_matches(coin_id.lower(), ids, MAX_NEAR)
