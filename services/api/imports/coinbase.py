"""Coinbase: the transaction report.

Columns: ID (since 2023), Timestamp, Transaction Type, Asset, Quantity Transacted, Price Currency
(before 2024 Spot Price Currency), Price at Transaction (Spot Price at Transaction), Subtotal, Total
(inclusive of fees and/or spread), Fees and/or Spread, Notes. Until 2021 the currency stood in the
names of the columns: USD Spot Price at Transaction, USD Subtotal, USD Total (inclusive of fees),
USD Fees. Some lines of text stand above the header. Times are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from services.api.imports.entries import (
    Amount,
    BadLine,
    Ignored,
    ImportedEntry,
    Result,
    Row,
    read_rows,
)
from services.api.imports.fields import Dialect
from services.api.imports.symbols import STABLECOINS
from services.api.imports.table import Table

HEADERS = (frozenset({"timestamp", "transaction type", "asset", "quantity transacted"}),)
BUYS = frozenset({"buy", "advanced trade buy", "advance trade buy", "recurring buy"})
SELLS = frozenset(
    {"sell", "advanced trade sell", "advance trade sell", "card spend", "paid for an order"}
)
INCOMING = frozenset({"receive", "pro withdrawal", "exchange withdrawal", "deposit"})
OUTGOING = frozenset({"send", "pro deposit", "exchange deposit", "withdrawal"})
REWARDS = (
    "reward",
    "staking income",
    "interest",
    "coinbase earn",
    "airdrop",
    "cash back",
    "rebate",
)
INTERNAL = (
    "staking transfer",
    "unstaking transfer",
    "vault",
    "eth2 deprecation",
    "asset migration",
)
_OLD_COLUMN = re.compile(r"([a-z]{3}) (spot price at transaction|subtotal|total|fees)\b.*")
_CONVERTED = re.compile(r"converted ([\d.,]+) (\S+) to ([\d.,]+) (\S+)", re.IGNORECASE)
_TRADED = re.compile(r"(?:bought|sold) [\d.,]+ \S+ for [\d.,]+ (\S+)", re.IGNORECASE)


def read(table: Table, dialect: Dialect) -> list[Result]:
    """Return the entries of a transaction report."""
    names = _find_columns(table)

    def read_group(rows: tuple[Row, ...]) -> ImportedEntry:
        return _read_group([_Line(row, dialect, names) for row in rows])

    return read_rows(_group_conversions(table), read_group)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns whose names changed over the years, and the currency if they name it."""

    subtotal: str = "subtotal"
    total: str = "total (inclusive of fees and/or spread)"
    price: str = "price at transaction"
    currency: str = ""


def _find_columns(table: Table) -> _Columns:
    for name in table.columns:
        if match := _OLD_COLUMN.fullmatch(name):
            currency = match[1]
            total = f"{currency} total (inclusive of fees)"
            price = f"{currency} spot price at transaction"
            return _Columns(f"{currency} subtotal", total, price, currency.upper())
    return _Columns()


class _Line:
    """One line of the report."""

    def __init__(self, row: Row, dialect: Dialect, names: _Columns) -> None:
        self.row, self._dialect, self._names = row, dialect, names
        self.made_at = dialect.time(row.get("timestamp"))
        self.type = " ".join(row.get("transaction type").lower().split())
        quantity = dialect.number(row.get("quantity transacted"))
        self.quantity = quantity
        self.amount = Amount(abs(quantity), row.get("asset").upper())
        self.notes = row.get("notes")
        self.currency = names.currency or row.get("price currency", "spot price currency").upper()

    def money(self, column: str) -> Decimal | None:
        """Return an amount of money without its sign; None if the field is empty."""
        text = self.row.get(column)
        return abs(self._dialect.number(text)) if text else None

    def read_amounts(self, match: re.Match[str]) -> tuple[Amount, Amount]:
        """Return two amounts, each written as a number and a symbol. Raises BadLine."""
        number, first, to_number, second = match.groups()
        return (
            self._dialect.amount(number.rstrip("."), first),
            self._dialect.amount(to_number.rstrip("."), second.rstrip(".")),
        )

    @property
    def price(self) -> Amount | None:
        price = self.money(self._names.price)
        if price is None:
            price = self.money("spot price at transaction")
        return None if price is None else Amount(price, self.currency)

    @property
    def subtotal_and_total(self) -> tuple[Decimal, Decimal]:
        """What the coins cost without and with fees. Raises BadLine."""
        subtotal, total = self.money(self._names.subtotal), self.money(self._names.total)
        if subtotal is None or total is None:
            raise BadLine("Subtotal or Total is empty, so the price is unknown: fill it in.")
        return subtotal, total

    @property
    def quote(self) -> str:
        """The currency that was paid: the notes name the token that stood for dollars."""
        match = _TRADED.search(self.notes)
        is_token = match and self.currency == "USD" and STABLECOINS.get(match[1].upper()) == "usd"
        return match[1].upper() if match and is_token else self.currency


