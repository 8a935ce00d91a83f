"""All known coins: which ones a run fetches, what they are called, and their health. No HTTP.

sentinel/coin_health.py has the rules for the health of one coin, sentinel/coin_sync.py those of the
daily sync.
"""

from __future__ import annotations

import difflib
import errno
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from safe_zone import (
    MAX_CLOCK_SKEW,
    MAX_FAILED_SHARE,
    MIN_FAILED_COINS,
    SYNC_AFTER,
)
from sentinel import coin_health
from sentinel.coin import (
    UNRANKED,
    Coin,
    RegistryFile,
    ShortList,
    coin_from_old_format,
    from_iso,
    to_iso,
)
from sentinel.coin_names import clean_name
from sentinel.coin_sync import ListTooShort, should_wait, sync_coins
from sentinel.errors import ConfigurationError
from sentinel.files import exclusive_lock, replace_atomically

__all__ = ["Coin", "CoinRegistry", "HealthChanges", "find_matches"]


@dataclass(frozen=True, slots=True)
class HealthChanges:
    """What one response did to the health of its coins."""

    # Ids of coins that got a strike.
    struck: tuple[str, ...] = ()
    # Ids of coins that became inactive with this strike.
    deactivated: tuple[str, ...] = ()
    # Ids of coins whose strikes were cleared.
    healed: tuple[str, ...] = ()
    # Those of them that were not active.
    reactivated: tuple[str, ...] = ()
    # Whether so many coins failed that none of them got a strike.
    is_degraded: bool = False


