"""What changed between two registries, as a commit message that names coins and causes."""

from __future__ import annotations

from coin_registry import CoinRegistry
from sentinel.coin import Coin, to_iso

NAMED = 20  # coins named in a line; a sync may touch thousands


def describe(before: CoinRegistry, after: CoinRegistry) -> str:
    """A subject with counts, and a line for each kind of change."""
    changes: dict[str, list[str]] = {}
    for coin_id in sorted(before.coins.keys() | after.coins.keys()):
        kind, cause = _change(before.coins.get(coin_id), after.coins.get(coin_id))
        if kind:
            changes.setdefault(kind, []).append(f"{coin_id} ({cause})" if cause else coin_id)
    counts = [f"{len(coins)} {kind}" for kind, coins in sorted(changes.items())]
    if after.synced_at and after.synced_at != before.synced_at:
        counts.append(f"ranking of {to_iso(after.synced_at)[:10]}")
    lines = [f"{kind}: {_listed(coins)}" for kind, coins in sorted(changes.items())]
    return "\n".join([f"Registry: {', '.join(counts) or 'rewritten'}", "", *lines]).strip() + "\n"


def _change(old: Coin | None, new: Coin | None) -> tuple[str | None, str | None]:
    """What happened to one coin, and why."""
    if old is None or new is None:
        return ("forgotten" if new is None else "new"), None
    if old.status != new.status:
        return {"active": "back", "inactive": "retired", "delisted": "delisted"}[new.status], (
            new.reason if new.status == "inactive" else None
        )
    if new.strikes != old.strikes:
        return ("struck", new.reason) if new.strikes > old.strikes else ("healed", None)
    return None, None


def _listed(coins: list[str]) -> str:
    more = f" and {len(coins) - NAMED} more" if len(coins) > NAMED else ""
    return ", ".join(coins[:NAMED]) + more
