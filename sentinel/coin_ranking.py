"""CoinGecko's ranking of coins, made consistent. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from safe_zone import RANKED_COINS
from sentinel.coin import UNRANKED

_LARGEST = 1e300  # JSON's integers may be longer than a float can hold


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
