"""The PostgreSQL schema `sentinel`: migrations, version, removal.

All tables and types are in the schema `sentinel`; the view `public.market_data` is the only object
outside it. A migration is a file `migrations/NNN_subject.sql`; its number is the version it leads
to. Applied files never change: a change is a new file with the next number.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg

from safe_zone import LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS, Settings
from sentinel.errors import ConfigurationError
from sentinel.storage.connection import Connection, Session, resolve_database
from sentinel.storage.locks import take_writer_lock
from sentinel.storage.preconditions import refuse_unusable_database

_MIGRATIONS = Path(__file__).parent / "migrations"
MARKET_DATA_VIEW = _MIGRATIONS / "market_data.sql"

# The version, the partitions and the view: one round trip at the start of each write.
SCHEMA_STATE = """
SELECT (SELECT max(version) FROM sentinel.schema_version) AS version,
       (SELECT coalesce(array_agg(c.relname::text), '{}')
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'sentinel.observations'::regclass) AS partition_names,
       coalesce(obj_description(to_regclass('public.market_data'), 'pg_class')
                LIKE 'Market Sentinel:%', false) AS has_view
"""
HAS_SCHEMA = "SELECT to_regclass('sentinel.schema_version') IS NOT NULL"

# CREATE SCHEMA IF NOT EXISTS needs a privilege on the database even if the schema exists.
CREATE_SCHEMA = """
DO $$ BEGIN
    IF to_regnamespace('sentinel') IS NULL THEN
        CREATE SCHEMA sentinel;
    END IF;
END $$;
CREATE TABLE IF NOT EXISTS sentinel.schema_version (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
READ_VERSION = "SELECT coalesce(max(version), 0) FROM sentinel.schema_version"
RECORD_VERSION = "INSERT INTO sentinel.schema_version (version) VALUES (%s)"

# Drops what the catalog lists, so that no list of tables is kept by hand. Without CASCADE: where
# another program's objects depend on ours, PostgreSQL refuses and names them.
DROP_SCHEMA = """
DO $$
DECLARE
    names text;
BEGIN
    IF obj_description(to_regclass('public.market_data'), 'pg_class') LIKE 'Market Sentinel:%' THEN
        DROP VIEW public.market_data;
    END IF;
    SELECT string_agg(format('sentinel.%I', relname), ', ') INTO names
    FROM pg_class
    WHERE relnamespace = to_regnamespace('sentinel') AND relkind = 'v';
    IF names IS NOT NULL THEN
        EXECUTE 'DROP VIEW ' || names;
    END IF;
    SELECT string_agg(format('sentinel.%I', relname), ', ') INTO names
    FROM pg_class
    WHERE relnamespace = to_regnamespace('sentinel') AND relkind IN ('r', 'p')
      AND NOT relispartition;
    IF names IS NOT NULL THEN
        EXECUTE 'DROP TABLE ' || names;
    END IF;
    SELECT string_agg(format('sentinel.%I', typname), ', ') INTO names
    FROM pg_type
    WHERE typnamespace = to_regnamespace('sentinel') AND typtype = 'e';
    IF names IS NOT NULL THEN
        EXECUTE 'DROP TYPE ' || names;
    END IF;
END $$;
DROP SCHEMA IF EXISTS sentinel;
"""


class SchemaState(NamedTuple):
    """What the database has of the schema: its version, the names of the partitions of
    `observations`, and whether the view `market_data` exists."""

    version: int | None
    partition_names: list[str]
    has_view: bool


def has_schema(connection: Connection) -> bool:
    """Return whether a run has ever stored anything in this database."""
    [(found,)] = connection.execute(HAS_SCHEMA).fetchall()
    return bool(found)


def require_current(connection: Connection) -> SchemaState:
    """Return the schema's state where it is the one this code knows.

    Raises psycopg.errors.UndefinedTable where it is missing or older, ConfigurationError where it
    is newer.
    """
    [row] = connection.execute(SCHEMA_STATE).fetchall()
    state = SchemaState(*row)
    _refuse_newer(state.version or 0)
    if state.version != latest_version() or not state.has_view:
        raise psycopg.errors.UndefinedTable("the schema is not up to date")
    return state


def is_up_to_date(connection: Connection) -> bool:
    """Return whether the schema is the one this code knows.

    Raises ConfigurationError where it is newer.
    """
    try:
        require_current(connection)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return False
    return True


@contextlib.contextmanager
def open_session(settings: Settings) -> Iterator[Session]:
    """Yield a session at the configured database, its schema up to date.

    Raises ConfigurationError, StorageUnavailable.
    """
    with resolve_database(settings) as address, Session(address) as session:
        session.use(migrate_if_needed)
        yield session


def migrate_if_needed(connection: Connection) -> None:
    """Apply the migrations unless the schema is up to date. Raises as `apply_migrations`."""
    if not is_up_to_date(connection):
        apply_migrations(connection)


def apply_migrations(connection: Connection) -> None:
    """Apply the migrations that this database has not seen, all of them or none.

    Raises ConfigurationError where the schema is newer than this code, and as
    `refuse_unusable_database`.
    """
    with connection.transaction():
        take_writer_lock(connection, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS)
        refuse_unusable_database(connection)
        _migrate(connection, latest_version())
        connection.execute(MARKET_DATA_VIEW.read_bytes())


def recreate(connection: Connection, version: int) -> None:
    """Replace the schema by an empty one of `version`, in the caller's transaction.

    The view `market_data` is dropped; `apply_migrations` creates it. Raises ConfigurationError
    where this code does not know the version, and as `refuse_unusable_database`.
    """
    _refuse_newer(version, "The backup has schema version %s")
    take_writer_lock(connection, LOCK_TIMEOUT_SECONDS, 0)
    refuse_unusable_database(connection)
    connection.execute(DROP_SCHEMA)
    _migrate(connection, version)


def _migrate(connection: Connection, version: int) -> None:
    """Apply the migrations up to `version` that this database has not seen."""
    connection.execute(CREATE_SCHEMA)
    [(current,)] = connection.execute(READ_VERSION).fetchall()
    _refuse_newer(current)
    for number, path in migrations().items():
        if current < number <= version:
            connection.execute(path.read_bytes())
            connection.execute(RECORD_VERSION, [number])


def drop_schema(connection: Connection) -> None:
    """Drop the schema `sentinel` and the view `market_data`, with all data in them."""
    with connection.transaction():
        take_writer_lock(connection, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS)
        connection.execute(DROP_SCHEMA)


@functools.cache
def migrations() -> dict[int, Path]:
    """Return the migration files by the number in their names, in order."""
    paths = sorted(_MIGRATIONS.glob("[0-9]*_*.sql"))
    return {int(path.name.partition("_")[0]): path for path in paths}


def latest_version() -> int:
    """Return the version that this code knows."""
    return max(migrations())


def _refuse_newer(version: int, found: str = "The database has schema version %s") -> None:
    """Raise ConfigurationError where this code does not know the version."""
    if version > latest_version():
        raise ConfigurationError(
            f"{found % version}, this code knows {latest_version()}. Update the code: git pull"
        )
