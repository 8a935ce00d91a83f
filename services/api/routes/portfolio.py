"""The portfolio's value: holdings, profit, net worth, returns."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from fastapi import APIRouter, Query

from sentinel.storage.connection import Connection
from services.api.dependencies import Limit, RequestContext
from services.api.portfolio.legs import expand
from services.api.portfolio.models import Portfolio, WalletContent
from services.api.portfolio.net_worth import compute_net_worth, list_days, list_prices
from services.api.portfolio.past_prices import add_archived_prices, read_stored_prices
from services.api.portfolio.period_returns import Course, compute_returns
from services.api.portfolio.price_book import PriceBook
from services.api.portfolio.quotes import read_coin_labels
from services.api.portfolio.reading import read_newest, value_now
from services.api.portfolio.return_models import PortfolioReturns
from services.api.portfolio.timeline import Snapshot
from services.api.portfolio.transactions import list_transactions
from services.api.portfolio.wallets import list_wallets
from services.api.problems import problem_responses
from services.api.schemas.base import Page

router = APIRouter(tags=["portfolio"])
# As long as prices are kept in the database.
DEFAULT_HISTORY_DAYS = 60
MAX_HISTORY_DAYS = 366 * 20


@router.get("/portfolio", responses=problem_responses(422, 503))
def get_portfolio(
    context: RequestContext,
    limit: Limit = 500,
    days: Annotated[
        int, Query(ge=1, le=MAX_HISTORY_DAYS, description="days of `history`, today included")
    ] = DEFAULT_HISTORY_DAYS,
) -> Portfolio:
    """Holdings, net worth and profit in USD and IDR; the `limit` most valuable holdings.

    `history` has the net worth of each day beside what had been invested until then. Days older
    than the database's prices come from the archive, if one is configured.
    """
    now = context.now()

    def read(connection: Connection) -> tuple[Portfolio, list[Snapshot], PriceBook]:
        transactions = list_transactions(connection)
        portfolio = value_now(connection, transactions, now)
        snapshots = list_days(transactions, now, days)
        return portfolio, snapshots, read_stored_prices(connection, list_prices(snapshots), now)

    portfolio, snapshots, stored = context.pool.read(read)
    book = add_archived_prices(
        stored, list_prices(snapshots), context.past_prices, context.monitor.settings
    )
    return dataclasses.replace(
        portfolio,
        holdings=portfolio.holdings[:limit],
        history=tuple(compute_net_worth(day, book) for day in snapshots),
    )


@router.get("/portfolio/returns", responses=problem_responses(503))
def get_returns(context: RequestContext) -> PortfolioReturns:
    """Time-weighted return and XIRR in USD and IDR, beside bitcoin and cash.

    The periods end now. A figure that needs an unknown price or rate is null, and says which.
    """
    now = context.now()

    def read(connection: Connection) -> tuple[Course | None, PriceBook]:
        course = Course.follow(list_transactions(connection), now)
        wanted = course.list_wanted() if course else ()
        return course, read_stored_prices(connection, wanted, now)

    course, stored = context.pool.read(read)
    if course is None:
        return PortfolioReturns(valued_at=now, periods=(), bitcoin=None, cash=None)
    book = add_archived_prices(
        stored, course.list_wanted(), context.past_prices, context.monitor.settings
    )
    return compute_returns(course, book)


@router.get("/portfolio/wallets", responses=problem_responses(503))
def get_portfolio_wallets(context: RequestContext) -> Page[WalletContent]:
    """All wallets of the portfolio, and what each holds at the newest prices."""

    def read(connection: Connection) -> Page[WalletContent]:
        legs = expand(list_transactions(connection))
        coin_ids = sorted({leg.coin_id for leg in legs})
        newest = read_newest(connection, coin_ids, context.now())
        labels = read_coin_labels(connection, coin_ids)
        return Page[WalletContent](items=list_wallets(legs, newest, labels))

    return context.pool.read(read)
