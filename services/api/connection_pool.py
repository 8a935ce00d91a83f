"""The API's access to the database: a connection pool, read-only transactions, a data version."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
import psycopg_pool
from psycopg.conninfo import make_conninfo

from sentinel.budget import neon_api
from sentinel.errors import StorageUnavailable
from sentinel.storage import egress, error_hints, schema
from sentinel.storage.connection import (
    Address,
    Connection,
    connection_options,
    open_connection,
    prepare_connection,
)

T = TypeVar("T")

MAX_CONNECTIONS = 8
# For a free connection, and for each statement of a request.
TIMEOUT_SECONDS = 5.0
RECONNECT_SECONDS = 5.0
CAUSE_TIMEOUT_SECONDS = 2  # libpq's shortest; a wrong password is refused at once
# After a failed connection, requests fail at once for this long instead of queuing up.
DOWN_SECONDS = 1.0

# LOCAL to the transaction (`true`), because a transaction pooler gives the session to others
# afterwards.
SET_TIMEOUT = "SELECT set_config('statement_timeout', %s, true)"

# The snapshot changes with every transaction that has written anything.
# https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
DATA_VERSION = "SELECT pg_current_snapshot()::text"


class ConnectionPool:
    """A pool of connections that reconnects by itself when the database comes back."""

    def __init__(self, address: Address) -> None:
        self.address = address
        # Whether the schema is known to be up to date.
        self._is_migrated = False
        # Until when requests fail at once, and with which message.
        self._down: tuple[float, str] | None = None
        self._pool = psycopg_pool.ConnectionPool(
            address.conninfo,
            connection_class=Connection,
            kwargs=connection_options(address),
            configure=prepare_connection,
            min_size=1,
            max_size=MAX_CONNECTIONS,
            timeout=TIMEOUT_SECONDS,
            # The pool doubles its pauses between attempts up to this time; the next request after
            # it starts the attempts again.
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
        )

    def open(self) -> None:
        """Start connecting without waiting: the API responds with 503 until it has a connection."""
        self._pool.open(wait=False)

    def close(self) -> None:
        """Close all connections, after what they received from Neon is recorded."""
        if neon_api.endpoint_of(self.address.conninfo):
            with contextlib.suppress(psycopg.Error), self._pool.connection() as connection:
                egress.record(connection)
        self._pool.close()

    def read(self, work: Callable[[Connection], T], *, uses_copy: bool = False) -> T:
        """Run `work` in a read-only transaction over one snapshot and return its result.

        PostgreSQL rejects a write of `work`, and fixes the mode at the transaction's first query.
        Set `uses_copy` if `work` uses COPY, which pipeline mode cannot send. Raises
        StorageUnavailable.
        """

        def attempt(connection: Connection) -> T:
            try:
                # In pipeline mode BEGIN and COMMIT share a round trip with the statements beside
                # them: two round trips instead of six. One snapshot, because a response may be
                # put together from several statements.
                with contextlib.nullcontext() if uses_copy else connection.pipeline():
                    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                    connection.execute(SET_TIMEOUT, [f"{TIMEOUT_SECONDS}s"])
                    result = work(connection)
                    connection.execute("COMMIT")
                    return result
            except psycopg.OperationalError as error:
                if error_hints.is_transient(error):
                    raise _ConnectionBroken(error) from error  # a read can be repeated
                raise

        return self._run(attempt)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction and return its result. Raises StorageUnavailable.

        `work` is repeated only if the connection broke before `work` began.
        """

        def attempt(connection: Connection) -> T:
            try:
                connection.execute("SELECT 1")
            except psycopg.OperationalError as error:
                raise _ConnectionBroken(error) from error
            with connection.transaction():
                connection.execute(SET_TIMEOUT, [f"{TIMEOUT_SECONDS}s"])
                return work(connection)

        return self._run(attempt)

    def read_data_version(self) -> str:
        """Return a text that changes with every write. Raises StorageUnavailable."""
        return self.read(lambda c: str(c.execute(DATA_VERSION).fetchall()[0][0]))

    def _run(self, attempt: Callable[[Connection], T]) -> T:
        if self._down and time.monotonic() < self._down[0]:
            raise StorageUnavailable(self._down[1])
        try:
            try:
                return self._run_once(attempt)
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                self._is_migrated = False  # the database was emptied: migrate it again
            except _ConnectionBroken:
                self._pool.check()  # after a server restart all connections may be broken
            return self._run_once(attempt)
        except psycopg.Error as error:
            self._is_migrated = False
            is_down = isinstance(error, psycopg_pool.PoolTimeout)
            cause = self._find_cause(error) if is_down else error
            message = error_hints.explain(cause, self.address.display_name)
            if is_down:
                self._down = (time.monotonic() + DOWN_SECONDS, message)
            raise StorageUnavailable(message) from error
        except _ConnectionBroken as error:
            message = error_hints.explain(error.cause, self.address.display_name)
            raise StorageUnavailable(message) from error

    def _find_cause(self, timeout: psycopg.Error) -> psycopg.Error:
        """Return why no connection can be opened: the pool says only that it waited in vain."""
        conninfo = make_conninfo(self.address.conninfo, connect_timeout=CAUSE_TIMEOUT_SECONDS)
        try:
            open_connection(Address(conninfo, self.address.display_name)).close()
        except psycopg.Error as error:
            return error
        return timeout  # all connections are in use, or the database is back

    def _run_once(self, attempt: Callable[[Connection], T]) -> T:
        with self._pool.connection() as connection:
            try:
                if not self._is_migrated:
                    schema.migrate_if_needed(connection)
                    self._is_migrated = True
            except psycopg.OperationalError as error:
                raise _ConnectionBroken(error) from error
            result = attempt(connection)
            egress.record_if_due(connection)
            return result


class _ConnectionBroken(Exception):
    """A pooled connection was found broken before it did any work."""

    def __init__(self, cause: psycopg.Error) -> None:
        super().__init__(str(cause))
        self.cause = cause
