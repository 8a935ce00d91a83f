"""Transactions in pipeline mode: only the results that are read cost a round trip."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg.pq import TransactionStatus

from safe_zone import LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS
from sentinel.errors import Interrupted
from sentinel.storage.connection import Connection
from sentinel.storage.locks import set_timeouts


@contextlib.contextmanager
def pipelined_transaction(connection: Connection) -> Iterator[None]:
    """Run the block as one transaction, in pipeline mode.

    BEGIN and COMMIT travel with their neighbors: psycopg's own transaction() would wait for each.
    A statement whose result is not read may raise its error later, at the end of the block at the
    latest.
    """
    try:
        with connection.pipeline(), _close_when_interrupted(connection):
            connection.execute("BEGIN")
            yield
            connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(psycopg.Error):
            connection.rollback()
        raise


@contextlib.contextmanager
def limited_reads(connection: Connection) -> Iterator[None]:
    """Send the queries of the block in one round trip, in a transaction with our timeouts.

    The role's statement_timeout may be too short for them. In a transaction of the caller, that
    transaction goes on, with these timeouts. The results have arrived at the end of the block.
    """
    is_own = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.pipeline():
        if is_own:
            connection.execute("BEGIN")
        set_timeouts(connection, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS)
        yield
        if is_own:
            connection.execute("COMMIT")


@contextlib.contextmanager
def _close_when_interrupted(connection: Connection) -> Iterator[None]:
    """Close the connection on a signal: leaving a pipeline waits for the statement under way, which
    may wait for a lock. The server rolls back."""
    try:
        yield
    except Interrupted:
        connection.close()
        raise
