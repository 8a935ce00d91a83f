"""Price targets: list, preview, add and delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response

from sentinel.alerting.price_targets import (
    NewTarget,
    TargetPreview,
    TargetRejected,
    add_target,
    delete_target,
    list_targets,
    preview_target,
)
from sentinel.storage.connection import Connection
from services.api.dependencies import (
    ApiContext,
    CoinFilter,
    Limit,
    Offset,
    RequestContext,
    clamp_to_utc,
)
from services.api.known_coins import KnownCoins
from services.api.problems import conflict, problem_responses
from services.api.schemas.base import Page
from services.api.schemas.price_targets import (
    PriceTargetPreviewResponse,
    PriceTargetRequest,
    PriceTargetResponse,
    TargetCrossingResponse,
)

router = APIRouter(tags=["price targets"])
# `:int` in the paths: GET /price-targets/preview is no id, so that the answer is 405.
TargetId = Annotated[int, Path(ge=1, lt=2**63)]


@router.get("/price-targets", responses=problem_responses(422, 503))
def get_price_targets(
    context: RequestContext, coin_id: CoinFilter = None, limit: Limit = 500, offset: Offset = 0
) -> Page[PriceTargetResponse]:
    """Open targets, the newest first, then those that fired once or expired in the last 60 days."""
    # One item more than requested shows whether there is a next page.
    found = context.pool.read(
        lambda connection: list_targets(connection, coin_id=coin_id, limit=limit + 1, offset=offset)
    )
    items = [PriceTargetResponse.model_validate(target) for target in found[:limit]]
    next_offset = str(offset + limit) if len(found) > limit else None
    return Page[PriceTargetResponse](items=items, next=next_offset)


@router.get("/price-targets/{target_id:int}", responses=problem_responses(404, 422, 503))
def get_price_target(context: RequestContext, target_id: TargetId) -> PriceTargetResponse:
    """One target."""
    found = context.pool.read(lambda connection: list_targets(connection, target_id=target_id))
    if not found:
        raise _unknown_target(target_id)
    return PriceTargetResponse.model_validate(found[0])


@router.post("/price-targets/preview", responses=problem_responses(400, 403, 404, 409, 422, 503))
def preview_price_target(
    context: RequestContext, request: PriceTargetRequest
) -> PriceTargetPreviewResponse:
    """When a target would have fired over the last 60 days. It is not saved."""

    def read(connection: Connection) -> TargetPreview:
        new = _read_request(context, connection, request)
        return preview_target(connection, new, context.now())

    try:
        preview = context.pool.read(read)
    except TargetRejected as error:
        raise conflict(str(error)) from error
    crossings = [
        TargetCrossingResponse(observed_at=crossing.at, price=crossing.price)
        for crossing in preview.crossings
    ]
    return PriceTargetPreviewResponse.model_validate(preview._asdict() | {"crossings": crossings})


@router.post(
    "/price-targets", status_code=201, responses=problem_responses(400, 403, 404, 409, 422, 503)
)
def post_price_target(
    context: RequestContext, request: PriceTargetRequest, response: Response
) -> PriceTargetResponse:
    """Add a target."""
    try:
        target = context.pool.write(
            lambda connection: add_target(
                connection, _read_request(context, connection, request), context.now()
            )
        )
    except TargetRejected as error:
        raise conflict(f"Nothing was changed. {error}") from error
    response.headers["Location"] = f"/price-targets/{target.target_id}"
    return PriceTargetResponse.model_validate(target)


@router.delete(
    "/price-targets/{target_id:int}",
    status_code=204,
    responses=problem_responses(403, 404, 422, 503),
)
def remove_price_target(context: RequestContext, target_id: TargetId) -> None:
    """Delete a target."""
    now = context.now()
    if not context.pool.write(lambda connection: delete_target(connection, target_id, now)):
        raise _unknown_target(target_id)


def _read_request(
    context: ApiContext, connection: Connection, request: PriceTargetRequest
) -> NewTarget:
    """Return the target of a request. Raises HTTPException (404)."""
    KnownCoins(context, connection).require(request.coin_id)
    fields = request.model_dump()
    if request.expires_at:
        fields["expires_at"] = clamp_to_utc(request.expires_at)
    return NewTarget(**fields)


def _unknown_target(target_id: int) -> HTTPException:
    return HTTPException(404, f"There is no price target {target_id}.")
