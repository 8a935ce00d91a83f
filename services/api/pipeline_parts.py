"""The parts of responses about the pipeline: backups, registry, slot coverage."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from coin_registry import CoinRegistry
from safe_zone import Settings
from sentinel.budget.schedule import SlotCoverage
from sentinel.storage.service_status import BackupStatus
from services.api.schemas.pipeline import BackupResponse, RegistryResponse, SlotCoverageResponse
from services.api.shown_paths import shorten_paths

LISTED_COINS = 100


def describe_backup(
    status: BackupStatus | None, settings: Settings, now: datetime
) -> BackupResponse:
    """Return the last backup that was restored and compared, and the result of the last attempt."""
    if status is None:
        return BackupResponse.model_validate(dict.fromkeys(BackupResponse.model_fields))
    age = None if status.verified_at is None else now - status.verified_at
    problem = status.problem and shorten_paths(status.problem, settings)
    own = {"age_seconds": age.total_seconds() if age else None, "problem": problem}
    return BackupResponse.model_validate(asdict(status) | own)


def describe_registry(registry: CoinRegistry, limit: int = LISTED_COINS) -> RegistryResponse:
    """Return the number of coins by status, and those with strikes, inactive ones first."""
    coins = list(registry.coins.values())
    unhealthy = [
        coin
        for coin in coins
        if coin.status != "delisted" and (coin.status == "inactive" or coin.strikes)
    ]
    unhealthy.sort(key=lambda coin: (coin.status == "active", coin.next_probe or "", coin.id))
    counts = {
        status: sum(coin.status == status for coin in coins)
        for status in ("active", "inactive", "delisted")
    }
    return RegistryResponse.model_validate(
        counts
        | {"synced_at": registry.synced_at, "coins": [coin._asdict() for coin in unhealthy[:limit]]}
    )


def describe_slot_coverage(slots: SlotCoverage | None) -> SlotCoverageResponse | None:
    """Return the shares of the history; None without a day of it."""
    return SlotCoverageResponse(**asdict(slots)) if slots else None
