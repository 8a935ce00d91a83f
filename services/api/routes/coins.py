"""Coins: newest observations, sparklines, movers, exchange rate."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from services.api.dependencies import CoinId, Limit, Offset, RequestContext
from services.api.portfolio.quotes import MAX_RATE_AGE, read_rate
from services.api.problems import UnknownCoin, problem_responses
from services.api.queries.coins import find_coin, list_coins, list_movers, list_sparklines
from services.api.schemas.base import NO_NUL, Page
from services.api.schemas.coins import (
    CoinDetailResponse,
    CoinResponse,
    ExchangeRateResponse,
    MoversResponse,
    SparklinesResponse,
)

router = APIRouter(tags=["coins"])

# Movers are searched among this many of the best-ranked coins.
MOVERS_AMONG = 500
SPARKLINE_STEPS = 24


@router.get("/coins", responses=problem_responses(422, 503))
def get_coins(
    context: RequestContext,
    search: Annotated[
        str | None, Query(min_length=1, max_length=100, pattern=NO_NUL, examples=["bit"])
    ] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> Page[CoinResponse]:
    """Coins with their newest observation, by rank; `search` matches id, symbol and name."""
    # One item more than requested shows whether there is a next page.
    rows = context.pool.read(
        lambda connection: list_coins(connection, search=search, limit=limit + 1, offset=offset)
    )
    next_offset = str(offset + limit) if len(rows) > limit else None
    return Page[CoinResponse].model_validate({"items": rows[:limit], "next": next_offset})


@router.get("/coins/{coin_id}", responses=problem_responses(404, 409, 422, 503))
def get_coin(context: RequestContext, coin_id: CoinId) -> CoinDetailResponse:
    """One coin with its newest observation and its alert tracker."""
    row = context.pool.read(lambda connection: find_coin(connection, coin_id, context.now()))
    if row is None:
        raise UnknownCoin(coin_id)
    return CoinDetailResponse.model_validate(row)


@router.get("/sparklines", responses=problem_responses(422, 503))
def get_sparklines(
    context: RequestContext,
    hours: Annotated[int, Query(ge=1, le=168)] = 24,
    limit: Limit = 100,
    offset: Offset = 0,
) -> SparklinesResponse:
    """The last hours of every coin in 25 points, in the order of `/coins`."""
    # Rounded up to the minute, so that the response stays the same, and cached, within it.
    end = context.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    start = end - timedelta(hours=hours)
    rows = context.pool.read(
        lambda connection: list_sparklines(connection, start, end, SPARKLINE_STEPS, limit, offset)
    )
    return SparklinesResponse.model_validate({"start": start, "end": end, "items": rows})


@router.get("/rates", responses=problem_responses(503))
def get_exchange_rate(context: RequestContext) -> ExchangeRateResponse:
    """The price of one USD in rupiah, observed together with the coin prices."""
    rate = context.pool.read(lambda connection: read_rate(connection, context.now(), MAX_RATE_AGE))
    return ExchangeRateResponse(
        idr_per_usd=float(rate.idr_per_usd) if rate else None,
        observed_at=rate.observed_at if rate else None,
    )


@router.get("/movers", responses=problem_responses(422, 503))
def get_movers(
    context: RequestContext,
    hours: Annotated[int, Query(ge=1, le=168)] = 24,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> MoversResponse:
    """The coins that rose most and fell most, among the 500 best-ranked ones."""
    rows = context.pool.read(
        lambda connection: list_movers(connection, context.now(), hours, top=MOVERS_AMONG)
    )
    gainers = [row for row in rows if row["change"] > 0]
    losers = [row for row in reversed(rows) if row["change"] < 0]
    return MoversResponse.model_validate(
        {"hours": hours, "gainers": gainers[:limit], "losers": losers[:limit]}
    )
