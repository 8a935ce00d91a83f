"""Find the coin that a person means: by id, symbol or name, the best-ranked one first."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from sentinel.notifications.messages import format_coin
from services.api_client import Json, NotFound, quote_segment
from services.telegram.conversation import Context, RequestRefused

MAX_TERM_CHARACTERS = 100  # the API's limit
MAX_FOUND = 500
MAX_OTHERS = 4
# Other coins with the same symbol are named down to this rank; the rest are rarely meant.
MAX_RANK_OF_OTHERS = 500


class FoundCoin(NamedTuple):
    """The coin that a person means."""

    # As the API lists it, with its newest price.
    coin: Json
    # A line that names other coins that the term may mean; none if there are none.
    notes: Sequence[str] = ()

    @property
    def coin_id(self) -> str:
        """CoinGecko's id."""
        return str(self.coin["coin_id"])

    @property
    def label(self) -> str:
        """Name and symbol."""
        return format_coin(self.coin["name"], self.coin["symbol"])


def find_coin(context: Context, term: str) -> FoundCoin:
    """Return the coin for an id, a symbol or a name. Raises RequestRefused if there is none."""
    term = term.strip()[:MAX_TERM_CHARACTERS]
    if not term or "\0" in term:
        raise RequestRefused(context.text("unknown_coin", term=""))
    listed = context.read("/coins", search=term, limit=MAX_FOUND)["items"]
    same_id = [coin for coin in listed if coin["coin_id"] == term.lower()]
    if same_id:
        return FoundCoin(same_id[0])
    same = [coin for coin in listed if term.casefold() in _names(coin)]
    if same:
        return FoundCoin(same[0], _describe_others(context, term, same[1:]))
    if listed:
        raise RequestRefused(context.text("similar_coins", term=term, coins=_list_ids(listed)))
    raise RequestRefused(context.text("unknown_coin", term=term))


def label_coin(context: Context, coin_id: str) -> str:
    """Return name and symbol of a coin by its id, or the id if the coin is not stored any more."""
    return find_label(context, coin_id) or coin_id


def find_label(context: Context, coin_id: str) -> str | None:
    """Return name and symbol of a coin by its id; None if the coin is not stored."""
    try:
        coin = context.read(f"/coins/{quote_segment(coin_id)}")
    except NotFound:
        return None
    return format_coin(coin["name"], coin["symbol"])


def _describe_others(context: Context, term: str, others: list[Json]) -> list[str]:
    ranked = [coin for coin in others if (coin["rank"] or inf) <= MAX_RANK_OF_OTHERS]
    ids = ", ".join(str(coin["coin_id"]) for coin in ranked[:MAX_OTHERS])
    return [context.text("other_coins", term=term, coins=ids)] if ids else []


def _names(coin: Json) -> set[str]:
    return {coin["symbol"].casefold(), coin["name"].casefold()}


def _list_ids(coins: list[Json]) -> str:
    listed = [
        f"{format_coin(coin['name'], coin['symbol'])}: {coin['coin_id']}"
        for coin in coins[:MAX_OTHERS]
    ]
    return "; ".join(listed)
