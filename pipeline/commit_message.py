"""The commit message of a registry change: what happened to which coins, and why."""

from __future__ import annotations

from coin_registry import CoinRegistry
from sentinel.coin import Coin, to_iso
from sentinel.console import list_first

MAX_NAMED = 20  # coins named in a line; a sync may change thousands


def describe_changes(before: CoinRegistry, after: CoinRegistry) -> str:
    """Return a subject with counts, and one line for each kind of change."""
    changes: dict[str, list[str]] = {}
    for coin_id in sorted(before.coins.keys() | after.coins.keys()):
        kind, cause = _classify(before.coins.get(coin_id), after.coins.get(coin_id))
        if kind:
            changes.setdefault(kind, []).append(f"{coin_id} ({cause})" if cause else coin_id)
    counts = [f"{len(coins)} {kind}" for kind, coins in sorted(changes.items())]
    if after.synced_at and after.synced_at != before.synced_at:
        counts.append(f"ranking of {to_iso(after.synced_at)[:10]}")
    lines = [f"{kind}: {list_first(coins, MAX_NAMED)}" for kind, coins in sorted(changes.items())]
    return "\n".join([f"Registry: {', '.join(counts) or 'rewritten'}", "", *lines]).strip() + "\n"


def _classify(old: Coin | None, new: Coin | None) -> tuple[str | None, str | None]:
    """Return what happened to one coin, and why."""
    if old is None or new is None:
        return ("forgotten" if new is None else "new"), None
    if old.status != new.status:
        return {"active": "back", "inactive": "retired", "delisted": "delisted"}[new.status], (
            new.reason if new.status == "inactive" else None
        )
    if new.strikes != old.strikes:
        return ("struck", new.reason) if new.strikes > old.strikes else ("healed", None)
    return None, None
