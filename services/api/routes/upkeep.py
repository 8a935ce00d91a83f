"""How the pipeline repairs and keeps what it stores: delivery, registry, rejections, backups."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from fastapi import APIRouter

from coin_registry import CoinRegistry
from safe_zone import CADENCE_WINDOW
from sentinel.budget.schedule import ScheduleCoverage
from sentinel.storage import queries as storage_queries
from sentinel.storage.connection import Connection
from services.api import queries, schemas
from services.api.dependencies import Here, Limit
from services.api.problems import described

router = APIRouter(tags=["operations"])
MOST_RAW_CHARACTERS = 300


@router.get("/delivery", responses=described(503))
def delivery(here: Here) -> schemas.Delivery:
    """How many of the runs that were due came in the last seven days. A loop's interval follows its
    credits, so its own usual pause is what is due; a schedule's is what the settings say."""

    def read(connection: Connection) -> tuple[timedelta, ScheduleCoverage]:
        now = here.now()
        cadence = timedelta(minutes=here.monitor.settings.cadence_minutes)
        if queries.heartbeat(connection):
            cadence = storage_queries.median_run_interval(connection, now) or cadence
        return cadence, storage_queries.measure_schedule_coverage(connection, now, cadence)

    cadence, found = here.store.read(read)
    return schemas.Delivery(
        cadence_minutes=cadence.total_seconds() / 60,
        expected=found.expected,
        delivered=found.delivered,
        share=found.share,
        longest_silence_minutes=found.longest_silence.total_seconds() / 60,
    )


@router.get("/registry", responses=described(422, 503))
def registry(here: Here, limit: Limit = 100) -> schemas.Registry:
    """The coins' health: strikes, and who is on parole until when."""
    try:
        found = CoinRegistry.load(here.monitor.settings.registry_path)
    except ValueError:  # the next run sets it aside and makes a new one
        found = CoinRegistry()
    coins = found.coins.values()
    ill = [coin for coin in coins if coin.status == "inactive" or coin.strikes]
    ill = [coin for coin in ill if coin.status != "delisted"]
    ill.sort(key=lambda coin: (coin.status == "active", coin.next_probe or "", coin.id))
    return schemas.Registry.model_validate(
        {
            "synced_at": found.synced_at,
            **{
                status: sum(coin.status == status for coin in coins)
                for status in ("active", "inactive", "delisted")
            },
            "coins": [coin._asdict() for coin in ill[:limit]],
        }
    )


@router.get("/rejections", responses=described(422, 503))
def rejections(here: Here, limit: Limit = 50) -> schemas.Rejections:
    """Answers of CoinGecko that were no rows, the newest first, and how many of each kind."""
    since = here.now() - CADENCE_WINDOW
    by_reason, rows = here.store.read(
        lambda c: (
            queries.rejections_by_reason(c, since),
            queries.rejections(c, limit, MOST_RAW_CHARACTERS),
        )
    )
    return schemas.Rejections.model_validate({"by_reason": by_reason, "items": rows})


@router.get("/backups", responses=described(503))
def backups(here: Here) -> schemas.Backup:
    """The last backup that was restored and compared, and what the last try came to."""
    found = here.store.read(storage_queries.latest_backup_status)
    if found is None:
        return schemas.Backup.model_validate(dict.fromkeys(schemas.Backup.model_fields))
    age = None if found.verified_at is None else here.now() - found.verified_at
    return schemas.Backup.model_validate(
        asdict(found) | {"age_seconds": age.total_seconds() if age else None}
    )
