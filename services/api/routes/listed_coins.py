"""The coins that CoinGecko lists, for a form to choose from."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.api.dependencies import RequestContext
from services.api.known_coins import search_coins
from services.api.problems import problem_responses
from services.api.schemas.base import NO_NUL, Page
from services.api.schemas.coins import ListedCoinResponse

router = APIRouter(tags=["coins"])


@router.get("/coins/listed", responses=problem_responses(422, 503))
def get_listed_coins(
    context: RequestContext,
    search: Annotated[str, Query(max_length=100, pattern=NO_NUL, examples=["bit"])] = "",
    limit: Annotated[int, Query(ge=1, le=50)] = 50,
) -> Page[ListedCoinResponse]:
    """Coins that a transaction may name, also those without a price, the best ranked first.

    `search` is in the id, the symbol or the name.
    """
    found = context.pool.read(lambda connection: search_coins(context, connection, search, limit))
    return Page[ListedCoinResponse].model_validate({"items": found})
