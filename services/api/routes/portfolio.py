"""The portfolio's value: holdings, profit, net worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter

from sentinel.storage.connection import Connection
from services.api.dependencies import Limit, RequestContext
from services.api.portfolio import valuation
from services.api.portfolio.models import (
    HoldingValuation,
    NetWorth,
    PortfolioValuation,
    Transaction,
)
from services.api.portfolio.net_worth import read_net_worth_history
from services.api.portfolio.quotes import (
    DAY_AGO_TOLERANCE,
    read_coin_labels,
    read_prices,
    read_rate,
)
from services.api.portfolio.transactions import list_transactions
from services.api.portfolio.valuation import ValuationPrices, value_portfolio
from services.api.problems import problem_responses
from services.api.schemas.portfolio import PortfolioResponse

router = APIRouter(tags=["portfolio"])
DAY = timedelta(days=1)


@router.get("/portfolio", responses=problem_responses(422, 503))
def get_portfolio(context: RequestContext, limit: Limit = 500) -> PortfolioResponse:
    """Holdings, net worth and profit in USD and IDR; the `limit` most valuable holdings."""

    def read(connection: Connection) -> PortfolioResponse:
        now = context.now()
        transactions = list_transactions(connection)
        coin_ids = sorted({transaction.coin_id for transaction in transactions})
        portfolio = _value_now(connection, transactions, coin_ids, now)
        history = read_net_worth_history(connection, transactions, now)
        if history:
            history[-1] = _replace_newest(history[-1], portfolio)
        labels = read_coin_labels(connection, coin_ids)
        return _build_response(portfolio, labels, history, limit)

    return context.pool.read(read)


def _value_now(
    connection: Connection,
    transactions: Sequence[Transaction],
    coin_ids: Sequence[str],
    now: datetime,
) -> PortfolioValuation:
    day_start = now - DAY
    # A price older than a day counts as missing; the page shows the age of every other one.
    newest = ValuationPrices(
        read_prices(connection, coin_ids, now, DAY), read_rate(connection, now, DAY)
    )
    day_ago = ValuationPrices(
        read_prices(connection, coin_ids, day_start, DAY_AGO_TOLERANCE),
        read_rate(connection, day_start, DAY_AGO_TOLERANCE),
    )
    return value_portfolio(transactions, newest, day_ago, day_start)


def _replace_newest(newest: NetWorth, portfolio: PortfolioValuation) -> NetWorth:
    """Take the newest net worth from the valuation.

    A day that has just begun may have no price of its own yet.
    """
    has_all_prices = all(holding.value_usd is not None for holding in portfolio.holdings)
    return newest._replace(
        net_worth_usd=portfolio.net_worth_usd if has_all_prices else None,
        net_worth_idr=portfolio.net_worth_idr if has_all_prices else None,
        missing=[text for text in portfolio.missing if not text.endswith(valuation.DAY_AGO)],
    )


def _build_response(
    portfolio: PortfolioValuation,
    labels: dict[str, tuple[str, str]],
    history: Sequence[NetWorth],
    limit: int,
) -> PortfolioResponse:
    rate = portfolio.rate
    return PortfolioResponse.model_validate(
        {
            "net_worth_usd": portfolio.net_worth_usd,
            "net_worth_idr": portfolio.net_worth_idr,
            "idr_per_usd": rate.idr_per_usd if rate else None,
            "rate_observed_at": rate.observed_at if rate else None,
            "total_profit": asdict(portfolio.total_profit),
            "day_profit": asdict(portfolio.day_profit),
            "holdings": [_describe_holding(h, labels) for h in portfolio.holdings[:limit]],
            "history": [net_worth._asdict() for net_worth in history],
            "missing": list(portfolio.missing),
        }
    )


def _describe_holding(
    holding: HoldingValuation, labels: dict[str, tuple[str, str]]
) -> dict[str, Any]:
    # A coin that was never stored has no label: its id stands in for symbol and name.
    symbol, name = labels.get(holding.coin_id, (holding.coin_id, holding.coin_id))
    quote = holding.quote
    return asdict(holding) | {
        "symbol": symbol,
        "name": name,
        "price_usd": quote.price_usd if quote else None,
        "observed_at": quote.observed_at if quote else None,
        "share": None if holding.share is None else float(holding.share),
        "missing": list(holding.missing),
    }
