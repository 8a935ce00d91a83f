"""Prepare an import file: what each of its lines would add to the portfolio, and what is known."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from starlette.exceptions import HTTPException

from pipeline.site_figures import load_registry
from safe_zone import MAX_CLOCK_SKEW
from sentinel.storage.connection import Connection
from services.api.dependencies import YEARS, ApiContext
from services.api.imports.build import BuiltEntry, build_entry, list_needed_prices
from services.api.imports.coins import CoinChoice, CoinResolver
from services.api.imports.entries import (
    BadLine,
    Ignored,
    IgnoredLine,
    ImportedEntry,
    ProblemLine,
    Result,
    Row,
)
from services.api.imports.formats import OWN
from services.api.imports.lines import (
    LineStatus,
    PreparedLine,
    join_cells,
    make_identities,
    mark_known,
    problem,
)
from services.api.imports.market import PastMarket, read_past_market
from services.api.imports.options import ImportOptions
from services.api.imports.own_format import find_fields
from services.api.imports.reading import FileReading, ImportRequest, read_file
from services.api.portfolio.arithmetic import exact_arithmetic
from services.api.portfolio.identities import find_stored_identities, identify
from services.api.portfolio.models import Oversold, Transaction
from services.api.portfolio.price_book import Wanted
from services.api.portfolio.transactions import list_transactions
from services.api.portfolio.valuation import ensure_not_oversold
from services.api.transaction_input import TransactionReader

STORED_COINS = "SELECT coin_id, symbol, name, rank FROM sentinel.coins"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedFile:
    """The lines of a file, and whether the portfolio could take them."""

    reading: FileReading
    lines: tuple[PreparedLine, ...]
    # What an import stores, each with its identity.
    new_transactions: list[tuple[Transaction, str]]
    # Why they cannot be stored together; empty if they can.
    conflict: str

    def count(self, status: LineStatus) -> int:
        """Return how many lines have a status."""
        return sum(line.status == status for line in self.lines)


@exact_arithmetic()
def prepare_file(
    context: ApiContext, connection: Connection, content: bytes, request: ImportRequest
) -> PreparedFile:
    """Return what a file would add. Raises UnreadableFile."""
    reading = read_file(content, request)
    coins = _make_resolver(context, connection, request.options)
    if reading.format == OWN:
        lines = _prepare_own(context, connection, reading, request.options, coins)
    else:
        lines = _prepare_entries(context, connection, reading, request.options, coins)
    identities = find_stored_identities(
        connection, (one for line in lines for one in line.identities)
    )
    stored = list_transactions(connection)
    similar = {(one.made_at, one.coin_id, one.quantity) for one in stored}
    lines = [mark_known(line, identities, similar) for line in lines]
    new = [
        (line.rows[0].number, transaction, identity)
        for line in lines
        if line.status == "new"
        for transaction, identity in zip(line.transactions, line.identities, strict=True)
        # The sale of a fee stays when its trade is deleted.
        if identity not in identities
    ]
    return PreparedFile(
        reading=reading,
        lines=tuple(lines),
        new_transactions=[(transaction, identity) for _, transaction, identity in new],
        conflict=_find_conflict([(number, one) for number, one, _ in new], stored),
    )


def _make_resolver(
    context: ApiContext, connection: Connection, options: ImportOptions
) -> CoinResolver:
    """Return a resolver over the registry and the coins that were ever stored."""
    registry = load_registry(context.monitor.settings)
    listed = (
        CoinChoice(coin.id, coin.symbol, coin.name, coin.rank, coin.status == "active")
        for coin in registry.coins.values()
    )
    stored = (CoinChoice(*row) for row in connection.execute(STORED_COINS))
    return CoinResolver((*listed, *stored), options.coins)


def _prepare_own(
    context: ApiContext,
    connection: Connection,
    reading: FileReading,
    options: ImportOptions,
    coins: CoinResolver,
) -> list[PreparedLine]:
    reader = TransactionReader(context, connection)
    lines = [problem(one.rows, one.message) for one in reading.table.problems]
    read: list[tuple[Row, Transaction]] = []
    for row in reading.table.rows:
        try:
            fields = find_fields(row, reading.dialect, options, coins)
            read.append((row, reader.read_fields(fields)))
        except BadLine as error:
            lines.append(problem((row,), str(error), error.asks))
        except HTTPException as error:
            lines.append(problem((row,), str(error.detail)))
    identified = identify(connection, (transaction for _, transaction in read))
    for (row, transaction), (_, identity) in zip(read, identified, strict=True):
        to_coin = coins.find(transaction.to_coin_id) if transaction.to_coin_id else None
        built = BuiltEntry(
            transactions=(transaction,), coin=coins.find(transaction.coin_id), to_coin=to_coin
        )
        lines.append(PreparedLine(rows=(row,), status="new", built=built, identities=(identity,)))
    return sorted(lines, key=lambda line: line.rows[0].number)


def _prepare_entries(
    context: ApiContext,
    connection: Connection,
    reading: FileReading,
    options: ImportOptions,
    coins: CoinResolver,
) -> list[PreparedLine]:
    results = [_check_time(result, context.now()) for result in reading.results]
    entries = [result for result in results if isinstance(result, ImportedEntry)]
    market = read_past_market(
        context,
        connection,
        {entry.made_at for entry in entries},
        {pair for entry in entries for pair in _list_needed(entry, options, coins)},
    )
    occurrences: Counter[str] = Counter()
    lines: list[PreparedLine] = []
    for result in results:
        if isinstance(result, IgnoredLine):
            lines.append(PreparedLine(rows=result.rows, status="ignored", message=result.reason))
        elif isinstance(result, ProblemLine):
            lines.append(problem(result.rows, result.message, result.asks))
        else:
            key = join_cells(reading.format or "", result.rows)
            occurrences[key] += 1
            line = _prepare_entry(result, options, coins, market, reading.name)
            identities = make_identities(key, occurrences[key], len(line.transactions))
            lines.append(replace(line, identities=identities))
    return lines


def _check_time(result: Result, now: datetime) -> Result:
    if not isinstance(result, ImportedEntry):
        return result
    at = result.made_at
    if at > now + MAX_CLOCK_SKEW:
        return ProblemLine(result.rows, f"{at.isoformat()} is in the future.")
    if at.year not in YEARS:
        return ProblemLine(
            result.rows, f"{at.isoformat()} is before {YEARS[0]}, when no coin had a price."
        )
    return result


def _list_needed(
    entry: ImportedEntry, options: ImportOptions, coins: CoinResolver
) -> Iterator[Wanted]:
    # build_entry reports a symbol that means no coin.
    with contextlib.suppress(BadLine):
        yield from list_needed_prices(entry, options, coins)


def _prepare_entry(
    entry: ImportedEntry,
    options: ImportOptions,
    coins: CoinResolver,
    market: PastMarket,
    source: str,
) -> PreparedLine:
    try:
        built = build_entry(entry, options, coins, market, source)
    except BadLine as error:
        return problem(entry.rows, str(error), error.asks)
    except Ignored as reason:
        return PreparedLine(rows=entry.rows, status="ignored", message=str(reason))
    return PreparedLine(rows=entry.rows, status="new", message=built.message, built=built)


def _find_conflict(new: Sequence[tuple[int, Transaction]], stored: Iterable[Transaction]) -> str:
    """Return why new transactions, with their lines, cannot be stored; empty if they can."""
    try:
        ensure_not_oversold((*stored, *(transaction for _, transaction in new)))
    except Oversold as error:
        numbers = (
            number
            for number, one in new
            if (one.coin_id, one.made_at) == (error.coin_id, error.made_at)
            and (one.quantity < 0 or one.to_wallet is not None)
        )
        line = next((f"Line {number}: " for number in numbers), "")
        return (
            f"{line}{error} Import the file that has the purchase or the deposit first, or add it "
            "by hand."
        )
    return ""
