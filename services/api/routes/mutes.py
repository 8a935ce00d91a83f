"""Muted coins: list, mute and unmute."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from fastapi import APIRouter, HTTPException

from sentinel.alerting import mutes
from sentinel.storage.connection import Connection
from services.api.dependencies import CoinId, RequestContext
from services.api.known_coins import KnownCoins
from services.api.problems import problem_responses
from services.api.schemas.alerts import MuteRequest, MuteResponse
from services.api.schemas.base import Page

router = APIRouter(tags=["alerts"])


@router.get("/mutes", responses=problem_responses(503))
def get_mutes(context: RequestContext) -> Page[MuteResponse]:
    """The muted coins, the one whose mute ends first at the top."""
    muted = context.pool.read(lambda connection: mutes.read_muted(connection, context.now()))
    return Page[MuteResponse](items=describe_mutes(muted), next=None)


def describe_mutes(
    muted: Mapping[str, datetime], coin_ids: Collection[str] = ()
) -> list[MuteResponse]:
    """Return the mutes of these coins (of all without any), the one that ends first at the top."""
    ordered = sorted(muted.items(), key=lambda item: item[1])
    return [
        MuteResponse(coin_id=coin_id, muted_until=until)
        for coin_id, until in ordered
        if not coin_ids or coin_id in coin_ids
    ]


@router.post("/coins/{coin_id}/mute", responses=problem_responses(400, 403, 404, 409, 422, 503))
def mute_coin(context: RequestContext, coin_id: CoinId, request: MuteRequest) -> MuteResponse:
    """Mute a coin from now on; a muted coin gets the new time."""
    now = context.now()
    until = now + timedelta(hours=request.hours)

    def write(connection: Connection) -> None:
        KnownCoins(context, connection).require(coin_id)
        mutes.mute(connection, coin_id, until, now)

    context.pool.write(write)
    return MuteResponse(coin_id=coin_id, muted_until=until)


@router.delete(
    "/coins/{coin_id}/mute", status_code=204, responses=problem_responses(403, 404, 409, 422, 503)
)
def unmute_coin(context: RequestContext, coin_id: CoinId) -> None:
    """End the mute of a coin."""
    if not context.pool.write(lambda connection: mutes.unmute(connection, coin_id)):
        raise HTTPException(404, f"The coin '{coin_id}' is not muted.")
