"""Indodax. No sample of its export is public, so this rests on descriptions of the same data.

The fields of the trade history in Indodax's official interface documents
(https://github.com/btcid/indodax-official-api-docs): `tradeId, orderId, clientOrderId, symbol,
price, qty, quoteQty, commission, commissionAsset, isBuyer, isMaker, time`; the commission includes
the tax. The Indonesian and English names of the website's columns are read as well. Times without a
zone are read in Jakarta's, dates in the order that the file shows. Prices are in rupiah unless the
pair says otherwise. A file with other columns is imported by a mapping.
"""

from __future__ import annotations

from services.api.imports.entries import BadLine, Result
from services.api.imports.fields import Dialect, split_pair
from services.api.imports.mapping import SYNONYMS
from services.api.imports.table import Table
from services.api.imports.trade_list import read_trade_list

HEADERS = (
    frozenset(
        {"symbol", "price", "qty", "commission", "commissionasset", "isbuyer", "clientorderid"}
    ),
    *(
        frozenset({date, pair, kind, "harga", "jumlah"})
        for date in ("tanggal", "waktu")
        for pair in ("pair", "pasar", "pasangan", "market")
        for kind in ("tipe", "jenis")
    ),
)


def read(table: Table, dialect: Dialect) -> list[Result]:
    """Return the entries of a trade history."""
    return read_trade_list(table, dialect, SYNONYMS, currency="IDR", split=_split_pair)


def _split_pair(pair: str) -> tuple[str, str]:
    """Return coin and currency; Indodax writes btcidr, btc_idr and BTC/IDR."""
    try:
        return split_pair(pair, ("IDR", "USDT", "BTC"))
    except BadLine:
        return pair.upper(), "IDR"
