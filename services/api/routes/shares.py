"""Links that show the portfolio in percentages: create, list, revoke; and their page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import Response

from sentinel.amounts import Language
from sentinel.storage.connection import Connection
from services.api.dependencies import ApiContext, RequestContext, clamp_to_utc
from services.api.portfolio.growth_line import compute_growth_line
from services.api.portfolio.models import Portfolio
from services.api.portfolio.net_worth import list_days, list_prices
from services.api.portfolio.past_prices import add_archived_prices, read_stored_prices
from services.api.portfolio.period_returns import Course, compute_returns
from services.api.portfolio.price_book import PriceBook
from services.api.portfolio.reading import value_now
from services.api.portfolio.return_models import PortfolioReturns
from services.api.portfolio.shares import (
    create_share,
    delete_share,
    find_share,
    is_use_due,
    list_shares,
    note_use,
)
from services.api.portfolio.timeline import Snapshot
from services.api.portfolio.transactions import list_transactions
from services.api.problems import conflict, problem_responses
from services.api.schemas.base import Page
from services.api.schemas.shares import NewShareResponse, ShareRequest, ShareResponse
from services.api.share_page import SharedFigures, render_gone_page, render_share_pages
from services.web_access import NO_FRAMES, POLICY_HEADER

router = APIRouter(tags=["portfolio"])
ShareId = Annotated[int, Path(ge=1, lt=2**63)]
MAX_SHARES = 100
LINE_DAYS = 366
# The address is the secret: no other page and no search engine may learn it.
PAGE_HEADERS = {
    POLICY_HEADER: NO_FRAMES,
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}


@router.get("/portfolio/shares", responses=problem_responses(503))
def get_shares(context: RequestContext) -> Page[ShareResponse]:
    """All links, also those that expired, without their tokens."""
    found = context.pool.read(list_shares)
    return Page[ShareResponse](items=[ShareResponse.model_validate(share) for share in found])


@router.post(
    "/portfolio/shares", status_code=201, responses=problem_responses(400, 403, 409, 413, 422, 503)
)
def post_share(context: RequestContext, request: ShareRequest) -> NewShareResponse:
    """Create a link. The response is the only place that has its token."""
    now = context.now()
    expires_at = clamp_to_utc(request.expires_at) if request.expires_at else None
    if expires_at and expires_at <= now:
        raise conflict(f"expires_at {expires_at.isoformat()} is not in the future.")

    def write(connection: Connection) -> NewShareResponse:
        if len(list_shares(connection)) >= MAX_SHARES:
            raise conflict(f"There are {MAX_SHARES} links already: revoke one.")
        share, token = create_share(connection, request.label, expires_at, now)
        values = ShareResponse.model_validate(share).model_dump()
        return NewShareResponse(**values, token=token, path=f"/share/{token}")

    return context.pool.write(write)


@router.delete(
    "/portfolio/shares/{share_id}",
    status_code=204,
    responses=problem_responses(403, 404, 422, 503),
)
def remove_share(context: RequestContext, share_id: ShareId) -> None:
    """Revoke a link."""
    if not context.pool.write(lambda connection: delete_share(connection, share_id)):
        raise HTTPException(404, f"There is no link {share_id}.")


# Not in the OpenAPI description: this is a page for people.
@router.get("/share/{token}", include_in_schema=False)
def get_share_page(context: RequestContext, token: str, lang: str = "en") -> Response:
    """The portfolio in percentages, for everybody with the link."""
    now = context.now()
    share = context.pool.read(lambda connection: find_share(connection, token, now))
    if share is None:
        return _respond(render_gone_page(), 404)
    if is_use_due(share, now):
        context.pool.write(lambda connection: note_use(connection, share, now))
    rendered = context.share_pages.get_files(now, lambda: _render(context))
    language: Language = "id" if lang == "id" else "en"
    return _respond(rendered[language], 200)


def _respond(content: bytes, status: int) -> Response:
    return Response(content, status, PAGE_HEADERS, media_type="text/html")


def _render(context: ApiContext) -> Mapping[str, bytes]:
    now = context.now()

    def read(
        connection: Connection,
    ) -> tuple[Portfolio, Course | None, list[Snapshot], PriceBook]:
        transactions = list_transactions(connection)
        course = Course.follow(transactions, now)
        days = list_days(transactions, now, LINE_DAYS)
        wanted = list_prices(days) | (course.list_wanted() if course else set())
        return (
            *(value_now(connection, transactions, now), course, days),
            read_stored_prices(connection, wanted, now),
        )

    portfolio, course, days, stored = context.pool.read(read)
    if course is None:
        returns = PortfolioReturns(valued_at=now, periods=(), bitcoin=None, cash=None)
        return render_share_pages(SharedFigures(portfolio, returns, [], now))
    wanted = list_prices(days) | course.list_wanted()
    book = add_archived_prices(stored, wanted, context.past_prices, context.monitor.settings)
    returns = compute_returns(course, book)  # adds the prices of the transactions to the book
    line = compute_growth_line(days, course.flows, book)
    return render_share_pages(SharedFigures(portfolio, returns, line, now))
