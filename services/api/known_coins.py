"""Which coin ids a request may name, and the search for them."""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Collection

from pipeline.site_figures import load_registry
from sentinel.storage.connection import Connection
from services.api.dependencies import ApiContext
from services.api.problems import UnknownCoin
from services.api.queries.coins import find_stored_coins, has_coins, is_known_coin
from services.api.queries.rows import Row


class KnownCoins:
    """The coins that were ever stored, and those of the registry, which is loaded at most once."""

    def __init__(self, context: ApiContext, connection: Connection) -> None:
        self._context = context
        self._connection = connection
        # An import asks for each of its lines.
        self._is_known = functools.cache(lambda coin_id: is_known_coin(connection, coin_id))

    def require(self, coin_id: str) -> None:
        """Raise HTTPException (404) if a coin was never stored and is not in the registry.

        If neither knows any coin, as on a freshly restored machine, every id is accepted.
        """
        if self._is_known(coin_id) or coin_id in self._listed:
            return
        if self._listed or has_coins(self._connection):
            raise UnknownCoin(coin_id)

    @functools.cached_property
    def _listed(self) -> Collection[str]:
        return load_registry(self._context.monitor.settings).coins


def search_coins(context: ApiContext, connection: Connection, search: str, limit: int) -> list[Row]:
    """Return coins of the registry and of the database whose id, symbol or name has the text.

    At most `limit`, the best ranked first. The registry's symbol, name and rank are newer.
    """
    text = search.strip().casefold()
    found = {row["coin_id"]: row for row in find_stored_coins(connection, text, limit)}
    for coin in load_registry(context.monitor.settings).coins.values():
        if any(text in part.casefold() for part in (coin.id, coin.symbol, coin.name)):
            found[coin.id] = {"coin_id": coin.id} | coin.label._asdict()
    return heapq.nsmallest(limit, found.values(), key=_by_rank)


def _by_rank(coin: Row) -> tuple[float, str]:
    return (coin["rank"] or math.inf, coin["coin_id"])
