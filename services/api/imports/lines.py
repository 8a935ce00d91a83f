"""The lines of an import file and what is known about each: new, duplicate, ignored, problem."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from services.api.imports.build import BuiltEntry
from services.api.imports.entries import Question, Row
from services.api.portfolio.models import Transaction

LineStatus = Literal["new", "duplicate", "ignored", "problem"]
# Between the fields of a line, and between lines: no file has these characters in a field.
FIELD_SEPARATOR, LINE_SEPARATOR = "\x1f", "\x1e"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedLine:
    """One line of a file, or the lines of one trade."""

    rows: tuple[Row, ...]
    status: LineStatus
    message: str = ""
    asks: Question | None = None
    # None for ignored lines and problems.
    built: BuiltEntry | None = None
    # Of each transaction.
    identities: tuple[str, ...] = ()

    @property
    def transactions(self) -> tuple[Transaction, ...]:
        """What is stored for the line."""
        return self.built.transactions if self.built else ()


def problem(rows: tuple[Row, ...], message: str, asks: Question | None = None) -> PreparedLine:
    """Return a line that cannot be imported."""
    return PreparedLine(rows=rows, status="problem", message=message, asks=asks)


def join_cells(format_id: str, rows: Iterable[Row]) -> str:
    """Return what identifies an entry: the fields as the file has them, its lines in any order."""
    lines = sorted(FIELD_SEPARATOR.join(cell.strip() for cell in row.cells) for row in rows)
    return LINE_SEPARATOR.join([format_id, *lines])


def make_identities(key: str, occurrence: int, count: int) -> tuple[str, ...]:
    """Return the identities of the `count` transactions of an entry, the n-th with its fields."""
    return tuple(
        hashlib.sha256(LINE_SEPARATOR.join((key, str(occurrence), str(part))).encode()).hexdigest()
        for part in range(count)
    )


def mark_known(
    line: PreparedLine,
    identities: Collection[str],
    similar: Collection[tuple[datetime, str, Decimal]],
) -> PreparedLine:
    """Return the line as a duplicate if its identity is stored.

    A line whose time, coin and quantity are stored may be from another file of the same exchange.
    """
    if not line.transactions:
        return line
    if line.identities[0] in identities:
        return replace(line, status="duplicate", message="")
    main = line.transactions[0]
    if (main.made_at, main.coin_id, main.quantity) in similar:
        text = "a stored transaction has the same time, coin and quantity"
        return replace(line, message="; ".join(filter(None, (line.message, text))))
    return line
