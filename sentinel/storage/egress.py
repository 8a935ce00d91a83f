"""Neon's egress: measures what this process receives, and adds it to the database's own count.

All readers of a Neon project share one monthly quota, and they run on several machines. So the
count is a table of the database. Other databases than Neon's are not counted.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import socket
import struct
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

from sentinel.budget import neon_api

log = logging.getLogger("sentinel.egress")
Connection = psycopg.Connection[Any]

# Where tcpi_bytes_received is in the kernel's struct tcp_info, since Linux 4.1:
# https://github.com/torvalds/linux/blob/master/include/uapi/linux/tcp.h
_BYTES_RECEIVED = 128
_TCP_INFO_BYTES = 136
# A process that keeps its connections records after this many seconds or bytes.
RECORD_SECONDS = 900.0
RECORD_BYTES = 10_000_000

# One statement, because Neon bills the time of a round trip. The sum does not see the inserted row.
ADD_EGRESS = """
WITH added AS (
    INSERT INTO sentinel.egress AS e (received_bytes, day, reader)
    VALUES (%(received)s::bigint, (now() AT TIME ZONE 'UTC')::date, %(reader)s)
    ON CONFLICT (day, reader) DO UPDATE
    SET received_bytes = e.received_bytes + excluded.received_bytes
)
SELECT (coalesce(sum(received_bytes), 0) + %(received)s::bigint)::bigint
FROM sentinel.egress
WHERE day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date
"""
# Of this month: all readers, and those that a schedule starts or that run all the time.
READ_EGRESS = """
SELECT coalesce(sum(received_bytes), 0)::bigint,
       coalesce(sum(received_bytes) FILTER (WHERE reader = ANY (%(steady)s)), 0)::bigint
FROM sentinel.egress
WHERE day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date
"""
HAS_COUNT = "SELECT to_regclass('sentinel.egress') IS NOT NULL"
SET_ASIDE = "CREATE TEMP TABLE kept_egress ON COMMIT DROP AS TABLE sentinel.egress"
PUT_BACK = (
    "DELETE FROM sentinel.egress",
    "INSERT INTO sentinel.egress (received_bytes, day, reader) "
    "SELECT received_bytes, day, reader FROM kept_egress",
)
STEADY_READERS = ("ingest.py", "services.ingestion", "services.api")

_lock = threading.Lock()
# What each open connection had received when it was last looked at.
_seen: weakref.WeakKeyDictionary[Connection, int] = weakref.WeakKeyDictionary()
# What this process has received and not recorded yet, by the id of the compute.
_unrecorded: Counter[str] = Counter()
# When this process recorded last (monotonic seconds).
_recorded_at: dict[str, float] = {}


class MonthEgress(NamedTuple):
    """What was received from a database in this month, in bytes."""

    total: int
    # By STEADY_READERS.
    steady: int


def measure_received(connection: Connection) -> int | None:
    """Return the bytes that a connection has received so far, TLS included.

    None: the system does not count them. Only Linux does, and not for a Unix socket. Raises OSError
    or psycopg.Error if the connection is closed.
    """
    if sys.platform != "linux":
        return None
    with socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as tcp:
        try:
            info = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        except OSError:  # a Unix socket
            return None
    if len(info) < _TCP_INFO_BYTES:  # an older kernel
        return None
    return int(struct.unpack_from("=Q", info, _BYTES_RECEIVED)[0])


def find_compute(connection: Connection) -> str | None:
    """Return the id of the Neon compute behind an open connection; None if it is not Neon's."""
    return neon_api.endpoint_of_host(connection.info.host)


def count(connection: Connection) -> str | None:
    """Note what a connection has received since the last call; return its compute.

    None: the connection is closed, or its database is not Neon's.
    """
    with contextlib.suppress(OSError, psycopg.Error):
        compute = find_compute(connection)
        if compute and (received := measure_received(connection)) is not None:
            with _lock:
                _unrecorded[compute] += received - _seen.get(connection, 0)
                _seen[connection] = received
        return compute
    return None


def record(connection: Connection) -> int | None:
    """Add what this process has received to the database's count; return the month's total.

    None: nothing was added, because the database is not Neon's, its schema is missing or old, or
    the connection is broken or busy. Never raises an error of the database.
    """
    compute = count(connection)
    if not compute or connection.info.transaction_status != TransactionStatus.IDLE:
        return None
    with _lock:
        received = _unrecorded.pop(compute, 0)
    total = None
    try:
        total = _add(connection, received)
    finally:
        with _lock:
            _recorded_at[compute] = time.monotonic()
            _unrecorded[compute] += 0 if total is not None else received
    return total


def record_if_due(connection: Connection) -> None:
    """Call `record` if the last time is RECORD_SECONDS or RECORD_BYTES ago."""
    compute = count(connection)
    if not compute:
        return
    with _lock:
        is_old = time.monotonic() - _recorded_at.setdefault(compute, time.monotonic())
        is_due = is_old >= RECORD_SECONDS or _unrecorded[compute] >= RECORD_BYTES
    if is_due:
        record(connection)


def add_estimate(connection: Connection, received: int) -> None:
    """Record what a large read will receive, if the system does not measure it."""
    if find_compute(connection) and measure_received(connection) is None:
        _add(connection, received)


def read_month(connection: Connection) -> MonthEgress:
    """Return what was received in this month (UTC, by the database's clock).

    Raises psycopg.errors.UndefinedTable if the schema is older than this code.
    """
    [row] = connection.execute(READ_EGRESS, {"steady": list(STEADY_READERS)}).fetchall()
    return MonthEgress(*row)


@contextlib.contextmanager
def keep_count(connection: Connection) -> Iterator[None]:
    """Keep the count while a backup replaces all tables, in the caller's transaction.

    Neon counts for the project, whatever its database holds. A database without a count takes over
    that of the backup.
    """
    [(has_count,)] = connection.execute(HAS_COUNT).fetchall()
    if has_count:
        connection.execute(SET_ASIDE)
    yield
    if has_count:
        for statement in PUT_BACK:
            connection.execute(statement)


def _add(connection: Connection, received: int) -> int | None:
    try:
        values = {"received": received, "reader": _program_name()}
        [(total,)] = connection.execute(ADD_EGRESS, values).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None  # the first run, or an update, creates the table
    except psycopg.Error as error:
        _warn_once(" ".join(str(error).split())[:200])
        return None
    return int(total)


@functools.cache
def _warn_once(cause: str) -> None:
    log.warning("Neon's egress is not counted: %s", cause)


def _program_name() -> str:
    """Return the name of this command, such as `ingest.py` or `services.api`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name
