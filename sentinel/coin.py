"""One coin of the registry, and how it is read from CoinGecko's list and from the file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from safe_zone import STRIKES_TO_DEACTIVATE
from sentinel import coin_names
from sentinel.models import CoinLabel

# Sorts behind every rank.
UNRANKED = 1 << 30


def to_iso(at: datetime) -> str:
    """Return a time as the file holds it: UTC, whole seconds."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def from_iso(text: str) -> datetime:
    """Return a time of the file; without a time zone it is UTC. Raises ValueError if invalid."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _check_time(text: str) -> str:
    from_iso(text)
    return text


CoinStatus = Literal["active", "inactive", "delisted"]
_Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]  # JSON holds no lone surrogates
_Time = Annotated[str, AfterValidator(_check_time)]


class Coin(NamedTuple):
    """One coin. Times are texts as `to_iso` makes them, so that the file keeps its bytes."""

    # CoinGecko's id, such as "bitcoin".
    id: Annotated[_Text, Field(min_length=1)]
    symbol: _Text
    name: _Text
    # By market cap, from 1; None outside the ranked coins.
    rank: Annotated[int, Field(gt=0, lt=UNRANKED)] | None = None
    status: CoinStatus = "active"
    # Failures in a row.
    strikes: Annotated[int, Field(ge=0, lt=UNRANKED)] = 0
    # Why the last strike was recorded, as a code; "delisted" for a delisted coin.
    reason: str | None = None
    # When the coin became inactive or delisted.
    since: _Time | None = None
    # When an inactive coin is fetched again.
    next_probe: _Time | None = None

    @property
    def label(self) -> CoinLabel:
        """The coin's symbol, name and rank."""
        return CoinLabel(self.symbol, self.name, self.rank)

    def to_json(self) -> str:
        """Return the coin as JSON on one line, without the fields that have their default."""
        defaults = self._field_defaults
        return json.dumps(
            {k: v for k, v in self._asdict().items() if k not in defaults or v != defaults[k]}
        )


def coin_from_list(entry: Any) -> Coin | None:
    """Return a coin of `/coins/list` with clean texts; None if the entry is invalid.

    A symbol or name of which nothing is left is replaced by the id.
    """
    if not isinstance(entry, dict):
        return None
    coin_id, symbol, name = (entry.get(key) for key in ("id", "symbol", "name"))
    if not (isinstance(coin_id, str) and isinstance(symbol, str) and isinstance(name, str)):
        return None
    if not coin_names.is_valid_id(coin_id):
        return None
    return Coin(
        coin_id,
        coin_names.clean_symbol(symbol) or coin_id,
        coin_names.clean_name(name) or coin_id,
    )


class ShortList(NamedTuple):
    """A list of CoinGecko's that is too short to be believed yet."""

    # How many coins it had when it was first seen.
    coins: Annotated[int, Field(ge=0)]
    # By this machine's clock. In between, no list of another length was seen.
    first_seen: _Time
    last_seen: _Time


class RegistryFile(BaseModel):
    """The content of `coin_registry.json`. pydantic reads it twice as fast as `json` and checks."""

    model_config = ConfigDict(strict=True)

    synced_at: _Time | None = None
    # Only while CoinGecko sends such a list.
    short_list: ShortList | None = None
    coins: list[Coin]


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
