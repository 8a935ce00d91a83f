"""The price that a form for transactions proposes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.api.dependencies import RequestContext, clamp_to_utc
from services.api.portfolio.arithmetic import exact_arithmetic, multiply_known
from services.api.portfolio.past_prices import add_archived_prices, read_stored_prices
from services.api.portfolio.quotes import find_nearest_rate
from services.api.problems import problem_responses
from services.api.schemas.base import NO_NUL, Timestamp
from services.api.schemas.portfolio import PastPriceResponse

router = APIRouter(tags=["portfolio"])


@router.get("/portfolio/price", responses=problem_responses(422, 503))
@exact_arithmetic()
def get_past_price(
    context: RequestContext,
    coin_id: Annotated[
        str, Query(min_length=1, max_length=100, pattern=NO_NUL, examples=["bitcoin"])
    ],
    at: Annotated[Timestamp | None, Query(description="default: now")] = None,
) -> PastPriceResponse:
    """The last stored price of a coin within a day before a moment.

    Without one the prices are null and `reason` says why. A transaction with a price far from this
    one may be in the wrong currency.
    """
    # To the minute, so that the response stays the same, and cached, within it.
    moment = clamp_to_utc(at) if at else context.now().replace(second=0, microsecond=0)
    key = (coin_id, moment)
    stored, rate = context.pool.read(
        lambda connection: (
            read_stored_prices(connection, [key], context.now()),
            find_nearest_rate(connection, moment),
        )
    )
    book = add_archived_prices(stored, [key], context.past_prices, context.monitor.settings)
    quote = book.quotes.get(key)
    reason = f"No price of {coin_id} is stored from the day before {moment:%F %R} UTC{book.note}."
    return PastPriceResponse(
        coin_id=coin_id,
        at=moment,
        price_usd=quote.price_usd if quote else None,
        price_idr=multiply_known(quote.price_usd, rate) if quote else None,
        idr_per_usd=rate,
        observed_at=quote.observed_at if quote else None,
        source=None if quote is None else "database" if key in stored.quotes else "archive",
        reason=None if quote else reason,
    )
