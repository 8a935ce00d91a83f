"""Which coins a run fetches: the registry, its daily sync, and the choice of targets."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from coin_registry import CoinRegistry
from safe_zone import MARKETS_PER_PAGE, RANKED_COINS
from sentinel.coingecko import CoinGecko
from sentinel.errors import ApiUnavailable, ConfigurationError
from sentinel.files import exclusive_lock

log = logging.getLogger("sentinel.targets")


def load_registry(path: Path, now: datetime, *, is_dry_run: bool) -> CoinRegistry:
    """Return the registry, or an empty one if the file is damaged; the sync then fills it.

    The damaged file is renamed, except in a dry run, which writes no file.
    """
    try:
        return CoinRegistry.load(path)
    except ValueError as error:
        if is_dry_run:
            log.warning("%s is damaged (%s): this dry run continues without it", path, error)
            return CoinRegistry()
        if moved := move_damaged_file(path, now):
            log.warning("%s was damaged (%s): moved to %s, rebuilding", path, error, moved.name)
    return CoinRegistry.load(path)


def move_damaged_file(path: Path, now: datetime) -> Path | None:
    """Rename a damaged file, so that the next save does not overwrite it; return the new path.

    None: another run has replaced the file meanwhile.
    """
    moved = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%S}")
    try:
        with exclusive_lock(path.resolve()):
            if _is_intact(path):
                return None
            return path.rename(moved)
    except OSError as error:
        raise ConfigurationError(
            f"{path} is damaged and cannot be renamed ({error.strerror}). Delete it; the next "
            "run rebuilds it."
        ) from error


def _is_intact(path: Path) -> bool:
    try:
        CoinRegistry.load(path)
    except ValueError:
        return False
    return True


def sync_registry(registry: CoinRegistry, client: CoinGecko, now: datetime) -> bool:
    """Read CoinGecko's coin list and ranking if the last sync is a day old; True if it was read.

    If the request fails, the run continues with the coins that it knows. Raises ApiUnavailable if
    it knows none.
    """
    if not registry.needs_sync(now):
        return False
    try:
        registry.sync(client.coin_list(), _ranked_coins(client), now)
        log.info("registry: %d coins known to CoinGecko", len(registry))
    except (ApiUnavailable, ValueError) as error:
        if not registry.coins:
            raise ApiUnavailable(str(error)) from error
        log.warning("the registry was not synced with CoinGecko this time: %s", error)
        return False
    return True


def _ranked_coins(client: CoinGecko) -> Iterator[Any]:
    """Yield the entries of as many pages as the registry keeps ranks for."""
    for page in range(1, -(-RANKED_COINS // MARKETS_PER_PAGE) + 1):
        rows = client.markets(page)
        yield from rows
        if len(rows) < MARKETS_PER_PAGE:
            return


def choose_targets(
    registry: CoinRegistry, *, names: Sequence[str], limit: int, extra_ids: Sequence[str]
) -> list[str]:
    """Return the ids to fetch: the coins of `names`, or else the `limit` best ranked ones.

    `extra_ids` replace the lowest ranked coins, so that they cost no call of their own.
    """
    if names:
        return list(dict.fromkeys([*registry.resolve(names), *extra_ids]))
    targets = registry.top_ids(limit)
    if len(targets) < limit:
        log.warning(
            "limit %d is above the %d active coins: fetching all of them", limit, len(targets)
        )
    top = set(targets)
    extra = [coin_id for coin_id in extra_ids if coin_id not in top]
    return targets[: max(0, limit - len(extra))] + extra


def find_active_ids(registry: CoinRegistry, names: Sequence[str], warnings: list[str]) -> list[str]:
    """Return the ids of the active coins among `names`; inactive ones wait for their probe.

    A warning about the names that CoinGecko does not list is appended to `warnings`.
    """
    if not names:
        return []
    found, unknown = registry.look_up(names)
    if unknown:
        where = "in the watchlist or the price targets"
        warnings.append(f"CoinGecko does not list these coins {where}: {', '.join(unknown)}")
    return [coin_id for coin_id in found if registry.coins[coin_id].status == "active"]
