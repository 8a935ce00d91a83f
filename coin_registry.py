"""Which coins there are, how they are called, and in what health each one is. No HTTP.

A coin is active until STRIKES_TO_DEACTIVATE bad answers in a row; then inactive, and asked again
on parole after 1, 2, 4, … LONGEST_PAROLE_DAYS days; one good answer heals it. A coin that left
CoinGecko's list is delisted, and forgotten when its data is.
"""

from __future__ import annotations

import difflib
import errno
import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from safe_zone import (
    MAX_CLOCK_SKEW,
    MAX_FAILED_SHARE,
    MAX_PROBE_INTERVAL_DAYS,
    MIN_FAILED_COINS,
    RANKED_COINS,
    RETENTION,
    STRIKES_TO_DEACTIVATE,
    SYNC_AFTER,
)
from sentinel.coin import (
    UNRANKED,
    Coin,
    coin_from_json,
    coin_from_list,
    coin_from_old_format,
    from_iso,
    to_iso,
)
from sentinel.errors import ConfigurationError
from sentinel.files import replace_atomically

__all__ = ["Coin", "CoinRegistry", "HealthChanges", "find_matches", "move_damaged_file"]

log = logging.getLogger("sentinel.registry")
_LARGEST = 1e300  # JSON's integers may be longer than a float can hold


@dataclass(frozen=True, slots=True)
class HealthChanges:
    """What a run's answers did to its coins."""

    struck: tuple[str, ...] = ()
    deactivated: tuple[str, ...] = ()
    healed: tuple[str, ...] = ()
    is_degraded: bool = False


