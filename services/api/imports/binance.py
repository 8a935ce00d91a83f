"""Binance: the spot trade history, and the transaction history.

Columns of the trade history, as three generations of exports have them:

    Date(UTC), Pair, Side, Price, Executed, Amount, Fee                 0.25BTC, 5000USDT, 0.01BNB
    Date(UTC), Market, Type, Price, Amount, Total, Fee, Fee Coin        Type is BUY or SELL
    Date(UTC), Market, Type, Side, Price, Amount, Total, Fee, Fee Coin  Type is MARKET or LIMIT

The transaction history (binance_ledger.py) has one line for each change of a balance.
"""

from __future__ import annotations

from services.api.imports.entries import Result
from services.api.imports.fields import Dialect
from services.api.imports.table import Table
from services.api.imports.trade_list import Columns, read_trade_list

GLUED_HEADERS = tuple(
    frozenset({date, "pair", "side", "price", "executed", "amount", "fee"})
    for date in ("date(utc)", "time(utc)", "date", "time")
)
SPLIT_HEADERS = (
    frozenset({"date(utc)", "market", "type", "price", "amount", "total", "fee", "fee coin"}),
)
DATES = ("date(utc)", "time(utc)", "date", "time")
GLUED_COLUMNS: Columns = {
    "made_at": DATES,
    "pair": ("pair",),
    "kind": ("side",),
    "price": ("price",),
    "quantity": ("executed",),
    "total": ("amount",),
    "fee": ("fee",),
    "fee_currency": ("fee coin",),
}
SPLIT_COLUMNS: Columns = {
    "made_at": DATES,
    "pair": ("market",),
    "kind": ("side", "type"),
    "price": ("price",),
    "quantity": ("amount",),
    "total": ("total",),
    "fee": ("fee",),
    "fee_currency": ("fee coin",),
}


def read_trade_history(table: Table, dialect: Dialect) -> list[Result]:
    """Return the entries of a trade history with symbols behind the amounts."""
    return read_trade_list(table, dialect, GLUED_COLUMNS)


def read_old_trade_history(table: Table, dialect: Dialect) -> list[Result]:
    """Return the entries of a trade history with columns for total and fee coin."""
    return read_trade_list(table, dialect, SPLIT_COLUMNS)
