"""The API's way to the database: a pool, a role that can only read, a version of what is stored."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
import psycopg_pool

from sentinel.errors import StorageUnavailable
from sentinel.storage import error_hints, schema
from sentinel.storage.connection import Address, Connection, connection_options, return_utc

log = logging.getLogger("sentinel.api.store")
T = TypeVar("T")

READER = "market_sentinel_reader"
CONNECTIONS = 8
WAIT_SECONDS = 5.0  # for a free connection, and for one statement of a request
RECONNECT_SECONDS = 5.0
DOWN_SECONDS = 1.0  # a database found away is not looked for again so soon

CREATE_READER = f"CREATE ROLE {READER} NOLOGIN"
LET_BE = (f"GRANT {READER} TO CURRENT_USER",)
LET_READ = (
    f"GRANT USAGE ON SCHEMA public TO {READER}",
    f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}",
)
MAY_READ = """
SELECT bool_and(has_table_privilege(t, 'SELECT'))
FROM unnest(ARRAY['coins', 'observations', 'market_data', 'alerts', 'alert_trackers', 'forecasts',
                  'forecast_scores', 'transactions', 'heartbeats', 'pipeline_runs', 'outbox',
                  'rejections', 'unfillable_gaps', 'fx_rates', 'schema_version', 'wallets',
                  'wallet_events', 'archived_days']) AS t
"""

# For one transaction, so that it also holds behind a transaction pooler.
AS_READER = f"SET LOCAL ROLE {READER}"
TIMEOUT = "SELECT set_config('statement_timeout', %s, true)"

# Changes with every transaction that has written anything.
# https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
VERSION = "SELECT pg_current_snapshot()::text"


class Store:
    """A pool of connections that is opened once and mends itself."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._has_reader: bool | None = None
        self._down: tuple[float, str] | None = None
        self._pool = psycopg_pool.ConnectionPool(
            address.conninfo,
            connection_class=Connection,
            kwargs=connection_options(address),
            configure=return_utc,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=WAIT_SECONDS,
            # Its pauses between tries double up to this; whoever asks after that begins anew.
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
        )

    def open(self) -> None:
        """Begin to connect, without waiting: the API answers 503 until the database does."""
        self._pool.open(wait=False)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def read(self, work: Callable[[Connection], T], *, copies: bool = False) -> T:
        """Run `work` in a transaction that can only read; what `copies` (COPY) cannot be sent in
        pipeline mode. Raises StorageUnavailable."""

        def attempt(connection: Connection) -> T:
            try:
                # BEGIN and COMMIT travel with their neighbours: two round trips instead of six.
                with contextlib.nullcontext() if copies else connection.pipeline():
                    connection.execute("BEGIN READ ONLY")
                    if self._has_reader:
                        connection.execute(AS_READER)
                    connection.execute(TIMEOUT, [f"{WAIT_SECONDS}s"])
                    found = work(connection)
                    connection.execute("COMMIT")
                    return found
            except psycopg.OperationalError as error:
                if error_hints.is_transient(error):
                    raise _BrokenBefore(error) from error  # a read may be done again
                raise

        return self._run(attempt)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction. Raises StorageUnavailable.

        It is run again only where the connection broke before it began.
        """

        def attempt(connection: Connection) -> T:
            try:
                connection.execute("SELECT 1")
            except psycopg.OperationalError as error:
                raise _BrokenBefore(error) from error
            with connection.transaction():
                connection.execute(TIMEOUT, [f"{WAIT_SECONDS}s"])
                return work(connection)

        return self._run(attempt)

    def version(self) -> str:
        """A text that changes whenever something was written. Raises StorageUnavailable."""
        return self.read(lambda c: str(c.execute(VERSION).fetchall()[0][0]))

    def _run(self, attempt: Callable[[Connection], T]) -> T:
        if self._down and time.monotonic() < self._down[0]:
            raise StorageUnavailable(self._down[1])  # those who ask meanwhile do not queue up
        try:
            try:
                return self._once(attempt)
            except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
                self._has_reader = None  # an emptied database: make what is missing, once
            except _BrokenBefore:
                self._pool.check()  # the server was restarted: all connections may be broken
            return self._once(attempt)
        except psycopg.Error as error:
            self._has_reader = None
            text = error_hints.explain(error, self._address.place)
            if isinstance(error, psycopg_pool.PoolTimeout):
                self._down = (time.monotonic() + DOWN_SECONDS, text)
            raise StorageUnavailable(text) from error
        except _BrokenBefore as error:
            raise StorageUnavailable(
                error_hints.explain(error.cause, self._address.place)
            ) from error

    def _once(self, attempt: Callable[[Connection], T]) -> T:
        with self._pool.connection() as connection:
            try:
                if self._has_reader is None:
                    self._prepare(connection)
            except psycopg.OperationalError as error:
                raise _BrokenBefore(error) from error
            return attempt(connection)

    def _prepare(self, connection: Connection) -> None:
        """Bring the schema up to date and see to the reader."""
        schema.migrate_if_needed(connection)
        self._has_reader = _ensure_reader(connection)


class _BrokenBefore(Exception):
    """A connection of the pool turned out to be broken before anything was done over it."""

    def __init__(self, cause: psycopg.Error) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _ensure_reader(connection: Connection) -> bool:
    """Make the role where it is missing; False where this login may not, which is said."""
    if _can_read(connection):
        return True
    for statements in ((CREATE_READER,), LET_BE, LET_READ):
        # Each may be refused or done by another API meanwhile; what counts is the outcome.
        with (
            contextlib.suppress(
                psycopg.errors.InsufficientPrivilege,
                psycopg.errors.DuplicateObject,
                psycopg.errors.UniqueViolation,
                psycopg.errors.UndefinedObject,
            ),
            connection.transaction(),
        ):
            for statement in statements:
                connection.execute(statement)
    if _can_read(connection):
        return True
    log.warning(
        "this login may not make or use the role %s: reads are kept to reading by their "
        "transactions alone. Grant it CREATEROLE, or make the role and grant it to the login.",
        READER,
    )
    return False


def _can_read(connection: Connection) -> bool:
    """Whether the role is there, may be taken, and may read every table."""
    try:
        with connection.transaction():
            connection.execute(AS_READER)
            return connection.execute(MAY_READ).fetchall() == [(True,)]
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue):
        return False
