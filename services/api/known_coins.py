"""Which coin ids a request may name."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from pipeline.site_figures import load_registry
from sentinel.storage.connection import Connection
from services.api.dependencies import ApiContext
from services.api.problems import unknown_coin
from services.api.queries.coins import has_coins, is_known_coin


class KnownCoins:
    """The coins that were ever stored, and those of the registry, which is loaded at most once."""

    def __init__(self, context: ApiContext, connection: Connection) -> None:
        self._context = context
        self._connection = connection

    def require(self, coin_id: str) -> None:
        """Raise HTTPException (404) if a coin was never stored and is not in the registry.

        If neither knows any coin, as on a freshly restored machine, every id is accepted.
        """
        if is_known_coin(self._connection, coin_id) or coin_id in self._listed:
            return
        if self._listed or has_coins(self._connection):
            raise unknown_coin(coin_id)

    @cached_property
    def _listed(self) -> Collection[str]:
        return load_registry(self._context.monitor.settings).coins
