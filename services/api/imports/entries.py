"""What the readers of import files return: entries, ignored lines and problems."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

EntryKind = Literal["trade", "transfer", "reward"]
# Which part of the request answers the question of a problem.
Question = Literal["mapping", "date_order", "decimal_comma", "coins", "idr_per_usd", "prices"]

NEGATIVE_FEE = "the fee is negative: rebates are not supported; set it to 0."


class Amount(NamedTuple):
    """An amount of a coin or of money. The quantity is never negative."""

    quantity: Decimal
    # As the exchange writes it, or a coin id: BTC, USDT, IDR, bitcoin.
    symbol: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file."""

    # In the file, from 1.
    number: int
    # As they are in the file; they identify the line.
    cells: tuple[str, ...]
    # By the lower-case name of the column.
    fields: dict[str, str]

    def get(self, *columns: str) -> str:
        """Return the first of these fields that is not empty, or an empty text."""
        return next((self.fields[name] for name in columns if self.fields.get(name)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedEntry:
    """One trade, transfer or reward as the exchange recorded it, before any price is looked up.

    trade: `given` was exchanged for `received`; one of them may be money.
    transfer: `received` came from outside, or `given` went there.
    reward: `received` was paid out for nothing.
    """

    # A trade in a ledger has several rows.
    rows: tuple[Row, ...]
    made_at: datetime
    kind: EntryKind
    # Without fees.
    given: Amount | None = None
    received: Amount | None = None
    # Paid on top of what was given, or out of what was received.
    fees: tuple[Amount, ...] = ()
    # Of one coin, if the file names it: in a trade for money or in a pair of the coin that is not
    # the quote currency, in a conversion of the coin given.
    price: Amount | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class IgnoredLine:
    """Rows that do not change the portfolio."""

    rows: tuple[Row, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ProblemLine:
    """Rows that cannot be imported."""

    rows: tuple[Row, ...]
    # One sentence that says what to do.
    message: str
    asks: Question | None = None


Result = ImportedEntry | IgnoredLine | ProblemLine


class BadLine(ValueError):
    """A row that cannot be imported; the text is a sentence without the line's number."""

    def __init__(self, message: str, asks: Question | None = None) -> None:
        super().__init__(message)
        self.asks: Question | None = asks


class Ignored(Exception):
    """A row that does not change the portfolio; the text is the reason."""


def read_rows(
    groups: Iterable[tuple[Row, ...]], read: Callable[[tuple[Row, ...]], ImportedEntry]
) -> list[Result]:
    """Return what `read` makes of each group of rows."""
    results: list[Result] = []
    for rows in groups:
        try:
            results.append(read(rows))
        except BadLine as error:
            results.append(ProblemLine(rows, str(error), error.asks))
        except Ignored as reason:
            results.append(IgnoredLine(rows, str(reason)))
    return results