def _group_conversions(table: Table) -> Iterator[tuple[Row, ...]]:
    """Yield each line; since 2024 a conversion has one line for each coin, with the same ID."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in table.rows:
        key = (row.get("id"), row.get("timestamp"), str(row.number))
        if row.get("transaction type").lower() == "convert" and row.get("id"):
            key = (*key[:2], "")
        groups.setdefault(key, []).append(row)
    for rows in groups.values():
        yield tuple(rows)


def _read_group(lines: list[_Line]) -> ImportedEntry:
    if len(lines) > 1:
        return _read_conversion_pair(lines)
    [line] = lines
    if line.type == "convert":
        return _read_conversion(line)
    if line.type in BUYS | SELLS:
        return _read_trade(line)
    return _read_movement(line)


def _read_trade(line: _Line) -> ImportedEntry:
    subtotal, total = line.subtotal_and_total
    is_purchase = line.type in BUYS
    fee = total - subtotal if is_purchase else subtotal - total
    if fee < 0:
        raise BadLine("Total and Subtotal do not fit together: the fee would be negative.")
    money = Amount(subtotal, line.quote)
    return ImportedEntry(
        rows=(line.row,),
        made_at=line.made_at,
        kind="trade",
        given=money if is_purchase else line.amount,
        received=line.amount if is_purchase else money,
        fees=(Amount(fee, line.quote),) if fee else (),
        price=line.price,
        note=line.notes,
    )


def _read_conversion(line: _Line) -> ImportedEntry:
    match = _CONVERTED.search(line.notes)
    if not match:
        raise BadLine("Notes does not say what was converted to what: export the report again.")
    given, received = line.read_amounts(match)
    return _make_conversion([line], given, received)


def _read_conversion_pair(lines: list[_Line]) -> ImportedEntry:
    given = [line for line in lines if line.quantity < 0]
    received = [line for line in lines if line.quantity > 0]
    if len(given) != 1 or len(received) != 1:
        raise BadLine("a conversion needs one line for each coin: export the report again.")
    return _make_conversion(lines, given[0].amount, received[0].amount)


def _make_conversion(lines: list[_Line], given: Amount, received: Amount) -> ImportedEntry:
    """Return a conversion. Coinbase's spread is part of its price, so it has no fee."""
    price = next((line.price for line in lines if line.amount.symbol == given.symbol), None)
    return ImportedEntry(
        rows=tuple(line.row for line in lines),
        made_at=lines[0].made_at,
        kind="trade",
        given=given,
        received=received,
        price=price,
        note=lines[0].notes,
    )


def _read_movement(line: _Line) -> ImportedEntry:
    if any(word in line.type for word in INTERNAL):
        raise Ignored(f"{line.type}: the coins stay yours")
    is_reward = any(word in line.type for word in REWARDS)
    if not (is_reward or line.type in INCOMING | OUTGOING):
        raise BadLine(
            f"the transaction type '{line.type[:40]}' is not known: delete the line, and add what "
            "it did by hand."
        )
    is_incoming = is_reward or line.type in INCOMING
    return ImportedEntry(
        rows=(line.row,),
        made_at=line.made_at,
        kind="reward" if is_reward else "transfer",
        given=None if is_incoming else line.amount,
        received=line.amount if is_incoming else None,
        price=line.price,
        note=line.notes,
    )
