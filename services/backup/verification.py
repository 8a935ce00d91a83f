"""Restore a dump and compare; as a trial, in a scratch database of the embedded server."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sentinel.storage import egress, embedded, error_hints, schema
from sentinel.storage.connection import Address, Connection, open_connection
from services.backup import checksums
from services.backup.checksums import DatabaseContents
from services.backup.dump import load_dump
from services.backup.manifest import BackupFailed

SCRATCH_DATABASE = "market_sentinel_scratch"
# template1 may hold objects that an administrator added; template0 never does.
CREATE_SCRATCH = f"CREATE DATABASE {SCRATCH_DATABASE} TEMPLATE template0 ENCODING 'UTF8'"
DROP_SCRATCH = f"DROP DATABASE IF EXISTS {SCRATCH_DATABASE} WITH (FORCE)"


def verify_dump(dump: Path, expected: DatabaseContents, state_dir: Path) -> None:
    """Restore a dump into a scratch database and compare it with `expected`.

    Raises BackupFailed, StorageUnavailable without the embedded server.
    """
    with embedded.ensure_running(state_dir) as conninfo, _scratch_database(conninfo) as scratch:
        restore_dump(dump, expected, scratch, is_trial=True)


def restore_dump(
    dump: Path, expected: DatabaseContents, address: Address, *, is_trial: bool = False
) -> None:
    """Replace the schema sentinel with that of a dump, compare, and apply newer migrations.

    It is one transaction: after an error the database holds what it held before. A trial is rolled
    back in any case. The count of Neon's egress stays the database's own. Raises BackupFailed, and
    as `schema.recreate`.
    """
    try:
        with (
            connect_directly(address) as connection,
            connection.transaction(force_rollback=is_trial),
            egress.keep_count(connection),
        ):
            load_dump(connection, dump)
            _compare(connection, expected, dump)
            schema.apply_migrations(connection)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise BackupFailed(
            f"{dump.name} holds more than the migrations create ({error.diag.message_primary}): "
            "move tables and columns of your own out of the schema sentinel."
        ) from error
    except psycopg.Error as error:
        cause = error_hints.explain(error, address.display_name)
        raise BackupFailed(f"{dump.name} cannot be restored: {cause}") from error


def connect_directly(address: Address) -> Connection:
    """Connect without Neon's pooler, which is not for dumps. Raises psycopg.Error.

    https://neon.com/docs/connect/connection-pooling
    """
    return open_connection(bypass_pooler(address))


def bypass_pooler(address: Address) -> Address:
    """Return the address of the same database without Neon's pooler."""
    host = str(conninfo_to_dict(address.conninfo).get("host") or "")
    direct_host = re.sub(r"(^|,)(ep-[^.,]+)-pooler\.", r"\1\2.", host)
    if direct_host == host:
        return address
    return Address(make_conninfo(address.conninfo, host=direct_host), address.display_name)


def _compare(connection: Connection, expected: DatabaseContents, dump: Path) -> None:
    # Reading the contents changes settings; the rollback restores them.
    with connection.transaction(force_rollback=True):
        found = checksums.read_contents(connection)
    if differences := checksums.list_differences(expected, found):
        raise BackupFailed(
            f"A database restored from {dump.name} differs from the original: "
            f"{checksums.summarize(differences)}."
        )


@contextlib.contextmanager
def _scratch_database(conninfo: str) -> Iterator[Address]:
    """Yield an empty database, which is dropped afterwards.

    Raises BackupFailed if it cannot be created, for example because the disk is full.
    """
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(psycopg.connect(conninfo, autocommit=True))
            connection.execute(DROP_SCRATCH)  # a killed backup may have left one
            connection.execute(CREATE_SCRATCH)
        except psycopg.Error as error:
            cause = error_hints.explain(error, SCRATCH_DATABASE)
            raise BackupFailed(f"The dump cannot be restored on trial: {cause}") from error
        try:
            conninfo = make_conninfo(conninfo, dbname=SCRATCH_DATABASE)
            yield Address(conninfo, "the scratch database")
        finally:
            with contextlib.suppress(psycopg.Error):
                connection.execute(DROP_SCRATCH)
