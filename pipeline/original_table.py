"""The table `market_data` of the original project: its columns, its name, its rows as entries.

It has the columns coin_id, symbol, price_usd, market_cap, volume_24h (numbers of any type, in USD)
and timestamp. Versions without some of them, or with other names, are read too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from safe_zone import LOAD_CHUNK_ROWS, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS
from sentinel.errors import ConfigurationError
from sentinel.storage import preconditions, schema
from sentinel.storage.connection import Connection
from sentinel.storage.locks import take_writer_lock

# Where the rows are, unless the user names another table: before and after `move_aside`.
NAMES = ("public.market_data", "public.market_data_original")
RENAME = "ALTER TABLE public.market_data RENAME TO market_data_original"
NEW_NAME_EXISTS = "SELECT to_regclass('public.market_data_original') IS NOT NULL"

# A table's columns and their types; nothing for a view, which is what market_data is afterwards.
READ_COLUMNS = """
SELECT a.attname::text, format_type(a.atttypid, NULL)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.oid = to_regclass(%s) AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
"""
PRICES = ("price_usd", "price")
MARKET_CAPS = ("market_cap", "market_cap_usd")
VOLUMES = ("volume_24h", "volume_24h_usd")
UNKNOWN_SYMBOL = "UNK"  # of a coin that the registry did not know
MISSING = sql.SQL("NULL")
TIME: LiteralString = '"timestamp"'
TIME_IN_UTC: LiteralString = "(\"timestamp\" AT TIME ZONE 'UTC')"

# One snapshot for the counts and the rows, in which nothing can be written.
READ_ONLY = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
COUNT_ROWS: LiteralString = """
SELECT count(*), count(*) FILTER (WHERE {time} < %(oldest)s) FROM {table}
"""
# Rows without a time come too: they are rejected, and not passed over.
READ_ROWS: LiteralString = """
SELECT coin_id::text AS coin_id, {symbol}::text AS symbol,
       extract(epoch FROM {time})::float8 AS seconds,
       {price} AS price, {market_cap} AS market_cap, {volume} AS volume
FROM {table}
WHERE {time} >= %(oldest)s OR {time} IS NULL
ORDER BY {time}
"""


class OriginalRow(NamedTuple):
    """One row, with numbers of the type that their column has."""

    coin_id: str | None
    symbol: str | None
    # UNIX time.
    seconds: float | None
    price: Any
    market_cap: Any
    volume: Any

    def to_entry(self) -> dict[str, Any]:
        """Return the row as `/simple/price` has it. The original stored unknown values as 0."""
        return {
            "usd": _to_float(self.price),
            "last_updated_at": self.seconds,
            "usd_market_cap": _to_float(self.market_cap) or None,
            "usd_24h_vol": _to_float(self.volume) or None,
        }


def _to_float(value: Any) -> Any:
    """Return a number of any type as a float; other values stay, so that they are rejected."""
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)


class OriginalTable(NamedTuple):
    """A table that was found, and the parts of a query that differ between its versions."""

    name: str
    parts: Mapping[str, sql.Composable]

    def count_rows(self, connection: Connection, oldest: datetime) -> tuple[int, int]:
        """Return the number of rows, and of those that are older than `oldest`."""
        query = sql.SQL(COUNT_ROWS).format(**self.parts)
        [(rows, expired)] = connection.execute(query, {"oldest": oldest}).fetchall()
        return rows, expired

    def read(self, connection: Connection, oldest: datetime) -> Iterator[list[OriginalRow]]:
        """Yield the other rows in batches, by time. Needs a transaction."""
        with connection.cursor("original_rows") as cursor:
            cursor.execute(sql.SQL(READ_ROWS).format(**self.parts), {"oldest": oldest})
            while rows := cursor.fetchmany(LOAD_CHUNK_ROWS):
                yield [OriginalRow(*row) for row in rows]


def move_aside(connection: Connection) -> None:
    """Rename the table and create the schema with its view `market_data`, both or neither.

    Only the schema is updated if there is no such table. Raises ConfigurationError.
    """
    with connection.transaction():
        take_writer_lock(connection, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS)
        if preconditions.has_original_table(connection):
            if connection.execute(NEW_NAME_EXISTS).fetchall() == [(True,)]:
                raise ConfigurationError(
                    "This database has both tables public.market_data and "
                    "public.market_data_original. Rename one of them, and import each with --table."
                )
            connection.execute(RENAME)
        schema.apply_migrations(connection)


def find_table(connection: Connection, names: Sequence[str] = NAMES) -> OriginalTable:
    """Return the first of these tables that exists.

    Raises ConfigurationError if there is none, or if it lacks a column that every version has.
    """
    for name in names:
        table = sql.Identifier(*name.split("."))
        found = connection.execute(READ_COLUMNS, [table.as_string(connection)]).fetchall()
        if found:
            return OriginalTable(name, {"table": table, **_choose_columns(name, dict(found))})
    raise ConfigurationError(
        f"There is no table {' or '.join(names)} to import. Name one with --table, or another "
        "database with --from."
    )


def _choose_columns(table: str, types: Mapping[str, str]) -> dict[str, sql.Composable]:
    def find(*names: str) -> sql.Composable:
        return next((sql.Identifier(name) for name in names if name in types), MISSING)

    price, time_type = find(*PRICES), types.get("timestamp", "")
    if "coin_id" not in types or price == MISSING or not time_type.startswith("timestamp"):
        raise ConfigurationError(
            f"The table {table} lacks coin_id, price_usd or timestamp, so it is not "
            "the original's. Name the right one with --table."
        )
    return {
        "time": sql.SQL(TIME if "with time zone" in time_type else TIME_IN_UTC),
        "price": price,
        "symbol": find("symbol"),
        "market_cap": find(*MARKET_CAPS),
        "volume": find(*VOLUMES),
    }
