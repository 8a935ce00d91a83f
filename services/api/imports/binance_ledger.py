"""Binance: the transaction history, a ledger with one line for each change of a balance.

Columns: User_ID, UTC_Time, Account, Operation, Coin, Change, Remark. One trade has two or more
lines of the same second: what was paid, what was received, and the fees. Lines of one second and
one family of operations are one trade if a single coin was paid and a single one received.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from services.api.imports.entries import (
    Amount,
    BadLine,
    IgnoredLine,
    ImportedEntry,
    ProblemLine,
    Result,
    Row,
    read_rows,
)
from services.api.imports.fields import Dialect
from services.api.imports.table import Table

HEADERS = tuple(
    frozenset({time, "account", "operation", "coin", "change"}) for time in ("utc_time", "time")
)
FAMILIES = {
    **dict.fromkeys(("transaction buy", "transaction spend"), "bought"),
    **dict.fromkeys(("transaction sold", "transaction revenue"), "sold"),
    **dict.fromkeys(("buy", "sell", "transaction related"), "traded"),
    **dict.fromkeys(("binance convert", "convert", "large otc trading"), "converted"),
    **dict.fromkeys(("auto-invest transaction", "buy crypto with fiat"), "converted"),
    **dict.fromkeys(("sell crypto to fiat", "eth 2.0 staking"), "converted"),
}
FEES = frozenset({"fee", "transaction fee"})
# Small balances that were exchanged for BNB: the file does not say which BNB came from which coin.
DUST = "small assets exchange bnb"
OUTSIDE = ("deposit", "withdraw", "send", "receive", "payment", "binance pay", "crypto box", "p2p")
REWARDS = (
    *("interest", "reward", "distribution", "airdrop", "cashback", "commission", "referral"),
    *("rebate", "kickback", "bonus", "voucher", "launchpool", "megadrop", "mining"),
)
# Coins that only move between accounts of the same person. The first words decide before those of
# rewards (Launchpool Redemption), the others after them (Staking Rewards).
MOVES = ("transfer", "subscription", "redemption")
PRODUCTS = ("purchase", "savings", "lock", "staking", "liquid swap")
ONE_SECOND = timedelta(seconds=1)


class _Change(NamedTuple):
    row: Row
    made_at: datetime
    operation: str
    coin: str
    change: Decimal


def read(table: Table, dialect: Dialect) -> list[Result]:
    """Return the entries of a transaction history."""
    results: list[Result] = []
    parts: list[_Change] = []
    for row in table.rows:
        try:
            change = _read_change(row, dialect)
        except BadLine as error:
            results.append(ProblemLine((row,), str(error), error.asks))
            continue
        if change.operation in FAMILIES or change.operation in FEES:
            parts.append(change)
        else:
            results.append(_read_single(change))
    for group in _group(parts):
        results += read_rows([tuple(one.row for one in group)], lambda _, g=group: _make_trade(g))  # type: ignore[misc]
    return results


def _read_change(row: Row, dialect: Dialect) -> _Change:
    operation = " ".join(row.get("operation").lower().split())
    if operation.startswith(DUST):
        operation = DUST
    made_at = dialect.time(row.get("utc_time", "time"))
    return _Change(
        row, made_at, operation, row.get("coin").upper(), dialect.number(row.get("change"))
    )


def _read_single(change: _Change) -> Result:
    """Return what a line of its own means."""
    operation = change.operation
    is_incoming = change.change > 0
    if not change.change:
        return IgnoredLine((change.row,), "the change is 0")
    if operation == DUST:
        return _read_dust(change)
    is_move = any(word in operation for word in MOVES)
    if is_incoming and not is_move and any(word in operation for word in REWARDS):
        return _entry(change, "reward", operation)
    if not is_move and any(word in operation for word in OUTSIDE):
        return _entry(change, "transfer", operation)
    if is_move or any(word in operation for word in PRODUCTS):
        return IgnoredLine((change.row,), f"{operation}: the coins stay yours")
    return ProblemLine(
        (change.row,),
        f"the operation '{operation[:60]}' is not known: delete the line, and add what it did by "
        "hand.",
    )


def _read_dust(change: _Change) -> ImportedEntry:
    """Return small balances as sold for nothing, and their BNB as a reward: the sum is right."""
    note = "small balances exchanged for BNB"
    if change.change > 0:
        return _entry(change, "reward", note)
    return replace(_entry(change, "trade", note), received=Amount(Decimal(0), "USD"))


def _entry(
    change: _Change, kind: Literal["trade", "transfer", "reward"], note: str
) -> ImportedEntry:
    amount = Amount(abs(change.change), change.coin)
    return ImportedEntry(
        rows=(change.row,),
        made_at=change.made_at,
        kind=kind,
        given=amount if change.change < 0 else None,
        received=amount if change.change > 0 else None,
        note=note,
    )


def _group(parts: Iterable[_Change]) -> Iterator[list[_Change]]:
    """Yield the lines of each trade: those of one second and one family, with their fees."""
    groups: dict[tuple[datetime, str], list[_Change]] = defaultdict(list)
    fees: dict[datetime, list[_Change]] = defaultdict(list)
    for part in parts:
        if part.operation in FEES:
            fees[part.made_at].append(part)
        else:
            groups[part.made_at, FAMILIES[part.operation]].append(part)
    _join_halves(groups)
    for delay in (timedelta(0), ONE_SECOND):  # some fees are booked a second later
        for key in sorted(groups):
            for at in sorted({part.made_at + delay for part in groups[key]}):
                groups[key] += fees.pop(at, ())
    yield from groups.values()
    yield from fees.values()  # without a trade


def _join_halves(groups: dict[tuple[datetime, str], list[_Change]]) -> None:
    """Join what was paid to what was received if a second lies between them."""
    for at, family in sorted(groups):
        first = groups.get((at, family))
        second = groups.get((at + ONE_SECOND, family))
        if first and second and not _is_whole(first) and not _is_whole(second):
            first.extend(second)
            del groups[at + ONE_SECOND, family]


def _is_whole(group: list[_Change]) -> bool:
    return min(part.change for part in group) < 0 < max(part.change for part in group)


def _make_trade(group: list[_Change]) -> ImportedEntry:
    """Return the trade of a group. Raises BadLine if several coins were traded at once."""
    given, received, fees = (_sum_by_coin(group, side) for side in ("given", "received", "fee"))
    if len(given) != 1 or len(received) != 1:
        coins = ", ".join(sorted({part.coin for part in group}))
        raise BadLine(
            f"the trade of {coins} at {group[0].made_at:%Y-%m-%d %H:%M:%S} is not clear: others "
            "have the same second, or a part is missing; use the spot trade history for this time."
        )
    return ImportedEntry(
        rows=tuple(sorted((part.row for part in group), key=lambda row: row.number)),
        made_at=min(part.made_at for part in group),
        kind="trade",
        given=given[0],
        received=received[0],
        fees=fees,
    )


def _sum_by_coin(group: Iterable[_Change], side: str) -> tuple[Amount, ...]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for part in group:
        is_fee = part.operation in FEES
        part_side = "fee" if is_fee else "received" if part.change > 0 else "given"
        if part_side == side:
            sums[part.coin] += -part.change if is_fee else abs(part.change)
    return tuple(Amount(quantity, coin) for coin, quantity in sums.items() if quantity > 0)
