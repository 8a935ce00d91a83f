"""A coin's price history."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Query

from safe_zone import RETENTION
from sentinel.archive.store import open_configured_archive
from sentinel.storage.connection import Connection
from services.api.dependencies import CoinId, RequestContext, clamp_to_utc
from services.api.problems import conflict, problem_responses, unknown_coin
from services.api.queries.coins import is_known_coin
from services.api.queries.history import STEPS, read_archived_history, read_history
from services.api.queries.rows import Row
from services.api.schemas.base import Timestamp
from services.api.schemas.coins import HistoryResponse

router = APIRouter(tags=["coins"])
Resolution = Literal["auto", "raw", "5m", "15m", "30m", "1h", "4h", "1d"]

MAX_POINTS = 20_000
MAX_HOURS = 24 * 366 * 20
DEFAULT_SPAN = timedelta(days=7)
# `auto` picks the shortest step with at most this many points; a chart has few more pixels.
AUTO_MAX_POINTS = 400
# Runs are at least this far apart, so a span of raw observations has at most one point per minute.
MIN_RAW_INTERVAL = timedelta(minutes=1)
DAY = timedelta(days=1)


class _Span(NamedTuple):
    start: datetime
    end: datetime


@router.get("/coins/{coin_id}/history", responses=problem_responses(404, 409, 422, 503))
def get_history(
    context: RequestContext,
    coin_id: CoinId,
    start: Annotated[Timestamp | None, Query(description="default: seven days ago")] = None,
    end: Annotated[Timestamp | None, Query(description="not included; default: now")] = None,
    hours: Annotated[
        int | None, Query(ge=1, le=MAX_HOURS, description="hours before the end, instead of start")
    ] = None,
    resolution: Annotated[
        Resolution, Query(description="length of a step; auto chooses it by the time span")
    ] = "auto",
) -> HistoryResponse:
    """A coin's history in steps; `raw` returns every observation.

    Observations older than sixty days come from the archive, if one is configured. If the time
    span is too long for the step, a longer step is used; the response says which.
    """
    # Rounded up to the minute, so that the response stays the same, and cached, within it.
    now = context.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    span = _resolve_span(start, end, hours, now)
    oldest_stored = now - RETENTION - DAY
    archive = None
    if span.start < oldest_stored:
        archive = open_configured_archive(context.monitor.settings)
        if archive is None:  # nothing older is stored anywhere
            span = span._replace(start=max(span.start, oldest_stored))
    step_name = _choose_step(span.end - span.start, resolution)

    def read(connection: Connection) -> list[Row]:
        if archive:
            rows = read_archived_history(connection, archive, coin_id, *span, step_name)
        else:
            rows = read_history(connection, coin_id, *span, step_name)
        if not rows and not is_known_coin(connection, coin_id):
            raise unknown_coin(coin_id)
        return rows

    return HistoryResponse.model_validate(
        {
            "coin_id": coin_id,
            "start": span.start,
            "end": span.end,
            "resolution": step_name,
            "step_seconds": STEPS[step_name].total_seconds(),
            "points": context.pool.read(read, uses_copy=archive is not None),
        }
    )


def _resolve_span(
    start: datetime | None, end: datetime | None, hours: int | None, now: datetime
) -> _Span:
    """Return the time span of a request. Raises HTTPException (409) if it contradicts itself."""
    if start and hours:
        raise conflict("start and hours: give one of them, not both.")
    stop = min(clamp_to_utc(end), now) if end else now
    length = timedelta(hours=hours) if hours else DEFAULT_SPAN
    begin = clamp_to_utc(start) if start else stop - length
    if begin >= stop:
        raise conflict(f"start {begin.isoformat()} is not before end {stop.isoformat()}.")
    return _Span(begin, stop)


def _choose_step(span: timedelta, resolution: Resolution) -> str:
    """Return the name of the requested step, or of the next longer one within the point limit.

    `auto` returns the shortest step with at most AUTO_MAX_POINTS points.
    """
    if resolution == "auto":
        max_points, min_step = AUTO_MAX_POINTS, timedelta()
    else:
        max_points, min_step = MAX_POINTS, STEPS[resolution]
    for name, step in STEPS.items():
        fits = span / max(step, MIN_RAW_INTERVAL) <= max_points
        if step >= min_step and fits and (step or resolution == "raw"):
            return name
    return list(STEPS)[-1]
