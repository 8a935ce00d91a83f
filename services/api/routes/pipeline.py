"""The pipeline: runs, gaps, schedule coverage, registry, budget, backups."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

import budget_monitor
from pipeline.site_figures import load_registry
from sentinel.budget import budget_output
from sentinel.budget.coingecko_credits import covered_coins
from sentinel.budget.schedule import ScheduleCoverage, SlotCoverage
from sentinel.storage import service_status
from sentinel.storage.connection import Connection
from sentinel.storage.queries.gaps import find_gaps
from sentinel.storage.queries.schedule_coverage import (
    measure_schedule_coverage,
    read_cadence,
)
from sentinel.storage.queries.slot_coverage import measure_slot_coverage
from services.api.dependencies import (
    ApiContext,
    CoinFilter,
    Limit,
    Offset,
    RequestContext,
    clamp_to_utc,
)
from services.api.pipeline_parts import describe_backup, describe_registry, describe_slot_coverage
from services.api.problems import problem_responses
from services.api.queries.coins import list_best_ranked_coins
from services.api.queries.pipeline import list_runs
from services.api.queries.rows import Row
from services.api.schemas.base import Page, Timestamp
from services.api.schemas.pipeline import (
    BackupResponse,
    GapResponse,
    RegistryResponse,
    RunResponse,
    ScheduleResponse,
)

router = APIRouter(tags=["pipeline"])

# Finding the gaps of 50 coins takes a second if they have a point per minute.
GAPS_AMONG = 50


@router.get("/runs", responses=problem_responses(422, 503))
def get_runs(
    context: RequestContext,
    before: Annotated[Timestamp | None, Query(description="a started_at")] = None,
    limit: Limit = 50,
) -> Page[RunResponse]:
    """Runs of the pipeline, the newest first; `next` is the `before` of the next page."""
    started_before = clamp_to_utc(before) if before else None
    # One item more than requested shows whether there is a next page.
    rows = context.pool.read(lambda connection: list_runs(connection, started_before, limit + 1))
    items = rows[:limit]
    next_before = None
    if len(rows) > limit:
        # With microseconds, the resolution of PostgreSQL, no run is skipped or repeated.
        next_before = f"{items[-1]['started_at']:%Y-%m-%dT%H:%M:%S.%fZ}"
    return Page[RunResponse].model_validate({"items": items, "next": next_before})


@router.get("/gaps", responses=problem_responses(422, 503))
def get_gaps(
    context: RequestContext, coin_id: CoinFilter = None, limit: Limit = 100, offset: Offset = 0
) -> Page[GapResponse]:
    """Gaps of the last seven days: pauses of more than twice the cadence.

    Returns the gaps of one coin, or of the 50 best-ranked coins by rank.
    """

    def read(connection: Connection) -> list[Row]:
        coin_ids = [coin_id] if coin_id else list_best_ranked_coins(connection, GAPS_AMONG)
        return read_gaps(context, connection, coin_ids)

    gaps = context.pool.read(read)
    items = gaps[offset : offset + limit]
    next_offset = str(offset + limit) if len(gaps) > offset + limit else None
    return Page[GapResponse].model_validate({"items": items, "next": next_offset})


def read_gaps(context: ApiContext, connection: Connection, coin_ids: Sequence[str]) -> list[Row]:
    """Return the gaps of coins in the last seven days, by rank."""
    now = context.now()
    cadence = read_cadence(connection, now, _configured_cadence(context))
    gaps = find_gaps(connection, now, cadence=cadence, coin_ids=coin_ids).fetchall()
    return [gap._asdict() | {"slot_minutes": gap.slot.total_seconds() / 60} for gap in gaps]


@router.get("/schedule", responses=problem_responses(503))
def get_schedule_coverage(context: RequestContext) -> ScheduleResponse:
    """How many of the runs that were due in the last seven days happened, and what was backfilled.

    A scheduled run is due as often as the settings say. The monitor's loop adapts its interval to
    its credits, so for the loop the median interval between its runs counts.
    """
    coins = covered_coins(context.monitor.settings.backfill_credits_per_day)

    def read(connection: Connection) -> tuple[timedelta, ScheduleCoverage, SlotCoverage | None]:
        now = context.now()
        cadence = read_cadence(connection, now, _configured_cadence(context))
        slots = measure_slot_coverage(connection, now, cadence=cadence, coins=coins).fetchone()
        return cadence, measure_schedule_coverage(connection, now, cadence), slots

    cadence, coverage, slots = context.pool.read(read)
    return ScheduleResponse(
        cadence_minutes=cadence.total_seconds() / 60,
        expected=coverage.expected,
        delivered=coverage.delivered,
        share=coverage.share,
        longest_silence_minutes=coverage.longest_silence.total_seconds() / 60,
        slots=describe_slot_coverage(slots),
    )


def _configured_cadence(context: ApiContext) -> timedelta:
    return timedelta(minutes=context.monitor.settings.cadence_minutes)


@router.get("/registry", responses=problem_responses(422, 503))
def get_registry(context: RequestContext, limit: Limit = 100) -> RegistryResponse:
    """The coins' health: strikes, inactive coins, and when the next probe of each is due."""
    return describe_registry(load_registry(context.monitor.settings), limit)


@router.get("/budget", responses=problem_responses(503))
def get_budget(context: RequestContext) -> dict[str, Any]:
    """The month's usage of every free quota, as `python budget_monitor.py --json` prints it."""
    status = budget_monitor.check_budget_status(context.monitor.settings, context.now())
    return budget_output.as_json(status)


@router.get("/backups", responses=problem_responses(503))
def get_backup_status(context: RequestContext) -> BackupResponse:
    """The last backup that was restored and compared, and the result of the last attempt."""
    status = context.pool.read(service_status.read_backup_status)
    return describe_backup(status, context.monitor.settings, context.now())
