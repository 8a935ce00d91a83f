"""Import the prices of the original project's table `market_data`.

Without options the table is in the database of DATABASE_URL. There it is renamed to
`market_data_original`, because the view `market_data` needs its name. No row is changed or deleted.
The import may be repeated and continues after a kill: what is stored already stays as it is.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import budget_monitor
import database
from coin_registry import CoinRegistry
from pipeline.original_table import (
    NAMES,
    READ_ONLY,
    UNKNOWN_SYMBOL,
    OriginalRow,
    find_table,
    move_aside,
)
from pipeline.targets import load_registry
from safe_zone import RETENTION, load_settings
from sentinel import console
from sentinel.arguments import make_parser
from sentinel.coin import Coin, coin_from_list
from sentinel.errors import EXIT_OK, ConfigurationError
from sentinel.models import CoinLabel, LoadCounts, MarketRow
from sentinel.process import run_as_script
from sentinel.storage import schema
from sentinel.storage.connection import (
    Address,
    Connection,
    Session,
    parse_address,
    resolve_database,
)
from sentinel.storage.partitions import Days
from sentinel.storage.queries.stored_points import find_lacking_rows
from transform import validate_entry

STORAGE = """
SELECT pg_database_size(current_database()), (SELECT count(*) FROM sentinel.observations)
"""
ROW_BYTES = 110  # of an imported row with its index: measured with 500,000 rows

EPILOG = """examples:
  python -m pipeline.import_original
  python -m pipeline.import_original --from postgresql://USER:PASSWORD@HOST/DATABASE
docs/migrate-from-the-original.md has all steps."""


@dataclass(slots=True)
class ImportResult:
    """What an import did, in rows."""

    table: str
    # All rows of the table, and those that are older than the retention, which are not imported.
    rows: int
    expired: int
    imported: int = 0
    # Rejected rows by reason, and an example of each.
    rejected: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def stored_before(self) -> int:
        """Rows that the database had already, or that the table holds twice."""
        return self.rows - self.expired - self.imported - self.rejected.total()

    def reject(self, row: OriginalRow, reason: str) -> None:
        """Count a row that is not imported."""
        self.rejected[reason] += 1
        self.examples.setdefault(reason, f"{row.coin_id!r:.60} with price {row.price!s:.30}")


def import_rows(
    source: Connection,
    target: Session,
    registry: CoinRegistry,
    now: datetime,
    names: Sequence[str] = NAMES,
    quota_bytes: float | None = None,
    progress: console.Progress = lambda _stage, _done, _total: None,
) -> ImportResult:
    """Load the valid rows of the retention window into the database of `target`.

    Each batch is one transaction there. `names` are the tables to look for, `quota_bytes` is the
    size that the database may reach. Raises as `find_table`, ConfigurationError if the quota does
    not suffice, and StorageUnavailable or psycopg.Error.
    """

    @functools.cache
    def find_coin(coin_id: str | None, symbol: str | None) -> Coin | None:
        symbol = "" if symbol in (None, UNKNOWN_SYMBOL) else symbol
        listed = {"id": coin_id, "symbol": symbol, "name": coin_id}
        return registry.coins.get(coin_id or "") or coin_from_list(listed)

    with source.transaction():
        source.execute(READ_ONLY)
        table, oldest = find_table(source, names), now - RETENTION
        result = ImportResult(table.name, *table.count_rows(source, oldest))
        _refuse_without_room(target, result.rows - result.expired, quota_bytes)
        done = 0
        for batch in table.read(source, oldest):
            rows, labels = _validate(batch, find_coin, now, result)
            load = functools.partial(_load, rows, labels)
            counts = database.run_write_without_purge(target, load)
            result.imported += counts.inserted + counts.updated
            done += len(batch)
            progress("importing", done, result.rows - result.expired)
    return result


def _refuse_without_room(target: Session, rows: int, quota_bytes: float | None) -> None:
    """Raise ConfigurationError if the rows would fill the storage, which would stop all runs."""
    [(used, stored)] = target.use(lambda connection: connection.execute(STORAGE).fetchall())
    needed = max(0, rows - stored) * ROW_BYTES
    if quota_bytes is not None and used + needed > quota_bytes:
        raise ConfigurationError(
            f"The import needs about {needed / 1e6:,.0f} MB, and {used / 1e6:,.0f} of "
            f"{quota_bytes / 1e6:,.0f} MB (neon_storage_bytes) are used. Set DATABASE_URL to "
            "another database and name this one with --from, or delete rows of the old table."
        )


def _validate(
    batch: Sequence[OriginalRow],
    find_coin: Callable[[str | None, str | None], Coin | None],
    now: datetime,
    result: ImportResult,
) -> tuple[list[MarketRow], dict[str, CoinLabel]]:
    """Return the valid rows and the labels of their coins; count the others in `result`."""
    rows: list[MarketRow] = []
    labels: dict[str, CoinLabel] = {}
    for row in batch:
        coin = find_coin(row.coin_id, row.symbol)
        found = validate_entry(row.to_entry(), coin.id, now) if coin else "malformed"
        if isinstance(found, MarketRow) and coin:
            rows.append(found)
            labels[coin.id] = coin.label
        else:
            result.reject(row, str(found))
    return rows, labels


def _load(
    rows: Sequence[MarketRow], labels: Mapping[str, CoinLabel], connection: Connection, days: Days
) -> LoadCounts:
    lacking = find_lacking_rows(connection, rows)
    return database.load_batch(connection, lacking, labels.get, days)


# --- the command line ------------------------------------------------------------------------


def main() -> int:
    """Import the table that the command line names, and print what happened; return 0."""
    parser = make_parser("python -m pipeline.import_original", __doc__, EPILOG)
    parser.add_argument(
        "--from", dest="source", metavar="ADDRESS", help="the database with the table"
    )
    parser.add_argument("--table", help=f"its name (default {' or '.join(NAMES)})")
    arguments = parser.parse_args()
    settings, now = load_settings(), datetime.now(UTC)
    names = (arguments.table,) if arguments.table else NAMES
    source = _parse_source(arguments.source) if arguments.source else None
    # Only Neon's storage has a quota.
    is_metered = budget_monitor.is_metered(settings)
    quota_bytes = settings.quotas["neon_storage_bytes"] if is_metered else None
    registry = load_registry(settings.registry_path, now, is_dry_run=True)
    with resolve_database(settings) as address, Session(address) as target:
        target.use(schema.migrate_if_needed if source else move_aside)
        with Session(source or address) as session, console.show_progress() as progress:
            result = session.use(
                lambda c: import_rows(c, target, registry, now, names, quota_bytes, progress)
            )
    _print(result)
    return EXIT_OK


def _parse_source(url: str) -> Address:
    try:
        return parse_address(url)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace("DATABASE_URL", "--from")) from None


def _print(result: ImportResult) -> None:
    print(
        f"{result.table}: {result.rows:,} rows. {result.imported:,} were imported, "
        f"{result.stored_before:,} were stored before."
    )
    for reason, count in result.rejected.most_common():
        print(f"  rejected as {reason}: {count:,}, such as {result.examples[reason]}")
    if result.expired:
        print(f"  older than {RETENTION.days} days, not imported: {result.expired:,}")
    print(f"All rows of {result.table} are unchanged. Drop the table when you need it no more.")


if __name__ == "__main__":
    run_as_script(main)
