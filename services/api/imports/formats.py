"""The formats of import files, and how a file's format is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from services.api.imports import (
    binance,
    binance_ledger,
    coinbase,
    indodax,
    kraken,
    pintu,
    tokocrypto,
)
from services.api.imports.entries import Result
from services.api.imports.fields import Dialect
from services.api.imports.table import Table
from services.api.portfolio.transactions_csv import IMPORT_COLUMNS

# Market Sentinel's own columns, and a file that is read by a mapping.
OWN, MAPPED = "sentinel", "mapped"
OWN_REQUIRED = frozenset({"made_at", "coin_id", "quantity"})
JAKARTA = ZoneInfo("Asia/Jakarta")


@dataclass(frozen=True, slots=True)
class ImportFormat:
    """One kind of file."""

    id: str
    # As the preview shows it; also the beginning of the notes of imported transactions.
    name: str
    # Sets of column names; a file that has all names of one set is of this format.
    headers: tuple[frozenset[str], ...]
    read: Callable[[Table, Dialect], list[Result]]
    # Of times without a zone.
    zone: tzinfo = UTC
    # None: either, as the numbers of the file show.
    decimal_comma: bool | None = False


# A narrower set of columns stands before a wider one that contains it.
FORMATS = (
    ImportFormat("tokocrypto", "Tokocrypto", tokocrypto.HEADERS, tokocrypto.read, JAKARTA, None),
    ImportFormat("indodax", "Indodax", indodax.HEADERS, indodax.read, JAKARTA, None),
    ImportFormat("pintu", "Pintu", pintu.HEADERS, pintu.read, JAKARTA, None),
    ImportFormat(
        "binance", "Binance trade history", binance.GLUED_HEADERS, binance.read_trade_history
    ),
    ImportFormat(
        "binance-old",
        "Binance trade history",
        binance.SPLIT_HEADERS,
        binance.read_old_trade_history,
    ),
    ImportFormat(
        "binance-ledger",
        "Binance transaction history",
        binance_ledger.HEADERS,
        binance_ledger.read,
    ),
    ImportFormat("kraken", "Kraken trades", kraken.TRADE_HEADERS, kraken.read_trades),
    ImportFormat("kraken-ledger", "Kraken ledgers", kraken.LEDGER_HEADERS, kraken.read_ledgers),
    ImportFormat("coinbase", "Coinbase", coinbase.HEADERS, coinbase.read),
)
FORMATS_BY_ID: Mapping[str, ImportFormat] = {one.id: one for one in FORMATS}
FORMAT_IDS = (OWN, *FORMATS_BY_ID, MAPPED)


def detect_format(columns: frozenset[str]) -> str | None:
    """Return the id of the format that has these columns, None if no format has them."""
    if columns >= OWN_REQUIRED and columns <= set(IMPORT_COLUMNS):
        return OWN
    return next((one.id for one in FORMATS if _has_all(columns, one.headers)), None)


def is_known_header(columns: frozenset[str]) -> bool:
    """Return whether a line of a file is the header of a known format."""
    return columns >= OWN_REQUIRED or detect_format(columns) is not None


def _has_all(columns: frozenset[str], headers: Iterable[frozenset[str]]) -> bool:
    return any(needed <= columns for needed in headers)
