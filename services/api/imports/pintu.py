"""Pintu. No sample of its export is public, and its app shows the history rather than a CSV.

This reads the names that the app gives its columns and transactions, in Indonesian and English:
date, kind of transaction (Beli/Buy, Jual/Sell, Kirim/Send, Terima/Receive, Hadiah/Reward), asset,
quantity, price and total in rupiah, fee, status. Times without a zone are read in Jakarta's. A file
with other columns is imported by a mapping.
"""

from __future__ import annotations

from services.api.imports.entries import Result
from services.api.imports.fields import Dialect
from services.api.imports.mapping import read_mapped, suggest_mapping
from services.api.imports.table import Table

HEADERS = tuple(
    frozenset({date, kind, asset, quantity})
    for date in ("tanggal", "waktu", "tanggal transaksi")
    for kind in ("jenis transaksi", "tipe transaksi")
    for asset in ("aset", "koin", "aset kripto")
    for quantity in ("jumlah aset", "jumlah koin", "jumlah")
)


def read(table: Table, dialect: Dialect) -> list[Result]:
    """Return the entries of a transaction history."""
    mapping = {"currency": "IDR"} | suggest_mapping(table.headers)
    return read_mapped(table, dialect, mapping)
