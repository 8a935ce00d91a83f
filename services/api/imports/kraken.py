"""Kraken: the trades history, and the ledgers.

Trades: txid, ordertxid, pair, time, type, ordertype, price, cost, fee, vol, margin, misc, ledgers.
Cost and fee are in the currency that the pair ends with.

Ledgers: txid, refid, time, type, subtype, aclass, asset, wallet, amount, fee, balance, where older
files lack subtype or wallet. The two lines of a trade share their refid. A line changes the balance
by its amount minus its fee. Times are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from services.api.imports.entries import (
    NEGATIVE_FEE,
    Amount,
    BadLine,
    Ignored,
    IgnoredLine,
    ImportedEntry,
    Result,
    Row,
    read_rows,
)
from services.api.imports.fields import Dialect, split_pair
from services.api.imports.symbols import RENAMED
from services.api.imports.table import Table
from services.api.imports.trade_list import Columns, read_trade_list

TRADE_HEADERS = (frozenset({"txid", "pair", "time", "type", "price", "cost", "fee", "vol"}),)
LEDGER_HEADERS = (frozenset({"txid", "refid", "time", "type", "asset", "amount", "fee"}),)
TRADE_COLUMNS: Columns = {
    "made_at": ("time",),
    "pair": ("pair",),
    "kind": ("type",),
    "price": ("price",),
    "quantity": ("vol",),
    "total": ("cost",),
    "fee": ("fee",),
}
# Kraken's first coins carry an X, its money a Z: XXBT, XETH, ZUSD.
OLD_COINS = frozenset(
    {"XXBT", "XETH", "XLTC", "XXRP", "XXLM", "XXMR", "XZEC", "XETC", "XREP", "XXDG", "XMLN"}
    | {"XICN", "ZUSD", "ZEUR", "ZGBP", "ZCAD", "ZJPY", "ZAUD", "ZKRW"}
)
# Kraken kept LUNA for Terra Classic.
SYMBOLS = RENAMED | {"LUNA": "LUNC", "LUNA2": "LUNA"}
REWARD_TYPES = frozenset({"staking", "dividend", "reward", "airdrop"})
REWARD_SUBTYPES = frozenset({"reward", "airdrop", "bonus", "fork"})
TRADE_TYPES = frozenset({"trade", "spend", "receive"})
MARGIN_TYPES = frozenset({"margin", "margin trade", "rollover", "settled"})


def read_trades(table: Table, dialect: Dialect) -> list[Result]:
    """Return the entries of a trades history."""
    results = read_trade_list(table, dialect, TRADE_COLUMNS, split=_split_pair)
    return [_without_margin(result) for result in results]


def read_ledgers(table: Table, dialect: Dialect) -> list[Result]:
    """Return the entries of the ledgers."""

    def read(rows: tuple[Row, ...]) -> ImportedEntry:
        return _read_group([_Line(row, dialect) for row in rows])

    return read_rows(_group_by_refid(table), read)


def normalize(asset: str) -> str:
    """Return the usual symbol of one of Kraken's: BTC for XXBT and XBT.M, ADA for ADA.S."""
    symbol = re.sub(r"\d*\.[A-Z]$", "", asset.strip().upper())  # DOT28.S is bonded for 28 days
    symbol = symbol[1:] if symbol in OLD_COINS else symbol
    return SYMBOLS.get(symbol, symbol)


def _without_margin(result: Result) -> Result:
    if isinstance(result, ImportedEntry):
        margin = result.rows[0].get("margin").rstrip("0").rstrip(".")
        if margin not in {"", "0"}:
            return IgnoredLine(result.rows, "positions with borrowed money are not imported")
    return result


def _split_pair(pair: str) -> tuple[str, str]:
    """Return the symbols of a pair such as XXBTZUSD, XTZUSD, DOTXBT or BTC/USD."""
    text = pair.strip().upper()
    if len(text) == 8 and text[4:] in OLD_COINS and "/" not in text:
        return normalize(text[:4]), normalize(text[4:])
    quotes = ("USD", "EUR", "GBP", "CAD", "JPY", "AUD", "CHF", "USDT", "USDC", "DAI", "XBT", "ETH")
    base, quote = split_pair(text, (*quotes, "PYUSD", "BTC"))
    return normalize(base), normalize(quote)


