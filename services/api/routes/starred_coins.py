"""Starred coins: list, star and unstar."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException

from sentinel.alerting import starred_coins
from sentinel.alerting.starred_coins import MAX_STARRED
from sentinel.storage.connection import Connection
from services.api.dependencies import CoinId, RequestContext
from services.api.known_coins import KnownCoins
from services.api.problems import conflict, problem_responses
from services.api.schemas.base import Page
from services.api.schemas.coins import StarredCoinResponse

router = APIRouter(tags=["coins"])


@router.get("/starred-coins", responses=problem_responses(503))
def get_starred_coins(context: RequestContext) -> Page[StarredCoinResponse]:
    """The coins that the user starred, by rank; the monitor watches them."""
    found = context.pool.read(starred_coins.list_starred)
    items = [StarredCoinResponse.model_validate(coin) for coin in found]
    return Page[StarredCoinResponse](items=items, next=None)


@router.put(
    "/coins/{coin_id}/star", status_code=204, responses=problem_responses(403, 404, 409, 422, 503)
)
def star_coin(context: RequestContext, coin_id: CoinId) -> None:
    """Star a coin; one that is starred already stays so."""

    def write(connection: Connection) -> None:
        KnownCoins(context, connection).require(coin_id)
        if not starred_coins.star(connection, coin_id, context.now()):
            raise conflict(f"{MAX_STARRED} coins are starred already: remove the star of some.")

    context.pool.write(write)


@router.delete(
    "/coins/{coin_id}/star", status_code=204, responses=problem_responses(403, 404, 409, 422, 503)
)
def unstar_coin(context: RequestContext, coin_id: CoinId) -> None:
    """Remove the star of a coin."""
    if not context.pool.write(lambda connection: starred_coins.unstar(connection, coin_id)):
        raise HTTPException(404, f"The coin '{coin_id}' is not starred.")