class CoinRegistry:
    """All known coins by id, and when the list was last compared with CoinGecko's."""

    def __init__(self, coins: Iterable[Coin] = (), synced_at: datetime | None = None) -> None:
        self.coins: dict[str, Coin] = {coin.id: coin for coin in coins}
        self.synced_at = synced_at
        self._loaded_text: str | None = None

    def __len__(self) -> int:
        return len(self.coins)

    # --- choosing --------------------------------------------------------------------------

    def top_ids(self, limit: int) -> list[str]:
        """Ids of the `limit` best ranked active coins; unranked ones follow in order of id."""
        active = (coin for coin in self.coins.values() if coin.status == "active")
        return [coin.id for coin in sorted(active, key=_by_rank)[:limit]]

    def resolve(self, terms: Iterable[str]) -> list[str]:
        """Turn ids, symbols and names into ids, in the order given, each once.

        An exact id wins, then a symbol, then a name (both whatever their case); where several
        coins share one, the best ranked active coin is meant.

        Raises ConfigurationError naming every unknown term, with near matches.
        """
        chosen, unknown = self.look_up(terms)
        if unknown:
            indexes = self._index("symbol"), self._index("name")
            raise ConfigurationError(_unknown_terms(unknown, self.coins, *indexes))
        return chosen

    def look_up(self, terms: Iterable[str]) -> tuple[list[str], list[str]]:
        """As `resolve`, but returns the ids found and the terms that are unknown."""
        by_symbol, by_name = self._index("symbol"), self._index("name")
        chosen: list[str] = []
        unknown: list[str] = []
        for term in terms:
            key = _fold(term)
            exact, folded = (name if name in self.coins else None for name in (term, key))
            found = exact or by_symbol.get(key) or by_name.get(key) or folded
            (chosen if found else unknown).append(found or term)
        return list(dict.fromkeys(chosen)), unknown

    def _index(self, attribute: str) -> dict[str, str]:
        """Each symbol or name (folded) → the id of the coin it means."""
        index: dict[str, str] = {}
        for coin in sorted(self.coins.values(), key=_by_health_and_rank):
            index.setdefault(_fold(getattr(coin, attribute)), coin.id)
        return index

    def due_for_probe(self, now: datetime) -> list[str]:
        """Ids of inactive coins whose parole hearing has come, the longest waiting first."""
        at = to_iso(now)
        due = (
            coin
            for coin in self.coins.values()
            if coin.status == "inactive" and (coin.next_probe or "") <= at
        )
        return [coin.id for coin in sorted(due, key=lambda coin: (coin.next_probe or "", coin.id))]

    def needs_sync(self, now: datetime) -> bool:
        """Whether CoinGecko's list should be read again."""
        return self.synced_at is None or not (timedelta() <= now - self.synced_at < SYNC_AFTER)

    # --- health ----------------------------------------------------------------------------

    def record_results(
        self, good: Iterable[str], bad: Mapping[str, str], targets: Iterable[str], now: datetime
    ) -> HealthChanges:
        """Strike and heal after one chunk's answer.

        `good` are ids that came back well, `bad` maps an id to what was wrong with it, `targets`
        are the ids asked for on purpose (probes are expected to fail and do not make an answer
        sick). When more than SICK_SHARE and more than SICK_COINS of the targets fail, the answer
        is sick and nobody is struck.
        """
        wanted = set(targets)
        failed = sum(1 for coin_id in bad if coin_id in wanted)
        healed = tuple(coin_id for coin_id in good if self.heal(coin_id))
        if failed > MIN_FAILED_COINS and failed > MAX_FAILED_SHARE * len(wanted):
            return HealthChanges(healed=healed, is_degraded=True)
        before = {i for i in bad if i in self.coins and self.coins[i].status != "active"}
        struck = tuple(i for i, reason in bad.items() if self.strike(i, reason, now))
        deactivated = tuple(
            i for i in struck if i not in before and self.coins[i].status == "inactive"
        )
        return HealthChanges(struck, deactivated, healed)

    def strike(self, coin_id: str, reason: str, now: datetime) -> bool:
        """Note one bad answer; True unless the coin is unknown or delisted."""
        coin = self.coins.get(coin_id)
        if coin is None or coin.status == "delisted":
            return False
        strikes = coin.strikes + 1
        struck = coin._replace(strikes=strikes, reason=reason)
        if strikes >= STRIKES_TO_DEACTIVATE:
            hearing = to_iso(now + timedelta(days=_parole_days(strikes)))
            since = coin.since if coin.status == "inactive" else to_iso(now)
            struck = struck._replace(status="inactive", since=since, next_probe=hearing)
        self.coins[coin_id] = struck
        return True

    def heal(self, coin_id: str) -> bool:
        """Forget a coin's strikes after a good answer; True if it had any."""
        coin = self.coins.get(coin_id)
        if coin is None or (coin.status == "active" and not coin.strikes):
            return False
        self.coins[coin_id] = _cleared(coin)
        return True

    # --- comparing with CoinGecko --------------------------------------------------------------

    def sync(self, listed: Iterable[Any], ranked: Iterable[Any], now: datetime) -> None:
        """Take over CoinGecko's list and ranking.

        `listed` are the objects of `/coins/list`, `ranked` those of `/coins/markets`. Entries
        that are no coins are passed over. Coins that are gone become delisted; delisted ones
        that are back become active; those gone for longer than data is kept are forgotten.

        A ranking that must be cut off is passed over: the old ranks are better. Raises ValueError
        when the list is empty or must be cut off, or no ranks are known at all.
        """
        fresh = {coin.id: coin for coin in map(coin_from_list, listed) if coin}
        known = sum(1 for coin in self.coins.values() if coin.status != "delisted")
        if not fresh or len(fresh) < (1 - MAX_FAILED_SHARE) * known:
            raise ValueError(f"CoinGecko lists {len(fresh)} coins where {known} were known")
        ranks = _ranks(ranked)
        if len(ranks) < (1 - MAX_FAILED_SHARE) * self._expected_ranks(len(fresh)):
            if not any(coin.rank for coin in self.coins.values()):
                raise ValueError(f"CoinGecko ranks {len(ranks)} of {len(fresh)} coins only")
            log.warning(
                "CoinGecko's ranking was cut off at %d coins: the old one stays", len(ranks)
            )
            ranks = {}
        merged: dict[str, Coin] = {}
        for coin_id, new in fresh.items():
            old = self.coins.get(coin_id)
            if old and old.status == "delisted":
                old = _cleared(old)
            base = old._replace(symbol=new.symbol, name=new.name) if old else new
            # Without any ranking the old ranks are better than none.
            rank = ranks.get(coin_id) if ranks else base.rank
            merged[coin_id] = base._replace(rank=rank)
        for coin_id in self.coins.keys() - fresh.keys():
            gone = _delisted(self.coins[coin_id], now)
            if (gone.since or "") > to_iso(now - RETENTION):
                merged[coin_id] = gone
        self.coins = merged
        self.synced_at = now

    def _expected_ranks(self, listed: int) -> int:
        """How many ranks a whole ranking has: as many as before; at first all that are kept,
        where the market is many times as large."""
        known = sum(1 for coin in self.coins.values() if coin.rank)
        return known or (RANKED_COINS if listed > 4 * RANKED_COINS else 0)

    def merge(self, base: CoinRegistry, theirs: CoinRegistry) -> None:
        """Bring in what another run made of the same `base` meanwhile, so both verdicts survive.

        A coin that only one side touched is taken from that side. Touched by both: a good answer
        beats a bad one, two bad ones add up, and a delisting stands.
        """
        newer = theirs.synced_at and (self.synced_at is None or theirs.synced_at > self.synced_at)
        for coin_id in base.coins.keys() | theirs.coins.keys() | self.coins.keys():
            old, ours, other = (r.coins.get(coin_id) for r in (base, self, theirs))
            merged = _merge_coin(old, ours, other, prefer_theirs=bool(newer))
            if merged is None:
                self.coins.pop(coin_id, None)
            else:
                self.coins[coin_id] = merged
        if newer:
            self.synced_at = theirs.synced_at

    def discard_future_sync_time(self, now: datetime) -> None:
        """Forget a time of comparison that has not come yet, as a wrong clock leaves behind: it
        would never be older than a day."""
        if self.synced_at and self.synced_at > now + MAX_CLOCK_SKEW:
            self.synced_at = None

    def is_newer_by_a_day(self, other: CoinRegistry) -> bool:
        """Whether this comparison with CoinGecko is a day younger than the other's."""
        if self.synced_at is None or other.synced_at is None:
            return self.synced_at is not None
        return self.synced_at - other.synced_at >= SYNC_AFTER

    def keep_health_only(self, theirs: CoinRegistry) -> None:
        """Take over their names, ranks and time of comparison; the verdicts stay.

        So that the ranking, which touches hundreds of lines, is committed once a day.
        """
        verdicts = self.coins
        self.coins = {
            coin_id: verdicts[coin_id]._replace(symbol=coin.symbol, name=coin.name, rank=coin.rank)
            if coin_id in verdicts and "delisted" not in (verdicts[coin_id].status, coin.status)
            else coin
            for coin_id, coin in theirs.coins.items()
        }
        self.synced_at = theirs.synced_at

    # --- the file ----------------------------------------------------------------------------

    def to_text(self) -> str:
        """The whole file: one coin a line, sorted by id, so that a strike is a one-line diff."""
        lines = ",\n".join(coin.as_json() for _, coin in sorted(self.coins.items()))
        synced = json.dumps(to_iso(self.synced_at) if self.synced_at else None)
        return f'{{"synced_at": {synced}, "coins": [\n{lines}{chr(10) if lines else ""}]}}\n'

    @classmethod
    def from_text(cls, text: str) -> CoinRegistry:
        """Read the file's text; also the old format, a bare list with `failure_count`.

        Raises ValueError where it is damaged.
        """
        try:
            content = json.loads(text) if text.strip() else {"coins": []}
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        if isinstance(content, list):
            return cls(map(coin_from_old_format, content))
        if not isinstance(content, dict) or not isinstance(content.get("coins"), list):
            raise ValueError("it holds no list of coins")
        synced = content.get("synced_at")
        return cls(map(coin_from_json, content["coins"]), from_iso(synced) if synced else None)

    @classmethod
    def load(cls, path: Path) -> CoinRegistry:
        """Read a registry; a file that is not there is an empty registry.

        Raises ValueError where the file is damaged, ConfigurationError where it cannot be read.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise ConfigurationError(
                f"The registry {path} cannot be read ({error.strerror}). Make it readable, or set "
                "SENTINEL_REGISTRY to another file."
            ) from error
        registry = cls.from_text(text)
        registry._loaded_text = text  # noqa: SLF001 (its own class)
        return registry

    def save(self, path: Path) -> bool:
        """Write the file whole or not at all; False where it holds the same already.

        What another run has written since `load` is merged in first.

        Raises ConfigurationError where it cannot be written.
        """
        self._merge_newer(path)
        text = self.to_text()
        if text == self._loaded_text:
            return False
        try:
            if path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            replace_atomically(path, text.encode())
        except OSError as error:
            raise ConfigurationError(
                f"The registry {path} cannot be written ({error.strerror}), so this run's verdicts "
                "are not kept. Make the file and its folder writable, or set SENTINEL_REGISTRY to "
                "another file."
            ) from error
        self._loaded_text = text
        return True

    def _merge_newer(self, path: Path) -> None:
        if self._loaded_text is None:
            return
        try:
            text = path.read_text(encoding="utf-8-sig")
            if text != self._loaded_text:
                self.merge(CoinRegistry.from_text(self._loaded_text), CoinRegistry.from_text(text))
                self._loaded_text = text
        except (OSError, ValueError):
            # Gone or damaged since: what this run knows replaces it.
            self._loaded_text = None


def find_matches(registry: CoinRegistry, symbol: str) -> list[Coin]:
    """Every coin behind a ticker, the best ranked first."""
    key = _fold(symbol)
    return sorted((c for c in registry.coins.values() if _fold(c.symbol) == key), key=_by_rank)


def move_damaged_file(path: Path, now: datetime) -> Path:
    """Move a damaged file out of the way and return where it went."""
    aside = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%S}")
    try:
        return path.rename(aside)
    except OSError as error:
        raise ConfigurationError(
            f"{path} is damaged and cannot be moved aside ({error.strerror}). Delete it; the next "
            "run rebuilds it."
        ) from error


def _by_rank(coin: Coin) -> tuple[int, str]:
    return (coin.rank or UNRANKED, coin.id)


def _by_health_and_rank(coin: Coin) -> tuple[bool, int, str]:
    return (coin.status != "active", *_by_rank(coin))


def _fold(text: str) -> str:
    """For comparing what people type: no case, no blanks around (a NBSP is one)."""
    return text.casefold().strip()


def _unknown_terms(
    unknown: list[str], ids: Iterable[str], by_symbol: Iterable[str], by_name: Iterable[str]
) -> str:
    vocabulary = list(dict.fromkeys([*by_symbol, *ids, *by_name]))
    described = []
    for term in unknown:
        near = difflib.get_close_matches(_fold(term), vocabulary, n=3, cutoff=0.7)
        described.append(f"'{term[:80]}'" + (f" (near: {', '.join(near)})" if near else ""))
    return (
        f"Unknown coins in targets: {'; '.join(described)}. "
        "find_all_matches.py SYMBOL lists what is known."
    )


def _parole_days(strikes: int) -> int:
    """Days until the next probe: 1, 2, 4, 8, 16, 30, 30, …"""
    doubled: int = 1 << min(strikes - STRIKES_TO_DEACTIVATE, 16)
    return min(doubled, MAX_PROBE_INTERVAL_DAYS)


def _cleared(coin: Coin) -> Coin:
    return Coin(coin.id, coin.symbol, coin.name, coin.rank)


def _delisted(coin: Coin, now: datetime) -> Coin:
    if coin.status == "delisted":
        return coin
    return Coin(
        coin.id, coin.symbol, coin.name, status="delisted", reason="delisted", since=to_iso(now)
    )


def _merge_coin(
    base: Coin | None, ours: Coin | None, theirs: Coin | None, *, prefer_theirs: bool
) -> Coin | None:
    if theirs == base:
        return ours
    if ours == base:
        return theirs
    if ours is None or theirs is None:
        return theirs if prefer_theirs else ours
    name = theirs if prefer_theirs else ours
    verdict = _merge_health(base, ours, theirs)
    return verdict._replace(symbol=name.symbol, name=name.name, rank=name.rank)


def _merge_health(base: Coin | None, ours: Coin, theirs: Coin) -> Coin:
    """The verdict of the side that came to one; of two, a good answer beats a bad one."""
    base = base or _cleared(ours)  # new to both sides: it began without a strike
    if _health(theirs) == _health(base):
        return ours
    if _health(ours) == _health(base):
        return theirs
    if "delisted" in (ours.status, theirs.status):
        return ours if ours.status == "delisted" else theirs
    if 0 in (ours.strikes, theirs.strikes):
        return ours if ours.strikes == 0 else theirs
    return _add_strikes(base, ours, theirs)


def _health(coin: Coin) -> tuple[object, ...]:
    return (coin.status, coin.strikes, coin.reason, coin.since, coin.next_probe)


def _add_strikes(base: Coin, ours: Coin, theirs: Coin) -> Coin:
    strikes = max(ours.strikes + theirs.strikes - base.strikes, ours.strikes, theirs.strikes)
    later = max(ours, theirs, key=lambda coin: (coin.strikes, coin.next_probe or ""))
    if strikes >= STRIKES_TO_DEACTIVATE and later.status == "active":
        # Neither side had crossed the line alone; the next probe is due at once.
        return later._replace(strikes=strikes, status="inactive")
    return later._replace(strikes=strikes)


def _ranks(ranked: Iterable[Any]) -> dict[str, int]:
    """Coin id → its place. Pages are no snapshot: a coin may come twice, a rank may repeat or be
    null; so places are counted anew over CoinGecko's rank, then the cap."""
    rows: dict[str, tuple[float, float]] = {}
    for entry in ranked:
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            rank, cap = (_number(entry.get(key)) for key in ("market_cap_rank", "market_cap"))
            rows.setdefault(entry["id"], (rank or float(UNRANKED), -(cap or 0.0)))
    places = sorted(rows, key=lambda coin_id: (rows[coin_id], coin_id))
    return {coin_id: place for place, coin_id in enumerate(places[:RANKED_COINS], start=1)}


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < _LARGEST else None
