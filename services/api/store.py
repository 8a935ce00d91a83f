"""The API's way to the database: a pool, a role that can only read, a version of what is stored."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import psycopg
import psycopg_pool

import postgres
import storage_faults
import tables
from errors import StorageUnavailable
from postgres import Address, Connection

log = logging.getLogger("sentinel.api.store")
T = TypeVar("T")

READER = "market_sentinel_reader"
CONNECTIONS = 8
WAIT_SECONDS = 5.0  # for a free connection, and for one statement of a request

CREATE_READER = f"CREATE ROLE {READER} NOLOGIN"
LET_READ = (
    f"GRANT {READER} TO CURRENT_USER",
    f"GRANT USAGE ON SCHEMA public TO {READER}",
    f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}",
)
MAY_READ = """
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %(role)s)
       AND pg_has_role(%(role)s, 'MEMBER')
       AND bool_and(has_table_privilege(%(role)s, t, 'SELECT'))
FROM unnest(ARRAY['coins', 'observations', 'market_data', 'alerts', 'alert_trackers', 'forecasts',
                  'forecast_scores', 'transactions', 'heartbeats', 'pipeline_runs', 'outbox',
                  'given_up_gaps', 'fx_rates', 'schema_version']) AS t
"""
READER_EXISTS = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %(role)s)"

# Both for one transaction, so that it also holds behind a transaction pooler.
AS_READER = f"SET LOCAL ROLE {READER}; SET TRANSACTION READ ONLY"
READ_ONLY = "SET TRANSACTION READ ONLY"
TIMEOUT = "SELECT set_config('statement_timeout', %s, true)"

# Changes with every transaction that has written anything.
# https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
VERSION = "SELECT pg_current_snapshot()::text"


class Store:
    """A pool of connections that is opened once and mends itself."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._has_reader: bool | None = None
        self._pool = psycopg_pool.ConnectionPool(
            address.conninfo,
            connection_class=Connection,
            kwargs=postgres.connection_options(address),
            configure=postgres.speak_utc,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=WAIT_SECONDS,
            open=False,
        )

    def open(self) -> None:
        """Begin to connect, without waiting: the API answers 503 until the database does."""
        self._pool.open(wait=False)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that can only read. Raises StorageUnavailable."""
        try:
            return self._read_once(work)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
            self._has_reader = None  # a new or emptied database: make what is missing, once
        except psycopg.OperationalError as error:
            if not storage_faults.is_transient(error):
                raise self._unavailable(error) from error
            self._pool.check()  # the server was restarted: all connections may be broken
        except psycopg.Error as error:
            raise self._unavailable(error) from error
        try:
            return self._read_once(work)
        except psycopg.Error as error:
            raise self._unavailable(error) from error

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction. Raises StorageUnavailable."""
        try:
            with self._pool.connection() as connection, connection.transaction():
                self._prepare(connection)
                connection.execute(TIMEOUT, [f"{WAIT_SECONDS}s"])
                return work(connection)
        except psycopg.Error as error:
            raise self._unavailable(error) from error

    def version(self) -> str:
        """A text that changes whenever something was written. Raises StorageUnavailable."""
        return self.read(lambda c: str(c.execute(VERSION).fetchall()[0][0]))

    def _read_once(self, work: Callable[[Connection], T]) -> T:
        with self._pool.connection() as connection:
            if self._has_reader is None:
                self._prepare(connection)
            with connection.transaction():
                connection.execute(AS_READER if self._has_reader else READ_ONLY)
                connection.execute(TIMEOUT, [f"{WAIT_SECONDS}s"])
                return work(connection)

    def _prepare(self, connection: Connection) -> None:
        """Bring the schema up to date and see to the reader."""
        if self._has_reader is not None:
            return
        if not tables.is_up_to_date(connection):
            tables.init_db(connection)
        self._has_reader = _ensure_reader(connection)

    def _unavailable(self, error: psycopg.Error) -> StorageUnavailable:
        self._has_reader = None
        return StorageUnavailable(storage_faults.explain(error, self._address.place))


def _ensure_reader(connection: Connection) -> bool:
    """Make the role where it is missing; False where this login may not, which is said."""
    role = {"role": READER}
    try:
        if connection.execute(READER_EXISTS, role).fetchall() == [(False,)]:
            connection.execute(CREATE_READER)
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        pass  # another API made it meanwhile
    except psycopg.errors.InsufficientPrivilege:
        log.warning(
            "this login may not make the role %s: reads are kept to reading by their transactions "
            "alone. Grant it CREATEROLE, or make the role for it.",
            READER,
        )
        return False
    if connection.execute(MAY_READ, role).fetchall() != [(True,)]:
        with connection.transaction():
            for statement in LET_READ:
                connection.execute(statement)
    return True
