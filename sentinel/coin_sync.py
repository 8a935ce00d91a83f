"""The daily sync: take over CoinGecko's list of coins and its ranking. Pure.

A coin that leaves CoinGecko's list is delisted, and it is removed once its data has expired too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from safe_zone import (
    BELIEVE_SHORT_LIST_AFTER,
    MAX_FAILED_SHARE,
    RANKED_COINS,
    RETENTION,
    RETRY_SHORT_LIST_AFTER,
    SAME_LENGTH_SHARE,
)
from sentinel import coin_health
from sentinel.coin import UNRANKED, Coin, ShortList, coin_from_list, from_iso, to_iso

log = logging.getLogger("sentinel.registry")
BELIEVED = (
    "CoinGecko lists %d coins instead of %d since %s: the list is believed, and the other coins "
    "are delisted"
)
_LARGEST = 1e300  # JSON's integers may be longer than a float can hold


class ListTooShort(ValueError):
    """CoinGecko's list is too short to be believed yet."""

    def __init__(self, short_list: ShortList, known: int) -> None:
        super().__init__(
            f"CoinGecko lists {short_list.coins} coins, but {known} were known. If it does so for "
            f"{BELIEVE_SHORT_LIST_AFTER.days} days, the list is believed"
        )
        self.short_list = short_list


def sync_coins(
    coins: Mapping[str, Coin],
    listed: Iterable[Any],
    ranked: Iterable[Any],
    now: datetime,
    short_list: ShortList | None = None,
) -> dict[str, Coin]:
    """Return the coins by id after the sync; their strikes stay.

    `listed` are the entries of `/coins/list`, `ranked` those of `/coins/markets`; invalid entries
    are skipped. Coins that are no longer listed become delisted, and delisted coins that are listed
    again become active. Coins that were delisted before the retention are removed. If the ranking
    is truncated, the old ranks stay. `short_list` is what was noted at the last sync that failed.

    Raises ListTooShort if the list is empty or truncated, and ValueError if no ranks are known.
    """
    fresh = {coin.id: coin for coin in map(coin_from_list, listed) if coin}
    known = sum(1 for coin in coins.values() if coin.status != "delisted")
    if not fresh or len(fresh) < (1 - MAX_FAILED_SHARE) * known:
        noted = _note_short_list(short_list, len(fresh), now)
        if not fresh or not _is_believed(noted):
            raise ListTooShort(noted, known)
        log.warning(BELIEVED, len(fresh), known, noted.first_seen)
    ranks = _check_ranks(coins, rank_coins(ranked), len(fresh))
    merged: dict[str, Coin] = {}
    for coin_id, new in fresh.items():
        old = coins.get(coin_id)
        if old and old.status == "delisted":
            old = coin_health.clear_health(old)
        base = old._replace(symbol=new.symbol, name=new.name) if old else new
        # Without a usable ranking, the old rank is better than none.
        rank = ranks.get(coin_id) if ranks else base.rank
        merged[coin_id] = base._replace(rank=rank)
    for coin_id in coins.keys() - fresh.keys():
        gone = coin_health.delist(coins[coin_id], now)
        if (gone.since or "") > to_iso(now - RETENTION):
            merged[coin_id] = gone
    return merged


def _note_short_list(before: ShortList | None, count: int, now: datetime) -> ShortList:
    """Return the short list as of now; its time begins again if it had another length before."""
    is_same = before and abs(count - before.coins) <= SAME_LENGTH_SHARE * before.coins
    if before and is_same and to_iso(now) >= before.last_seen:
        return before._replace(last_seen=to_iso(now))
    return ShortList(count, to_iso(now), to_iso(now))


def _is_believed(short_list: ShortList) -> bool:
    lasted = from_iso(short_list.last_seen) - from_iso(short_list.first_seen)
    return lasted >= BELIEVE_SHORT_LIST_AFTER


def should_wait(short_list: ShortList | None, now: datetime) -> bool:
    """Whether the last list was too short, and it is too early to ask for another one."""
    if short_list is None:
        return False
    return timedelta() <= now - from_iso(short_list.last_seen) < RETRY_SHORT_LIST_AFTER


def _check_ranks(coins: Mapping[str, Coin], ranks: dict[str, int], listed: int) -> dict[str, int]:
    """Return the ranks, or none if they are truncated.

    A complete ranking has as many ranks as before. The first one has RANKED_COINS, if the market is
    several times as large. Raises ValueError if no ranks are known at all.
    """
    known = sum(1 for coin in coins.values() if coin.rank)
    expected = known or (RANKED_COINS if listed > 4 * RANKED_COINS else 0)
    if len(ranks) >= (1 - MAX_FAILED_SHARE) * expected:
        return ranks
    if not known:
        raise ValueError(f"CoinGecko ranks only {len(ranks)} of {listed} coins")
    log.warning("CoinGecko's ranking ends after %d coins: the old one stays", len(ranks))
    return {}


def rank_coins(entries: Iterable[Any]) -> dict[str, int]:
    """Return coin id → rank (from 1) for the entries of `/coins/markets`.

    The pages are not a snapshot: a coin may occur twice, and a rank may repeat or be null. So the
    coins are numbered again, by CoinGecko's rank and then by market cap.
    """
    rows: dict[str, tuple[float, float]] = {}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            rank, cap = (_number(entry.get(key)) for key in ("market_cap_rank", "market_cap"))
            rows.setdefault(entry["id"], (rank or float(UNRANKED), -(cap or 0.0)))
    places = sorted(rows, key=lambda coin_id: (rows[coin_id], coin_id))
    return {coin_id: place for place, coin_id in enumerate(places[:RANKED_COINS], start=1)}


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < _LARGEST else None
