"""One coin of the registry, and how it is read from CoinGecko's list and from the file."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args

from safe_zone import STRIKES_TO_DEACTIVATE
from sentinel.models import CoinLabel

CoinStatus = Literal["active", "inactive", "delisted"]
# Sorts behind every rank.
UNRANKED = 1 << 30
# Characters that PostgreSQL or a terminal cannot take: control characters and lone surrogates.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class Coin(NamedTuple):
    """One coin. Times are texts as `to_iso` makes them, so that the file keeps its bytes."""

    # CoinGecko's id, such as "bitcoin".
    id: str
    symbol: str
    name: str
    # By market cap, from 1; None outside the ranked coins.
    rank: int | None = None
    status: CoinStatus = "active"
    # Failures in a row.
    strikes: int = 0
    # Why the last strike was recorded, as a code; "delisted" for a delisted coin.
    reason: str | None = None
    # When the coin became inactive or delisted.
    since: str | None = None
    # When an inactive coin is fetched again.
    next_probe: str | None = None

    @property
    def label(self) -> CoinLabel:
        """The coin's symbol, name and rank."""
        return CoinLabel(self.symbol, self.name, self.rank)

    def to_json(self) -> str:
        """Return the coin as JSON on one line, without the fields that have their default."""
        fields = {"id": self.id, "symbol": self.symbol, "name": self.name}
        optional = {
            "rank": self.rank,
            "status": None if self.status == "active" else self.status,
            "strikes": self.strikes or None,
            "reason": self.reason,
            "since": self.since,
            "next_probe": self.next_probe,
        }
        return json.dumps(fields | {k: v for k, v in optional.items() if v is not None})


def coin_from_list(entry: Any) -> Coin | None:
    """Return a coin of `/coins/list`; None if the entry is invalid or cannot be stored."""
    if not isinstance(entry, dict):
        return None
    coin_id, symbol, name = (entry.get(key) for key in ("id", "symbol", "name"))
    if not (isinstance(coin_id, str) and isinstance(symbol, str) and isinstance(name, str)):
        return None
    unstorable = _CONTROL.search(coin_id + symbol + name)
    return None if unstorable or not coin_id else Coin(coin_id, symbol, name)


def coin_from_json(entry: Any) -> Coin:
    """Return a coin of the registry's file. Raises ValueError if the entry is invalid."""
    try:
        coin = Coin(**entry)
    except TypeError as error:
        raise ValueError(f"{str(entry)[:80]} is not a coin") from error
    shapes = (str, str, str, int | None, str, int, str | None, str | None, str | None)
    fits = all(isinstance(value, shape) for value, shape in zip(coin, shapes, strict=True))
    if not fits or not _is_sound(coin):
        raise ValueError(f"{str(entry)[:80]} is not a coin")
    return coin


def _is_sound(coin: Coin) -> bool:
    """Whether values of the right types are also possible values."""
    for at in (coin.since, coin.next_probe):
        if at is not None:
            from_iso(at)
    return (
        bool(coin.id)
        and not _CONTROL.search(coin.id + coin.symbol + coin.name)
        and coin.status in get_args(CoinStatus)
        and 0 <= coin.strikes < UNRANKED
        and (coin.rank is None or 0 < coin.rank < UNRANKED)
    )


def coin_from_old_format(entry: Any) -> Coin:
    """Return a coin of the original project's registry, with `status` and `failure_count`.

    Raises ValueError if the entry is invalid.
    """
    coin = coin_from_list(entry)
    if coin is None:
        raise ValueError(f"{str(entry)[:80]} is not a coin")
    strikes = entry.get("failure_count", 0)
    strikes = strikes if isinstance(strikes, int) and strikes > 0 else 0
    if entry.get("status") == "inactive":
        strikes = max(strikes, STRIKES_TO_DEACTIVATE)
        return coin._replace(status="inactive", strikes=strikes, reason="old_registry")
    return coin._replace(strikes=min(strikes, STRIKES_TO_DEACTIVATE - 1))


def to_iso(at: datetime) -> str:
    """Return a time as the file holds it: UTC, whole seconds."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def from_iso(text: Any) -> datetime:
    """Return a time of the file; without a time zone it is UTC. Raises ValueError if invalid."""
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not a time")
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
