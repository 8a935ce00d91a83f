"""Run a statement and return its rows as dictionaries."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row

from sentinel.storage.connection import Connection

Row = dict[str, Any]


def fetch_rows(connection: Connection, statement: str, parameters: Row | None = None) -> list[Row]:
    """Return all rows of a statement, each as a dictionary by column name."""
    # psycopg takes only literal strings or bytes, so that no value gets into a statement by
    # accident. All statements here are constants.
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), parameters).fetchall()


def fetch_first_row(
    connection: Connection, statement: str, parameters: Row | None = None
) -> Row | None:
    """Return the first row of a statement, None if there is no row."""
    rows = fetch_rows(connection, statement, parameters)
    return rows[0] if rows else None