def _group_by_refid(table: Table) -> Iterator[tuple[Row, ...]]:
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        groups.setdefault(row.get("refid") or f"line {row.number}", []).append(row)
    for rows in groups.values():
        yield tuple(rows)


class _Line:
    """One line of the ledgers."""

    def __init__(self, row: Row, dialect: Dialect) -> None:
        self.row = row
        self.made_at = dialect.time(row.get("time"))
        self.type, self.subtype = row.get("type").lower(), row.get("subtype").lower()
        self.asset = normalize(row.get("asset"))
        self.amount = dialect.number(row.get("amount"))
        self.fee = dialect.number(row.get("fee") or "0")
        if self.fee < 0:
            raise BadLine(NEGATIVE_FEE)

    @property
    def fees(self) -> tuple[Amount, ...]:
        return (Amount(self.fee, self.asset),) if self.fee else ()


def _read_group(lines: list[_Line]) -> ImportedEntry:
    """Return the entry of lines with one refid. Raises BadLine and Ignored."""
    first = lines[0]
    types = {line.type for line in lines}
    if types & MARGIN_TYPES:
        raise Ignored("positions with borrowed money are not imported")
    if types <= TRADE_TYPES:
        return _read_trade(lines)
    if len({line.asset for line in lines}) == 1 and not sum(line.amount for line in lines):
        raise Ignored("the coins move between your own accounts")
    if len(lines) > 1:
        # Kraken lists a deposit twice while it is pending: without a balance the first time.
        lines = [line for line in lines if line.row.get("balance")]
        if len(lines) != 1:
            raise BadLine(
                f"the lines with the refid {first.row.get('refid')[:40]} do not fit together."
            )
    return _read_single(lines[0])


def _read_trade(lines: list[_Line]) -> ImportedEntry:
    given = [line for line in lines if line.amount < 0]
    received = [line for line in lines if line.amount > 0]
    if len({line.asset for line in given}) != 1 or len({line.asset for line in received}) != 1:
        raise BadLine(
            f"the trade {lines[0].row.get('refid')[:40]} needs one line for what was given and one "
            "for what was received: the file is cut off, or was filtered; export it again."
        )
    return ImportedEntry(
        rows=tuple(line.row for line in lines),
        made_at=min(line.made_at for line in lines),
        kind="trade",
        given=Amount(-sum((line.amount for line in given), Decimal(0)), given[0].asset),
        received=Amount(sum((line.amount for line in received), Decimal(0)), received[0].asset),
        fees=tuple(fee for line in lines for fee in line.fees),
    )


def _read_single(line: _Line) -> ImportedEntry:
    """Return the entry of a deposit, withdrawal, reward or transfer. Raises BadLine, Ignored."""
    amount = Amount(abs(line.amount), line.asset)
    entry = ImportedEntry(
        rows=(line.row,), made_at=line.made_at, kind="transfer", fees=line.fees, note=line.subtype
    )
    if not line.amount:
        raise Ignored("the amount is 0")
    if line.type in {"deposit", "withdrawal"}:
        is_deposit = line.amount > 0
        return replace(
            entry,
            given=None if is_deposit else amount,
            received=amount if is_deposit else None,
        )
    is_reward = line.type in REWARD_TYPES or line.subtype in REWARD_SUBTYPES
    if line.amount > 0 and (is_reward or (line.type == "transfer" and not line.subtype)):
        # A transfer without a subtype is an airdrop or the coins of a fork.
        net = Amount(line.amount - line.fee, line.asset)
        return replace(entry, kind="reward", received=net, fees=())
    if line.type in {"earn", "transfer", "staking"}:
        raise Ignored("the coins move between your own accounts")
    raise BadLine(
        f"the type '{line.type[:40]}' is not known: delete the line, and add what it did by hand."
    )
