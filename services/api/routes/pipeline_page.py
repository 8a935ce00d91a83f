"""`/pipeline`: everything that the page about the pipeline shows, in one response."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

import budget_monitor
from coin_registry import CoinRegistry
from pipeline.site_figures import load_registry
from safe_zone import CADENCE_WINDOW, Settings
from sentinel.budget import neon_api, usage_log
from sentinel.budget.coingecko_credits import covered_coins
from sentinel.budget.schedule import SlotHistory
from sentinel.health.deployment import check_deployment
from sentinel.site.slot_strips import describe_schedule, first_day, first_hour
from sentinel.site.status_parts import describe_gaps, describe_quotas
from sentinel.storage import quarantine, service_status
from sentinel.storage.connection import Connection
from sentinel.storage.quarantine import Selection
from sentinel.storage.queries.gaps import group_gaps, limit_slot
from sentinel.storage.queries.schedule_coverage import read_cadence
from sentinel.storage.queries.slot_coverage import list_best_coins, measure_slot_coverage
from sentinel.storage.queries.slot_history import find_longest_silences, find_slots
from services.api.dependencies import ApiContext, RequestContext
from services.api.deployment_health import describe_health
from services.api.pipeline_parts import describe_backup, describe_registry, describe_slot_coverage
from services.api.problems import problem_responses
from services.api.queries.pipeline import list_runs
from services.api.queries.rows import Row
from services.api.routes.rejections import describe_entry
from services.api.schemas.base import NO_NUL
from services.api.schemas.pipeline_page import PipelineResponse

router = APIRouter(tags=["pipeline"])

SHOWN_RUNS, SHOWN_ENTRIES = 20, 100


@router.get("/pipeline", responses=problem_responses(422, 503))
def get_pipeline(
    context: RequestContext,
    reason: Annotated[
        str | None, Query(max_length=100, pattern=NO_NUL, description="of the rejected entries")
    ] = None,
) -> PipelineResponse:
    """Health, slots, gaps, coverage, quotas, registry, processes, backups, quarantine, runs.

    With the token, the messages of the health checks have the causes.
    """
    settings, now = context.monitor.settings, context.now()
    # The usages come from the file: without them each response would ask Neon's API.
    usages = usage_log.read(budget_monitor.log_path(settings)).usages
    budget = budget_monitor.check_budget_status(settings, now, usages=usages)
    registry = load_registry(settings)
    uses_neon = neon_api.endpoint_of(settings.database_url) is not None
    stored = context.pool.read(
        lambda connection: (
            _read(connection, context, now)
            | {"rejections": _list_rejections(connection, registry, reason)}
        )
    )
    content = stored | {
        "decision": budget.decision,
        "reason": budget.reason,
        "quotas": describe_quotas(budget, uses_neon=uses_neon),
        "registry": describe_registry(registry),
    }
    return PipelineResponse.model_validate(content)


def _read(connection: Connection, context: ApiContext, now: datetime) -> Row:
    settings = context.monitor.settings
    is_owner = context.monitor.api_token is not None  # the request has sent it
    health = check_deployment(connection, settings, now)
    services = service_status.read_all(connection)
    return {
        "health": describe_health(health, context, is_owner=is_owner),
        **_read_slots(connection, settings, now),
        "services": [
            {
                "service": name,
                "recorded_at": status.recorded_at,
                "age_seconds": (now - status.recorded_at).total_seconds(),
                "is_late": service_status.is_process_late(name, status, now),
            }
            for name, status in sorted(services.items())
        ],
        "backup": describe_backup(service_status.read_backup_status(connection), settings, now),
        "quarantine": [each._asdict() for each in quarantine.count_resolutions(connection)],
        "runs": list_runs(connection, None, SHOWN_RUNS),
    }


def _list_rejections(
    connection: Connection, registry: CoinRegistry, reason: str | None
) -> list[Row]:
    """Return the newest open entries with the names that the registry has for their coins."""
    entries = quarantine.read_entries(connection, Selection(reason), SHOWN_ENTRIES, is_open=True)
    names = {coin.id: coin.name for coin in registry.coins.values()}
    return [describe_entry(entry) | {"name": names.get(entry.coin_id)} for entry in entries]


def _read_slots(connection: Connection, settings: Settings, now: datetime) -> Row:
    """Return what became of the slots of the schedule and of the history; null without runs."""
    configured = timedelta(minutes=settings.cadence_minutes)
    cadence = read_cadence(connection, now, configured)
    slot, covered = limit_slot(cadence), covered_coins(settings.backfill_credits_per_day)
    best = list_best_coins(connection, now, max(1, covered))
    reference = next(iter(best), None)
    periods = [first_hour(now), first_day(now)]
    found = find_slots(connection, periods[-1], now, cadence=slot, coin_id=reference)
    silences = find_longest_silences(connection, periods, now)
    coverage = measure_slot_coverage(connection, now, cadence=cadence, coins=covered)
    gaps = group_gaps(connection, now, cadence=cadence, coin_ids=best)
    states, measured = found.fetchone(), coverage.fetchone()
    content: Row = {
        "coverage": describe_slot_coverage(measured),
        "gaps": [describe_gaps(group) for group in gaps],
        "schedule": None,
        "slots": None,
    }
    if states is None:
        return content
    history = SlotHistory(slot, *states)
    schedule = describe_schedule(history, silences.fetchall(), reference, now)
    start = now - CADENCE_WINDOW
    return content | {
        "schedule": schedule,
        "slots": {
            "start": history.start_within(start),
            "slot_minutes": slot.total_seconds() / 60,
            "states": history.within(start, now),
        },
    }
