"""Write transactions as CSV, and read the lines of a CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from services.api.portfolio.models import Transaction, sort_transactions
from services.api.schemas.base import strip_zeros

# The columns of an export; older files have the first ones only. An import may also name price, fee
# and currency.
FIRST_COLUMNS = ("made_at", "coin_id", "quantity", "price_usd", "fee_usd", "idr_per_usd", "note")
LATER_COLUMNS = ("kind", "wallet", "to_coin_id", "to_quantity", "to_wallet")
COLUMNS = FIRST_COLUMNS + LATER_COLUMNS
IMPORT_COLUMNS = (*COLUMNS, "price", "fee", "currency")
# How a file names the main wallet where an empty cell has another meaning. In a request, too, it
# means the main wallet.
MAIN_WALLET = "main"
REQUIRED_COLUMNS = frozenset({"made_at", "coin_id", "quantity"})


class CsvLine(NamedTuple):
    """One line of a CSV: its number in the file and its non-empty fields by column."""

    number: int
    fields: dict[str, str]


def format_csv(transactions: Iterable[Transaction]) -> str:
    """Return transactions as CSV with a header, by time."""
    file = io.StringIO()
    # The writer ends lines as RFC 4180 says, so that a note may hold either line end.
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for transaction in sort_transactions(transactions):
        writer.writerow([format_field(transaction, name) for name in COLUMNS])
    return file.getvalue()


def format_field(transaction: Transaction, name: str) -> str:
    """Return a field as text: times in UTC, amounts without trailing zeros."""
    value = getattr(transaction, name)
    if value is None:
        return ""
    if name == "to_wallet":  # an empty cell means outside
        return str(value) or MAIN_WALLET
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        return strip_zeros(value)
    return str(value)


def parse_csv(text: str) -> list[CsvLine]:
    """Return the lines of a CSV. Raises ValueError with the number of a line that is wrong."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or []]
        _check_header(header)
        lines = []
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num}: the line must have {len(header)} fields")
            lines.append(CsvLine(reader.line_num, _strip_fields(row)))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error
    return lines


def _check_header(header: list[str]) -> None:
    unknown = [name for name in header if name not in IMPORT_COLUMNS]
    if unknown or REQUIRED_COLUMNS - set(header) or len(set(header)) < len(header):
        optional = ", ".join(name for name in IMPORT_COLUMNS if name not in REQUIRED_COLUMNS)
        raise ValueError(
            f"line 1: the header must name the columns {', '.join(sorted(REQUIRED_COLUMNS))}, may "
            f"name {optional}, and must name each once"
            + (f"; unknown: {', '.join(unknown)[:100]}" if unknown else "")
        )


def _strip_fields(row: dict[str, str]) -> dict[str, str]:
    """Return the fields that are not empty; a note keeps its spaces."""
    fields = {
        name.strip(): text if name.strip() == "note" else text.strip() for name, text in row.items()
    }
    return {name: text for name, text in fields.items() if text}
