"""The health of one coin: strikes, probes, delisting, and merging two runs' results. Pure.

A coin is active until STRIKES_TO_DEACTIVATE failures in a row. Then it is inactive, and the run
probes it again after 1, 2, 4, … MAX_PROBE_INTERVAL_DAYS days. One valid price makes it active.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from safe_zone import MAX_PROBE_INTERVAL_DAYS, STRIKES_TO_DEACTIVATE
from sentinel.coin import Coin, to_iso


def add_strike(coin: Coin, reason: str, now: datetime) -> Coin:
    """Return the coin after one more failure."""
    strikes = coin.strikes + 1
    struck = coin._replace(strikes=strikes, reason=reason)
    if strikes < STRIKES_TO_DEACTIVATE:
        return struck
    next_probe = to_iso(now + timedelta(days=_probe_interval_days(strikes)))
    since = coin.since if coin.status == "inactive" else to_iso(now)
    return struck._replace(status="inactive", since=since, next_probe=next_probe)


def _probe_interval_days(strikes: int) -> int:
    """Return the days until the next probe: 1, 2, 4, 8, 16, 30, 30, …"""
    doubled: int = 1 << min(strikes - STRIKES_TO_DEACTIVATE, 16)
    return min(doubled, MAX_PROBE_INTERVAL_DAYS)


def clear_health(coin: Coin) -> Coin:
    """Return the coin as active and without strikes."""
    return Coin(coin.id, coin.symbol, coin.name, coin.rank)


def delist(coin: Coin, now: datetime) -> Coin:
    """Return the coin as no longer listed by CoinGecko; a delisted coin keeps its date."""
    if coin.status == "delisted":
        return coin
    return Coin(
        coin.id, coin.symbol, coin.name, status="delisted", reason="delisted", since=to_iso(now)
    )


def merge_coins(
    base: Coin | None, ours: Coin | None, theirs: Coin | None, *, prefer_theirs: bool
) -> Coin | None:
    """Merge what two runs made of the same `base`; None: the coin is not in that registry.

    `prefer_theirs` decides name and rank, and whether a coin stays that only one side removed.
    """
    if theirs == base:
        return ours
    if ours == base:
        return theirs
    if ours is None or theirs is None:
        return theirs if prefer_theirs else ours
    label = theirs if prefer_theirs else ours
    merged = _merge_health(base, ours, theirs)
    return merged._replace(symbol=label.symbol, name=label.name, rank=label.rank)


def _merge_health(base: Coin | None, ours: Coin, theirs: Coin) -> Coin:
    """Return the side that changed the health. If both did, success beats failure."""
    base = base or clear_health(ours)  # new to both sides, so it began without strikes
    if _health(theirs) == _health(base):
        return ours
    if _health(ours) == _health(base):
        return theirs
    if "delisted" in (ours.status, theirs.status):
        return ours if ours.status == "delisted" else theirs
    if 0 in (ours.strikes, theirs.strikes):
        return ours if ours.strikes == 0 else theirs
    return _add_up_strikes(base, ours, theirs)


def _health(coin: Coin) -> tuple[object, ...]:
    return (coin.status, coin.strikes, coin.reason, coin.since, coin.next_probe)


def _add_up_strikes(base: Coin, ours: Coin, theirs: Coin) -> Coin:
    strikes = max(ours.strikes + theirs.strikes - base.strikes, ours.strikes, theirs.strikes)
    later = max(ours, theirs, key=lambda coin: (coin.strikes, coin.next_probe or ""))
    if strikes >= STRIKES_TO_DEACTIVATE and later.status == "active":
        # Only the sum of both sides reaches the limit. No probe is scheduled, so one is due now.
        return later._replace(strikes=strikes, status="inactive")
    return later._replace(strikes=strikes)