class CoinRegistry:
    """All known coins by id, and when the list was last synced with CoinGecko's."""

    def __init__(
        self,
        coins: Iterable[Coin] = (),
        synced_at: datetime | None = None,
        short_list: ShortList | None = None,
    ) -> None:
        self.coins: dict[str, Coin] = {coin.id: coin for coin in coins}
        # By this machine's clock; None: never.
        self.synced_at = synced_at
        # CoinGecko's list while it is too short to be believed; None: the last one was not.
        self.short_list = short_list
        # The file as this object read or wrote it last, and what it holds; None: it read none.
        self._loaded_text: str | None = None
        self._loaded: CoinRegistry | None = None

    def __len__(self) -> int:
        return len(self.coins)

    # --- choosing coins ----------------------------------------------------------------------

    def top_ids(self, limit: int) -> list[str]:
        """Return the ids of the `limit` best ranked active coins; unranked ones follow by id."""
        active = (coin for coin in self.coins.values() if coin.status == "active")
        return [coin.id for coin in sorted(active, key=_by_rank)[:limit]]

    def resolve(self, terms: Iterable[str]) -> list[str]:
        """Turn ids, symbols and names into ids, in the order given, each once.

        An exact id wins, then a symbol, then a name; symbols and names in any case. If several
        coins share a symbol or name, the best ranked active coin wins.

        Raises ConfigurationError that names every unknown term, with near matches.
        """
        chosen, unknown = self.look_up(terms)
        if unknown:
            raise ConfigurationError(self._describe_unknown(unknown))
        return chosen

    def _describe_unknown(self, terms: Iterable[str]) -> str:
        vocabulary = {*self.coins, *self._index("symbol"), *self._index("name")}
        described = []
        for term in terms:
            near = difflib.get_close_matches(_fold(term), vocabulary, n=3, cutoff=0.7)
            described.append(f"'{term[:80]}'" + (f" (near: {', '.join(near)})" if near else ""))
        return (
            f"Unknown coins in targets: {'; '.join(described)}. "
            "find_all_matches.py SYMBOL lists the known coins."
        )

    def look_up(self, terms: Iterable[str]) -> tuple[list[str], list[str]]:
        """Like `resolve`, but return the ids that were found and the terms that are unknown."""
        by_symbol, by_name = self._index("symbol"), self._index("name")
        chosen: list[str] = []
        unknown: list[str] = []
        for term in terms:
            key = _fold(clean_name(term))
            exact, folded = (name if name in self.coins else None for name in (term, key))
            found = exact or by_symbol.get(key) or by_name.get(key) or folded
            (chosen if found else unknown).append(found or term)
        return list(dict.fromkeys(chosen)), unknown

    def _index(self, attribute: str) -> dict[str, str]:
        """Return each symbol or name, case folded → the id of the coin that it means."""
        index: dict[str, str] = {}
        for coin in sorted(self.coins.values(), key=_by_health_and_rank):
            index.setdefault(_fold(getattr(coin, attribute)), coin.id)
        return index

    def due_for_probe(self, now: datetime) -> list[str]:
        """Return the ids of inactive coins whose probe is due, the longest waiting first."""
        at = to_iso(now)
        due = (
            coin
            for coin in self.coins.values()
            if coin.status == "inactive" and (coin.next_probe or "") <= at
        )
        return [coin.id for coin in sorted(due, key=lambda coin: (coin.next_probe or "", coin.id))]

    def needs_sync(self, now: datetime) -> bool:
        """Whether the last sync is older than SYNC_AFTER, or lies in the future.

        After a list that was too short, the next try waits for some hours.
        """
        if self.coins and should_wait(self.short_list, now):
            return False
        return self.synced_at is None or not (timedelta() <= now - self.synced_at < SYNC_AFTER)

    # --- health ------------------------------------------------------------------------------

    def record_results(
        self, good: Iterable[str], bad: Mapping[str, str], targets: Iterable[str], now: datetime
    ) -> HealthChanges:
        """Update the health of the coins of one response, and return what changed.

        `good` are the ids with a valid price. `bad` maps the other ids to the reason. `targets`
        are the requested ids without probes, because probes are expected to fail.

        If more than MIN_FAILED_COINS and more than MAX_FAILED_SHARE of the targets fail, CoinGecko
        is the cause: the response is degraded, and no coin gets a strike.
        """
        requested = set(targets)
        failed = sum(1 for coin_id in bad if coin_id in requested)
        inactive = {coin.id for coin in self.coins.values() if coin.status != "active"}
        healed = tuple(coin_id for coin_id in good if self.clear_strikes(coin_id))
        reactivated = tuple(coin_id for coin_id in healed if coin_id in inactive)
        if failed > MIN_FAILED_COINS and failed > MAX_FAILED_SHARE * len(requested):
            return HealthChanges(healed=healed, reactivated=reactivated, is_degraded=True)
        struck = tuple(i for i, reason in bad.items() if self.strike(i, reason, now))
        deactivated = tuple(
            i for i in struck if i not in inactive and self.coins[i].status == "inactive"
        )
        return HealthChanges(struck, deactivated, healed, reactivated)

    def strike(self, coin_id: str, reason: str, now: datetime) -> bool:
        """Count one failure of a coin; False if the coin is unknown or delisted."""
        coin = self.coins.get(coin_id)
        if coin is None or coin.status == "delisted":
            return False
        self.coins[coin_id] = coin_health.add_strike(coin, reason, now)
        return True

    def clear_strikes(self, coin_id: str) -> bool:
        """Clear a coin's strikes after a valid price; True if it had any."""
        coin = self.coins.get(coin_id)
        if coin is None or (coin.status == "active" and not coin.strikes):
            return False
        self.coins[coin_id] = coin_health.clear_health(coin)
        return True

    # --- the sync with CoinGecko -----------------------------------------------------------------

    def sync(self, listed: Iterable[Any], ranked: Iterable[Any], now: datetime) -> None:
        """Take over CoinGecko's list (`/coins/list`) and ranking (`/coins/markets`).

        Raises ValueError if the list is empty or truncated, or if no ranks are known at all.
        """
        try:
            self.coins = sync_coins(self.coins, listed, ranked, now, self.short_list)
        except ListTooShort as error:
            self.short_list = error.short_list
            raise
        self.synced_at, self.short_list = now, None

    # --- merging with another run ----------------------------------------------------------------

    def merge(self, base: CoinRegistry, theirs: CoinRegistry) -> None:
        """Merge what another run made of the same `base`, so that both runs' changes survive.

        A coin that only one side changed is taken from that side. If both changed it, success
        beats failure, strikes add up, and a delisting stays.
        """
        newer = theirs.synced_at and (self.synced_at is None or theirs.synced_at > self.synced_at)
        for coin_id in base.coins.keys() | theirs.coins.keys() | self.coins.keys():
            old, ours, other = (r.coins.get(coin_id) for r in (base, self, theirs))
            merged = coin_health.merge_coins(old, ours, other, prefer_theirs=bool(newer))
            if merged is None:
                self.coins.pop(coin_id, None)
            else:
                self.coins[coin_id] = merged
        if newer:
            self.synced_at, self.short_list = theirs.synced_at, theirs.short_list
        elif theirs.synced_at == self.synced_at and self.short_list == base.short_list:
            self.short_list = theirs.short_list

    def discard_future_sync_time(self, now: datetime) -> None:
        """Forget a sync time in the future, as a wrong clock leaves behind.

        Otherwise no later sync would ever count as newer.
        """
        if self.synced_at and self.synced_at > now + MAX_CLOCK_SKEW:
            self.synced_at = None

    def is_newer_by_a_day(self, other: CoinRegistry) -> bool:
        """Whether this registry was synced a day or more after the other one."""
        if self.synced_at is None or other.synced_at is None:
            return self.synced_at is not None
        return self.synced_at - other.synced_at >= SYNC_AFTER

    def keep_health_only(self, theirs: CoinRegistry) -> None:
        """Take over the other registry's names, ranks and sync time; keep this one's health.

        The ranking changes hundreds of lines. Without this, every run would commit it, and not
        only one run a day.
        """
        ours = self.coins
        self.coins = {
            coin_id: ours[coin_id]._replace(symbol=coin.symbol, name=coin.name, rank=coin.rank)
            if coin_id in ours and "delisted" not in (ours[coin_id].status, coin.status)
            else coin
            for coin_id, coin in theirs.coins.items()
        }
        self.synced_at = theirs.synced_at

    # --- the file ----------------------------------------------------------------------------

    def to_text(self) -> str:
        """Return the whole file: one coin per line, by id, so that a strike is a one-line diff."""
        lines = ",\n".join(coin.to_json() for _, coin in sorted(self.coins.items()))
        synced = json.dumps(to_iso(self.synced_at) if self.synced_at else None)
        short_list = json.dumps(self.short_list._asdict()) if self.short_list else ""
        noted = f'"short_list": {short_list}, ' if short_list else ""
        return f'{{"synced_at": {synced}, {noted}"coins": [\n{lines}{chr(10) if lines else ""}]}}\n'

    @classmethod
    def from_text(cls, text: str) -> CoinRegistry:
        """Read the file's text, also the old format: a bare list with `failure_count`.

        Raises ValueError if it is damaged.
        """
        text = text.strip()
        try:
            if text.startswith("["):
                return cls(map(coin_from_old_format, json.loads(text)))
            content = RegistryFile.model_validate_json(text or '{"coins": []}')
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"]))
            texts = (place, first["msg"], str(first["input"])[:80])
            raise ValueError(": ".join(filter(None, texts))) from error
        synced_at = from_iso(content.synced_at) if content.synced_at else None
        return cls(content.coins, synced_at, content.short_list)

    @classmethod
    def load(cls, path: Path) -> CoinRegistry:
        """Read a registry; a missing file is an empty registry.

        Raises ValueError if the file is damaged, ConfigurationError if it cannot be read.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            registry = cls()
            registry._loaded = cls()
            return registry
        except OSError as error:
            raise ConfigurationError(
                f"The registry {path} cannot be read ({error.strerror}). Make it readable, or set "
                "SENTINEL_REGISTRY to another file."
            ) from error
        registry = cls.from_text(text)
        registry._note_loaded(text)  # noqa: SLF001 (its own class)
        return registry

    def save(self, path: Path) -> bool:
        """Write the file whole or not at all; False if nothing changed.

        Changes that another run wrote since `load` are merged first, under a lock.

        Raises ConfigurationError if it cannot be written.
        """
        if self._is_unchanged() and _read_text(path) == self._loaded_text:
            return False
        try:
            with exclusive_lock(path.resolve()):
                self._merge_newer(path)
                if self._is_unchanged() or (text := self.to_text()) == self._loaded_text:
                    return False
                # A rename would replace even a read-only file, whose owner wants it unchanged.
                if path.exists() and not os.access(path, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                replace_atomically(path, text.encode(), new_mode=0o644)
        except OSError as error:
            raise ConfigurationError(
                f"The registry {path} cannot be written ({error.strerror}), so this run's health "
                "changes are lost. Make the file and its folder writable, or set "
                "SENTINEL_REGISTRY to another file."
            ) from error
        self._note_loaded(text)
        return True

    def _note_loaded(self, text: str) -> None:
        """Remember that the file holds `text`, which is this registry as it is now."""
        self._loaded_text = text
        self._loaded = CoinRegistry(self.coins.values(), self.synced_at, self.short_list)

    def _is_unchanged(self) -> bool:
        """Whether the file holds this registry. The text of 17,000 coins would take 0.05 s."""
        if self._loaded is None or not self._loaded_text or self._loaded_text[0] != "{":
            return False  # no file, an empty one, or the old format
        ours, loaded = ((r.coins, r.synced_at, r.short_list) for r in (self, self._loaded))
        return ours == loaded

    def _merge_newer(self, path: Path) -> None:
        text = _read_text(path)
        if self._loaded is None or text == self._loaded_text:
            return
        try:
            theirs = None if text is None else CoinRegistry.from_text(text)
        except ValueError:
            theirs = None
        if theirs is None:  # deleted or damaged since: this run's registry replaces it
            self._loaded_text = self._loaded = None
            return
        self.merge(self._loaded, theirs)
        self._loaded_text, self._loaded = text, theirs


def find_matches(registry: CoinRegistry, symbol: str) -> list[Coin]:
    """Return every coin with this symbol, the best ranked first."""
    key = _fold(clean_name(symbol))
    return sorted((c for c in registry.coins.values() if _fold(c.symbol) == key), key=_by_rank)


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


def _by_rank(coin: Coin) -> tuple[int, str]:
    return (coin.rank or UNRANKED, coin.id)


def _by_health_and_rank(coin: Coin) -> tuple[bool, int, str]:
    return (coin.status != "active", *_by_rank(coin))


def _fold(text: str) -> str:
    """Return a text for comparison: case folded, without blanks around it (NBSP included)."""
    return text.casefold().strip()
