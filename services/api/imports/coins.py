"""Which coin a symbol of an import file means: the best ranked one that has the symbol."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sentinel.coin import UNRANKED
from services.api.imports.entries import BadLine
from services.api.imports.symbols import SUCCESSORS, modernize

MAX_ALTERNATIVES = 5


class CoinChoice(NamedTuple):
    """A coin that a symbol may mean."""

    coin_id: str
    symbol: str
    name: str
    # By market cap, from 1; None outside the ranked coins.
    rank: int | None = None
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class ResolvedCoin:
    """The coin that a symbol means, and the others that have the symbol."""

    coin: CoinChoice
    alternatives: tuple[CoinChoice, ...] = ()


class CoinResolver:
    """Finds coins by symbol."""

    def __init__(self, coins: Iterable[CoinChoice], overrides: Mapping[str, str]) -> None:
        """`overrides` names the coin id of a symbol, which then needs no coin of that symbol."""
        self._by_id: dict[str, CoinChoice] = {}
        # By symbol, id and name: some files have the name. The best rank decides.
        self._by_text: dict[str, list[CoinChoice]] = defaultdict(list)
        for coin in coins:
            if coin.coin_id not in self._by_id:
                self._by_id[coin.coin_id] = coin
                for text in {coin.symbol.upper(), coin.coin_id.upper(), coin.name.upper()}:
                    self._by_text[text].append(coin)
        self._resolved: dict[tuple[str, str], ResolvedCoin] = {}
        self._overrides = {symbol.upper(): coin_id for symbol, coin_id in overrides.items()}

    def has_id(self, coin_id: str) -> bool:
        """Return whether a coin has this id. If no coin is known, every id is accepted."""
        return coin_id in self._by_id or not self._by_id

    def find(self, coin_id: str) -> ResolvedCoin:
        """Return the coin of an id; its symbol and name are the id if no coin is known."""
        return ResolvedCoin(self._by_id.get(coin_id) or CoinChoice(coin_id, coin_id, coin_id))

    def resolve(self, symbol: str, made_at: datetime) -> ResolvedCoin:
        """Return the coin of a symbol, or of a coin id. Raises BadLine."""
        modern = modernize(symbol, made_at)
        key = (symbol, modern)
        if key not in self._resolved:
            self._resolved[key] = self._resolve(symbol, modern)
        return self._resolved[key]

    def _resolve(self, symbol: str, modern: str) -> ResolvedCoin:
        candidates = self._list_candidates(modern)
        chosen = self._overrides.get(symbol.upper(), self._overrides.get(modern))
        if chosen is not None:
            coin = self._by_id.get(chosen)
            if coin is None:
                raise BadLine(
                    f"there is no coin '{chosen[:80]}', which coins names for {symbol}.", "coins"
                )
            return ResolvedCoin(coin, _without(candidates, coin))
        if not candidates:
            raise BadLine(
                f"no known coin has the symbol {symbol[:20]}: name the coin's id in coins.", "coins"
            )
        best = candidates[0]
        if best.rank is None and len(candidates) > 1:
            raise BadLine(
                f"several coins have the symbol {symbol[:20]}, and none is ranked: name the coin's "
                "id in coins.",
                "coins",
            )
        return ResolvedCoin(best, _without(candidates, best))

    def _list_candidates(self, symbol: str) -> list[CoinChoice]:
        """Return the coins of a symbol, and of the symbol that it was changed to, by rank."""
        texts = {symbol, SUCCESSORS.get(symbol, symbol)}
        coins = {coin for text in texts for coin in self._by_text.get(text, ())}
        return sorted(coins, key=_by_health_and_rank)


def _by_health_and_rank(coin: CoinChoice) -> tuple[bool, int, str]:
    return not coin.is_active, coin.rank or UNRANKED, coin.coin_id


def _without(coins: Iterable[CoinChoice], chosen: CoinChoice) -> tuple[CoinChoice, ...]:
    return tuple(coin for coin in coins if coin != chosen)[:MAX_ALTERNATIVES]
