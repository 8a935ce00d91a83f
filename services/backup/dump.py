"""The dump file: each table's rows in PostgreSQL's COPY text format, one table per zip member.

The definitions of the tables are not in it: the migrations create them. The text format is the same
in every version of PostgreSQL, so a dump of one server can be loaded into another.

https://www.postgresql.org/docs/current/sql-copy.html
"""

from __future__ import annotations

import graphlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

from psycopg import sql
from psycopg.abc import Buffer
from pydantic import TypeAdapter, ValidationError

from sentinel.process import describe_error
from sentinel.storage import partitions, schema
from sentinel.storage.connection import Connection
from services.backup.checksums import DISABLE_TIMEOUTS, SET_CANONICAL_OUTPUT
from services.backup.manifest import BackupFailed

BLOCK_BYTES = 1 << 18
# zlib's levels 1 to 9: a higher one takes longer and saves little (docs/decisions.md).
COMPRESSION_LEVEL = 3
HEADER_MEMBER = "header.json"

# The columns of each table, and the tables that its foreign keys name. Partitions are tables here;
# the partitioned table itself has no rows.
READ_TABLES = """
SELECT c.relname::text,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               AND a.attgenerated = ''
             ORDER BY a.attnum),
       ARRAY(SELECT r.relname::text FROM pg_constraint k JOIN pg_class r ON r.oid = k.confrelid
             WHERE k.conrelid = c.oid AND k.confrelid <> c.oid)
FROM pg_class c
WHERE c.relnamespace = to_regnamespace('sentinel') AND c.relkind = 'r'
ORDER BY 1
"""
READ_SEQUENCES = """
SELECT relname::text
FROM pg_class
WHERE relnamespace = to_regnamespace('sentinel') AND relkind = 'S'
"""
# A sequence does not belong to the snapshot: it may be ahead of the rows, but never behind. The
# view pg_sequences would hide the value from a user without the privilege; this raises an error.
READ_SEQUENCE: LiteralString = "SELECT last_value, is_called FROM {sequence}"
COPY_OUT: LiteralString = "COPY {table} ({columns}) TO STDOUT (ENCODING 'UTF8')"
# FREEZE: the table is new in this transaction, so its rows need no vacuum later.
COPY_IN: LiteralString = "COPY {table} ({columns}) FROM STDIN (FREEZE, ENCODING 'UTF8')"
# The migrations fill schema_version themselves.
DELETE_ROWS: LiteralString = "DELETE FROM {table}"
SET_SEQUENCE = "SELECT setval(format('sentinel.%%I', %s::text)::regclass, %s, %s)"


@dataclass(frozen=True, slots=True)
class DumpHeader:
    """What a dump holds."""

    # The number of the last migration that the database had.
    schema_version: int
    # The columns of each table. A table follows those that its foreign keys name.
    tables: dict[str, list[str]]
    # Of the identity columns: the last value, and whether a row has taken it.
    sequences: dict[str, tuple[int, bool]]


_HEADER = TypeAdapter(DumpHeader)


def write_dump(connection: Connection, path: Path) -> None:
    """Write the rows that the caller's transaction sees to `path`, and sync it.

    Holds one block of a table in memory at a time. Changes the settings of the transaction. Raises
    OSError, psycopg.Error.
    """
    connection.execute(SET_CANONICAL_OUTPUT)
    # Only the owner can read it: it holds a portfolio.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with zipfile.ZipFile(
            file, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL
        ) as archive:
            header = _describe_schema(connection)
            archive.writestr(HEADER_MEMBER, _HEADER.dump_json(header, indent=1))
            for table, columns in header.tables.items():
                _write_table(connection, archive, table, columns)
        file.flush()
        os.fsync(file.fileno())


def load_dump(connection: Connection, path: Path) -> None:
    """Replace the schema sentinel by that of a dump, in the caller's transaction.

    Raises BackupFailed if the file is damaged or does not fit its schema version, psycopg.Error,
    and as `schema.recreate`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            header = _HEADER.validate_json(archive.read(HEADER_MEMBER))
            connection.execute(DISABLE_TIMEOUTS)
            schema.recreate(connection, header.schema_version)
            days = {day for table in header.tables if (day := partitions.day_of_partition(table))}
            partitions.create_partitions(connection, set(), days)
            for table, columns in header.tables.items():
                _load_table(connection, archive, table, columns)
    except (OSError, EOFError, KeyError, ValidationError, zipfile.BadZipFile, zlib.error) as error:
        raise BackupFailed(
            f"{path.name} cannot be read: the file is damaged ({describe_error(error)})."
        ) from error
    for sequence, (value, is_called) in header.sequences.items():
        connection.execute(SET_SEQUENCE, [sequence, value, is_called])


def _describe_schema(connection: Connection) -> DumpHeader:
    [(version,)] = connection.execute(schema.READ_VERSION).fetchall()
    columns, references = {}, {}
    for table, columns_of_table, referenced in connection.execute(READ_TABLES):
        columns[table], references[table] = columns_of_table, referenced
    order = graphlib.TopologicalSorter(references).static_order()
    sequences = {}
    for (name,) in connection.execute(READ_SEQUENCES).fetchall():
        statement = sql.SQL(READ_SEQUENCE).format(sequence=sql.Identifier("sentinel", name))
        [sequences[name]] = connection.execute(statement).fetchall()
    return DumpHeader(version, {table: columns[table] for table in order}, sequences)


def _write_table(
    connection: Connection, archive: zipfile.ZipFile, table: str, columns: list[str]
) -> None:
    statement = _statement(COPY_OUT, table, columns)
    with (
        archive.open(_member(table), "w", force_zip64=True) as member,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for block in _in_blocks(copy):
            member.write(block)


def _load_table(
    connection: Connection, archive: zipfile.ZipFile, table: str, columns: list[str]
) -> None:
    connection.execute(_statement(DELETE_ROWS, table, columns))
    statement = _statement(COPY_IN, table, columns)
    with (
        archive.open(_member(table)) as member,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        while block := member.read(BLOCK_BYTES):
            copy.write(block)


def _in_blocks(rows: Iterable[Buffer]) -> Iterator[bytes]:
    """Join rows to blocks: compressing each row by itself takes far longer."""
    block = bytearray()
    for row in rows:
        block += row
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _statement(statement: LiteralString, table: str, columns: list[str]) -> sql.Composed:
    return sql.SQL(statement).format(
        table=sql.Identifier("sentinel", table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
    )


def _member(table: str) -> str:
    return f"{table}.copy"
