"""The advisory lock of all writers, so that two runs never interleave."""

from __future__ import annotations

from sentinel.storage.connection import Connection

_WRITER_LOCK = 0x53454E54  # "SENT"

SET_TIMEOUTS = """
SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)
"""
TAKE_WRITER_LOCK = "SELECT pg_advisory_xact_lock(%s)"


def take_writer_lock(
    connection: Connection, lock_timeout_seconds: float, statement_timeout_seconds: float
) -> None:
    """Take the writers' lock until the transaction ends, and set its timeouts.

    Raises psycopg.errors.LockNotAvailable after `lock_timeout_seconds`.
    """
    set_timeouts(connection, lock_timeout_seconds, statement_timeout_seconds)
    connection.execute(TAKE_WRITER_LOCK, [_WRITER_LOCK])


def set_timeouts(
    connection: Connection, lock_timeout_seconds: float, statement_timeout_seconds: float
) -> None:
    """Limit each wait for a lock and each statement until the transaction ends."""
    timeouts = (f"{lock_timeout_seconds}s", f"{statement_timeout_seconds}s")
    connection.execute(SET_TIMEOUTS, timeouts)
