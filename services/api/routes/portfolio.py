"""The portfolio's value: holdings, profit, net worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta

from fastapi import APIRouter

from sentinel.storage.connection import Connection
from services.api.dependencies import Limit, RequestContext
from services.api.portfolio import valuation
from services.api.portfolio.legs import expand
from services.api.portfolio.models import NetWorth, Portfolio, Transaction
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

router = APIRouter(tags=["portfolio"])
DAY = timedelta(days=1)


@router.get("/portfolio", responses=problem_responses(422, 503))
def get_portfolio(context: RequestContext, limit: Limit = 500) -> Portfolio:
    """Holdings, net worth and profit in USD and IDR; the `limit` most valuable holdings."""

    def read(connection: Connection) -> Portfolio:
        now = context.now()
        transactions = list_transactions(connection)
        portfolio = _value_now(connection, transactions, now)
        history = read_net_worth_history(connection, transactions, now)
        if history:
            history[-1] = _replace_newest(history[-1], portfolio)
        holdings = portfolio.holdings[:limit]
        return dataclasses.replace(portfolio, holdings=holdings, history=tuple(history))

    return context.pool.read(read)


def _value_now(
    connection: Connection, transactions: Sequence[Transaction], now: datetime
) -> Portfolio:
    coin_ids = sorted({leg.coin_id for leg in expand(transactions)})
    day_start = now - DAY
    # A price older than a day counts as missing; the page shows the age of every other one.
    newest = ValuationPrices(
        read_prices(connection, coin_ids, now, DAY), read_rate(connection, now, DAY)
    )
    day_ago = ValuationPrices(
        read_prices(connection, coin_ids, day_start, DAY_AGO_TOLERANCE),
        read_rate(connection, day_start, DAY_AGO_TOLERANCE),
    )
    labels = read_coin_labels(connection, coin_ids)
    return value_portfolio(transactions, newest, day_ago, day_start, labels)


def _replace_newest(newest: NetWorth, portfolio: Portfolio) -> NetWorth:
    """Take the newest net worth from the valuation.

    A day that has just begun may have no price of its own yet.
    """
    has_all_prices = all(holding.value_usd is not None for holding in portfolio.holdings)
    return dataclasses.replace(
        newest,
        net_worth_usd=portfolio.net_worth_usd if has_all_prices else None,
        net_worth_idr=portfolio.net_worth_idr if has_all_prices else None,
        missing=[text for text in portfolio.missing if not text.endswith(valuation.DAY_AGO)],
    )
