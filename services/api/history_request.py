"""Which span of a coin's history a request means, in which steps, and where it is read from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple

from fastapi import Query

from safe_zone import RETENTION
from sentinel.archive.store import Archive, open_configured_archive
from sentinel.storage.connection import Connection
from services.api.dependencies import ApiContext, clamp_to_utc
from services.api.problems import conflict
from services.api.queries.history import (
    STEPS,
    find_first_time,
    read_archived_history,
    read_history,
)
from services.api.queries.rows import Row

Resolution = Literal["auto", "raw", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w"]

MAX_POINTS = 20_000
MAX_HOURS = 24 * 366 * 20
DEFAULT_SPAN = timedelta(days=7)
# `auto` picks the shortest step with at most this many points; a chart has few more pixels.
AUTO_POINTS = 400
# Runs are at least this far apart, so a span of raw observations has at most one point per minute.
MIN_RAW_INTERVAL = timedelta(minutes=1)
DAY = timedelta(days=1)

HoursQuery = Annotated[
    int | None, Query(ge=1, le=MAX_HOURS, description="hours before the end, instead of start")
]
ResolutionQuery = Annotated[
    Resolution, Query(description="length of a step; auto chooses it by the time span")
]
PointsQuery = Annotated[
    int, Query(ge=10, le=2_000, description="how many points `auto` returns at most")
]


class HistoryRequest(NamedTuple):
    """A time span of a history, and its step."""

    start: datetime
    end: datetime
    resolution: Resolution
    max_points: int
    # Where the span begins before the oldest observation that the database can hold.
    is_archived: bool
    archive: Archive | None

    @property
    def uses_copy(self) -> bool:
        """Whether the read uses COPY, which pipeline mode cannot send."""
        return self.archive is not None

    def read(self, connection: Connection, coin_id: str) -> Row:
        """Return a `HistoryResponse`; without points if the coin is not known.

        Raises ArchiveUnavailable and ArchiveDamaged.
        """
        start = self.start
        if self.is_archived:
            first = find_first_time(connection, self.archive, coin_id)
            start = min(max(start, first or start), self.end)
        step_name = choose_step(self.end - start, self.resolution, self.max_points)
        if self.archive:
            points = read_archived_history(
                connection, self.archive, coin_id, start, self.end, step_name
            )
        else:
            points = read_history(connection, coin_id, start, self.end, step_name)
        return {
            "coin_id": coin_id,
            "start": start,
            "end": self.end,
            "resolution": step_name,
            "step_seconds": STEPS[step_name].total_seconds(),
            "points": points,
        }


def resolve_history(
    context: ApiContext,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    hours: int | None = None,
    resolution: Resolution = "auto",
    max_points: int = AUTO_POINTS,
) -> HistoryRequest:
    """Return what a request means. Raises HTTPException (409) if it contradicts itself."""
    # Rounded up to the minute, so that the response stays the same, and cached, within it.
    now = context.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    begin, stop = _resolve_span(start, end, hours, now)
    is_archived = begin < now - RETENTION - DAY
    archive = open_configured_archive(context.monitor.settings) if is_archived else None
    return HistoryRequest(begin, stop, resolution, max_points, is_archived, archive)


def _resolve_span(
    start: datetime | None, end: datetime | None, hours: int | None, now: datetime
) -> tuple[datetime, datetime]:
    if start and hours:
        raise conflict("start and hours: give one of them, not both.")
    stop = min(clamp_to_utc(end), now) if end else now
    length = timedelta(hours=hours) if hours else DEFAULT_SPAN
    begin = clamp_to_utc(start) if start else stop - length
    if begin >= stop:
        raise conflict(f"start {begin.isoformat()} is not before end {stop.isoformat()}.")
    return begin, stop


def choose_step(span: timedelta, resolution: Resolution, max_points: int) -> str:
    """Return the name of the requested step, or of the next longer one within MAX_POINTS.

    `auto` returns the shortest step with at most `max_points` points.
    """
    if resolution == "auto":
        limit, min_step = max_points, timedelta()
    else:
        limit, min_step = MAX_POINTS, STEPS[resolution]
    for name, step in STEPS.items():
        fits = span / max(step, MIN_RAW_INTERVAL) <= limit
        if step >= min_step and fits and (step or resolution == "raw"):
            return name
    return list(STEPS)[-1]
