"""`/pipeline`: everything that the page about the pipeline shows, in one response."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter

import budget_monitor
from pipeline.site_figures import load_registry
from safe_zone import CADENCE_WINDOW, Settings
from sentinel.budget import neon_api, usage_log
from sentinel.budget.coingecko_credits import covered_coins
from sentinel.budget.schedule import SlotHistory
from sentinel.health.deployment import check_deployment
from sentinel.site.slot_strips import describe_schedule, first_day, first_hour
from sentinel.site.status_parts import describe_quotas
from sentinel.storage import quarantine, service_status
from sentinel.storage.connection import Connection
from sentinel.storage.queries.gaps import limit_slot
from sentinel.storage.queries.schedule_coverage import read_cadence
from sentinel.storage.queries.slot_coverage import list_best_coins, measure_slot_coverage
from sentinel.storage.queries.slot_history import find_longest_silences, find_slots
from services.api.dependencies import ApiContext, RequestContext
from services.api.deployment_health import describe_health
from services.api.pipeline_parts import describe_backup, describe_registry, describe_slot_coverage
from services.api.problems import problem_responses
from services.api.queries.pipeline import list_runs
from services.api.queries.rows import Row
from services.api.schemas.pipeline_page import PipelineResponse

router = APIRouter(tags=["pipeline"])

SHOWN_RUNS = 20


@router.get("/pipeline", responses=problem_responses(503))
def get_pipeline(context: RequestContext) -> PipelineResponse:
    """Health, slots of the schedule, coverage, quotas, registry, processes, backups, quarantine.

    With the token, the messages of the health checks have the causes.
    """
    settings, now = context.monitor.settings, context.now()
    # The usages come from the file: without them each response would ask Neon's API.
    usages = usage_log.read(budget_monitor.log_path(settings)).usages
    budget = budget_monitor.check_budget_status(settings, now, usages=usages)
    uses_neon = neon_api.endpoint_of(settings.database_url) is not None
    content = context.pool.read(lambda connection: _read(connection, context, now)) | {
        "decision": budget.decision,
        "reason": budget.reason,
        "quotas": describe_quotas(budget, uses_neon=uses_neon),
        "registry": describe_registry(load_registry(settings)),
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


def _read_slots(connection: Connection, settings: Settings, now: datetime) -> Row:
    """Return what became of the slots of the schedule and of the history; null without runs."""
    configured = timedelta(minutes=settings.cadence_minutes)
    cadence = read_cadence(connection, now, configured)
    slot, covered = limit_slot(cadence), covered_coins(settings.backfill_credits_per_day)
    reference = next(iter(list_best_coins(connection, now, 1)), None)
    periods = [first_hour(now), first_day(now)]
    found = find_slots(connection, periods[-1], now, cadence=slot, coin_id=reference)
    silences = find_longest_silences(connection, periods, now)
    coverage = measure_slot_coverage(connection, now, cadence=cadence, coins=covered)
    states, measured = found.fetchone(), coverage.fetchone()
    content: Row = {"coverage": describe_slot_coverage(measured), "schedule": None, "slots": None}
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
