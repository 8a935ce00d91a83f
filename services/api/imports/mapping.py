"""Read files of an unknown format by a mapping of our fields to their columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import get_args

from services.api.imports.entries import Result
from services.api.imports.fields import Dialect
from services.api.imports.table import Table, UnreadableFile, fold
from services.api.imports.trade_list import Role, read_trade_list

ROLES: tuple[Role, ...] = get_args(Role)

# Names of columns by our field, in English and Indonesian; the first one that a file has is meant.
SYNONYMS: dict[Role, tuple[str, ...]] = {
    "made_at": (
        *("date(utc)", "utc_time", "time(utc)", "date (utc)", "timestamp", "datetime", "date time"),
        *("date & time", "transaction date", "transaction time", "trade time", "trade_time"),
        *("executed at", "created at", "date", "time", "tanggal transaksi", "waktu transaksi"),
        *("tanggal & waktu", "tanggal", "waktu", "waktu (wib)", "tanggal (wib)", "made_at"),
    ),
    "kind": (
        *("side", "isbuyer", "transaction type", "trade type", "buy/sell", "action", "direction"),
        *("operation", "type", "jenis transaksi", "tipe transaksi", "beli/jual", "jual/beli"),
        *("jenis", "tipe", "aksi", "kind"),
    ),
    "pair": ("pair", "market", "trading pair", "instrument", "pasangan", "pasar", "symbol"),
    "coin": (
        *("coin", "asset", "cryptocurrency", "crypto", "token", "ticker", "aset kripto", "aset"),
        *("koin", "nama aset", "kode aset", "coin_id"),
    ),
    "quantity": (
        *("executed", "executed quantity", "filled", "quantity", "qty", "vol", "volume", "size"),
        *("jumlah aset", "jumlah koin", "kuantitas", "coin amount", "amount", "jumlah"),
    ),
    "price": (
        *("price", "average price", "avg price", "unit price", "rate", "harga rata-rata"),
        *("harga satuan", "harga per koin", "harga"),
    ),
    "total": (
        *("total", "quoteqty", "quote quantity", "cost", "subtotal", "total amount", "value"),
        *("total harga", "nilai transaksi", "nilai", "amount"),
    ),
    "fee": ("fee", "fees", "commission", "trading fee", "biaya transaksi", "biaya", "komisi"),
    "fee_currency": (
        *("fee coin", "fee currency", "fee asset", "commissionasset", "commission asset"),
        *("mata uang biaya", "koin biaya"),
    ),
    "currency": ("currency", "price currency", "quote currency", "mata uang"),
    "received_coin": ("received coin", "to coin", "received asset", "aset diterima"),
    "received_quantity": ("received quantity", "to amount", "received amount", "jumlah diterima"),
    "status": ("status", "state"),
    "note": ("note", "notes", "remark", "catatan", "keterangan", "description", "memo"),
}
_CURRENCY_IN_HEADER = re.compile(r"(.+?) ?[(\[](idr|rp|usd|usdt)[)\]]")


def suggest_mapping(headers: Sequence[str]) -> dict[str, str]:
    """Return our field → their column, as far as the names show it; perhaps with `currency`."""
    columns: dict[str, str] = {}
    currency = ""
    for header in headers:
        name = fold(header)
        if match := _CURRENCY_IN_HEADER.fullmatch(name):
            currency = "IDR" if match[2] in {"idr", "rp"} else match[2].upper()
            name = match[1]
        columns.setdefault(name, header)
    mapping: dict[str, str] = {}
    for role, names in SYNONYMS.items():
        free = (columns[n] for n in names if n in columns and columns[n] not in mapping.values())
        if header := next(free, ""):
            mapping[role] = header
    if currency and "currency" not in mapping:
        mapping["currency"] = currency
    return mapping


def is_complete(mapping: Mapping[str, str]) -> bool:
    """Return whether a mapping has what a line needs."""
    return {"made_at", "quantity"} <= mapping.keys() and bool({"pair", "coin"} & mapping.keys())


def read_mapped(table: Table, dialect: Dialect, mapping: Mapping[str, str]) -> list[Result]:
    """Return the entries of a file by a mapping of our fields to their columns.

    `currency` may name a column, or the currency itself. Raises UnreadableFile.
    """
    columns: dict[Role, tuple[str, ...]] = {}
    currency = ""
    for role in ROLES:
        header = mapping.get(role)
        if header is None:
            continue
        if fold(header) in table.columns:
            columns[role] = (fold(header),)
        elif role == "currency":
            currency = header.upper()
        else:
            raise UnreadableFile(
                f"The mapping names the column '{header[:50]}' for {role}, but the file has no "
                "such column."
            )
    if not is_complete(mapping):
        raise UnreadableFile(
            "The mapping must name the columns for made_at, quantity, and coin or pair."
        )
    return read_trade_list(table, dialect, columns, currency=currency)
