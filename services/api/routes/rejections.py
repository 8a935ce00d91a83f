"""The quarantine: list rejected entries, replay them through today's validation, discard them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query

import database
from pipeline.quarantine_replay import replay
from pipeline.site_figures import load_registry
from safe_zone import CADENCE_WINDOW
from sentinel import console
from sentinel.storage import quarantine
from sentinel.storage.connection import Connection, Session
from sentinel.storage.quarantine import Entry, Selection
from services.api.dependencies import CoinFilter, Limit, RequestContext, clamp_to_utc
from services.api.problems import conflict, problem_responses
from services.api.queries.pipeline import count_rejections_by_reason
from services.api.schemas.base import NO_NUL, Timestamp
from services.api.schemas.rejections import (
    DiscardRequest,
    DiscardResponse,
    RejectionSelection,
    RejectionsResponse,
    ReplayRequest,
    ReplayResponse,
)

router = APIRouter(tags=["pipeline"])

MAX_RAW_CHARACTERS = 300
WRITE_ERRORS = problem_responses(400, 403, 404, 409, 422, 503)


@router.get("/rejections", responses=problem_responses(404, 422, 503))
def get_rejections(
    context: RequestContext,
    reason: Annotated[str | None, Query(max_length=100, pattern=NO_NUL)] = None,
    coin_id: CoinFilter = None,
    is_open: Annotated[
        bool | None, Query(description="false: only replayed and discarded ones")
    ] = None,
    since: Timestamp | None = None,
    before: Annotated[
        str | None, Query(max_length=300, pattern=NO_NUL, description="an id")
    ] = None,
    limit: Limit = 50,
) -> RejectionsResponse:
    """Invalid entries of CoinGecko's responses, the newest first; counts of the last seven days."""
    selection = Selection(reason, coin_id, clamp_to_utc(since) if since else None)

    def read(connection: Connection) -> dict[str, Any]:
        last = _find_entry(connection, before) if before else None
        # One item more than requested shows whether there is a next page.
        entries = quarantine.read_entries(
            connection, selection, limit + 1, is_open=is_open, before=last
        )
        counted_since = context.now() - CADENCE_WINDOW
        return {
            "by_reason": count_rejections_by_reason(connection, counted_since),
            "items": [describe_entry(entry) for entry in entries[:limit]],
            "next": entries[limit - 1].id if len(entries) > limit else None,
        }

    return RejectionsResponse.model_validate(context.pool.read(read))


@router.post("/rejections/replay", responses=WRITE_ERRORS)
def replay_rejections(context: RequestContext, request: ReplayRequest) -> ReplayResponse:
    """Load the open entries that today's validation accepts, each once; without a selection all.

    The others stay open. A run or a second replay at the same time loads nothing twice.
    """
    selection = _select(context, request)
    labels = {
        coin.id: coin.label for coin in load_registry(context.monitor.settings).coins.values()
    }
    with Session(context.pool.address) as session:
        result = replay(session, selection, labels, context.now(), is_dry_run=request.dry_run)
    return ReplayResponse(
        loaded=result.loaded,
        stored_before=result.stored_before,
        refused=dict(result.refused),
        dry_run=request.dry_run,
    )


@router.post("/rejections/discard", responses=WRITE_ERRORS)
def discard_rejections(context: RequestContext, request: DiscardRequest) -> DiscardResponse:
    """Close open entries for good: no replay loads them."""
    selection = _select(context, request)
    if selection == Selection() and not request.all:
        raise conflict(
            "Nothing was discarded: name ids, reason, coin_id or since, or set all to true."
        )
    with Session(context.pool.address) as session:
        if request.dry_run:
            groups = session.use(lambda c: quarantine.group_entries(c, selection))
            count = sum(group.open for group in groups)
        else:
            count = database.run_write_without_purge(
                session,
                lambda c, _days: quarantine.resolve_entries(
                    c, selection, "discarded", context.now(), request.note
                ),
            )
    return DiscardResponse(discarded=count, dry_run=request.dry_run)


def _select(context: RequestContext, request: RejectionSelection) -> Selection:
    """Return the selection of a request. Raises HTTPException (404) for an unknown id."""
    since = clamp_to_utc(request.since) if request.since else None
    selection = Selection(request.reason, request.coin_id, since, tuple(request.ids))
    unknown = context.pool.read(lambda c: quarantine.find_unknown_ids(c, selection))
    if unknown:
        raise _unknown_entry(console.list_first(unknown, 3))
    return selection


def _find_entry(connection: Connection, entry_id: str) -> Entry:
    found = quarantine.read_entries(connection, Selection(ids=[entry_id]), 1)
    if not found:
        raise _unknown_entry(entry_id)
    return found[0]


def _unknown_entry(entry_ids: str) -> HTTPException:
    return HTTPException(404, f"No entry has the id {entry_ids}: GET /rejections lists ids.")


def describe_entry(entry: Entry) -> dict[str, Any]:
    """Return an entry as the fields of its response."""
    names = ("rejected_at", "run_id", "coin_id", "reason", "resolution", "resolved_at", "note")
    fields = {name: getattr(entry, name) for name in names}
    return fields | {"id": entry.id, "raw": entry.raw[:MAX_RAW_CHARACTERS]}
