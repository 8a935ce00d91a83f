"""Tokocrypto. No sample of its export is public, so this rests on descriptions of the same data.

Tokocrypto runs on Binance's trading system, so a file with the columns of Binance's trade history
(`Date(UTC), Pair, Side, Price, Executed, Amount, Fee`) is read as one. The fields of its documented
interface (https://www.tokocrypto.com/apidocs/, trade list) are `tradeId, orderId, symbol, price,
qty, quoteQty, commission, commissionAsset, isBuyer, isMaker, isBestMatch, time`. BIDR, the rupiah
token of Binance and Tokocrypto, counts as rupiah. Times without a zone are read in Jakarta's. A
file with other columns is imported by a mapping.
"""

from __future__ import annotations

from services.api.imports.entries import Result
from services.api.imports.fields import Dialect
from services.api.imports.mapping import SYNONYMS
from services.api.imports.table import Table
from services.api.imports.trade_list import read_trade_list

HEADERS = (
    frozenset(
        {"symbol", "price", "qty", "commission", "commissionasset", "isbuyer", "isbestmatch"}
    ),
    frozenset({"waktu", "pair", "sisi", "harga", "tereksekusi", "jumlah", "biaya"}),
)


def read(table: Table, dialect: Dialect) -> list[Result]:
    """Return the entries of a trade history."""
    columns = dict(SYNONYMS)
    columns["kind"] = ("sisi", *SYNONYMS["kind"])
    if "tereksekusi" in table.columns:
        columns |= {"quantity": ("tereksekusi",), "total": ("jumlah",)}
    return read_trade_list(table, dialect, columns, currency="IDR")
