"""The parts of `status.json`, from what the database, the budget and the registry say. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from sentinel.budget.status import BudgetStatus
from sentinel.coin import Coin, from_iso
from sentinel.models import describe_gap_reason
from sentinel.site.status import (
    MAX_LISTED,
    HealthChange,
    InactiveCoin,
    OpenGaps,
    Quota,
    Registry,
    Rejections,
    Storage,
)
from sentinel.storage.quarantine import ReasonCount
from sentinel.storage.queries.gaps import GapGroup
from sentinel.storage.queries.health_changes import CoinChange
from sentinel.storage.queries.table_health import TableHealth


def describe_gaps(group: GapGroup) -> OpenGaps:
    """Return the gaps that have one reason."""
    return OpenGaps(
        reason=group.reason or "waits",
        explanation=describe_gap_reason(group.reason),
        gaps=group.gaps,
        coins=group.coins,
        longest_minutes=group.longest.total_seconds() / 60,
        newest_at=group.newest,
    )


def describe_quotas(budget: BudgetStatus, *, uses_neon: bool) -> list[Quota]:
    """Return the quotas; those of Neon only if the database is Neon's."""
    return [
        Quota(
            name=usage.name,
            used=usage.spent,
            projected=usage.projected,
            limit=usage.quota,
            state=usage.state,
            resets_at=usage.resets_at,
            source=source.source if (source := budget.sources.get(usage.name)) else None,
        )
        for usage in budget.quota_usages
        if uses_neon or not usage.name.startswith("neon_")
    ]


def describe_registry(
    coins: Collection[Coin], synced_at: datetime | None, changes: Iterable[CoinChange]
) -> Registry:
    """Return the registry: its counts, its inactive coins and the last health changes."""
    inactive = [coin for coin in coins if coin.status == "inactive"]
    inactive.sort(key=lambda coin: (coin.next_probe or "", coin.id))
    return Registry(
        synced_at=synced_at,
        active=sum(coin.status == "active" for coin in coins),
        inactive=len(inactive),
        delisted=sum(coin.status == "delisted" for coin in coins),
        inactive_coins=[_describe_coin(coin) for coin in inactive[:MAX_LISTED]],
        changes=[HealthChange(**change._asdict()) for change in changes],
    )


def _describe_coin(coin: Coin) -> InactiveCoin:
    return InactiveCoin(
        coin_id=coin.id,
        symbol=coin.symbol,
        name=coin.name,
        reason=coin.reason,
        since=from_iso(coin.since) if coin.since else None,
        next_probe=from_iso(coin.next_probe) if coin.next_probe else None,
    )


def describe_rejections(count: ReasonCount) -> Rejections:
    """Return the rejections that have one reason."""
    return Rejections(reason=count.reason, count=count.entries, newest_at=count.newest)


def describe_storage(tables: TableHealth, limit: float | None, now: datetime) -> Storage:
    """Return what the tables hold; `limit` is how large the database may be, in bytes."""
    return Storage(
        rows=tables.rows,
        coins=tables.coins,
        oldest_at=tables.oldest,
        newest_at=tables.newest,
        bytes_per_row=tables.bytes_per_row,
        database_bytes=tables.database_bytes,
        limit_bytes=limit,
        days_until_full=tables.days_until_full(now, limit),
    )
