"""Verify a dump: restore it into a scratch database of the embedded server and compare."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg

from sentinel.storage import embedded, error_hints
from sentinel.storage.connection import Address, open_connection
from services.backup import checksums, pg_dump
from services.backup.checksums import DatabaseContents
from services.backup.manifest import BackupFailed

SCRATCH_DATABASE = "market_sentinel_scratch"
# template1 may hold objects that an administrator added; template0 never does.
CREATE_SCRATCH = f"CREATE DATABASE {SCRATCH_DATABASE} TEMPLATE template0 ENCODING 'UTF8'"
DROP_SCRATCH = f"DROP DATABASE IF EXISTS {SCRATCH_DATABASE} WITH (FORCE)"


def verify_dump(dump: Path, expected: DatabaseContents, state_dir: Path) -> list[str]:
    """Restore a dump into a scratch database; return what differs from `expected`.

    Raises BackupFailed if it cannot be restored, StorageUnavailable without the embedded server.
    """
    with embedded.ensure_running(state_dir) as conninfo:
        try:
            with _scratch_database(conninfo) as scratch:
                pg_dump.restore_dump(dump, scratch)
                return checksums.list_differences(expected, read_database(scratch))
        except psycopg.Error as error:
            raise BackupFailed(
                f"The dump cannot be verified: {error_hints.explain(error, SCRATCH_DATABASE)}"
            ) from error


def read_database(address: Address) -> DatabaseContents:
    """Return the contents of a database. Raises psycopg.Error."""
    with open_connection(address) as connection, connection.transaction():
        return checksums.read_contents(connection)


@contextlib.contextmanager
def _scratch_database(conninfo: str) -> Iterator[Address]:
    """Yield an empty database, which is dropped afterwards."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(DROP_SCRATCH)  # a killed backup may have left one
        connection.execute(CREATE_SCRATCH)
        try:
            conninfo = psycopg.conninfo.make_conninfo(conninfo, dbname=SCRATCH_DATABASE)
            yield Address(conninfo, "the scratch database")
        finally:
            with contextlib.suppress(psycopg.Error):
                connection.execute(DROP_SCRATCH)
