"""The partitions of `sentinel.observations`, one for each UTC day: names, creation, clustering."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql

from safe_zone import (
    LOCK_TIMEOUT_SECONDS,
    PARTITIONS_AHEAD_DAYS,
    PURGE_LOCK_TIMEOUT_SECONDS,
    STATEMENT_TIMEOUT_SECONDS,
    UPKEEP_TIMEOUT_SECONDS,
)
from sentinel.storage import schema
from sentinel.storage.connection import Connection
from sentinel.storage.locks import take_writer_lock
from sentinel.storage.transactions import pipelined_transaction

Days = set[date]
_NAME = re.compile(r"observations_(\d{4})(\d{2})(\d{2})")

# Attaching takes a weaker lock than PARTITION OF, so that readers do not wait.
CREATE_PARTITION: tuple[LiteralString, ...] = (
    "CREATE TABLE {partition} (LIKE sentinel.observations INCLUDING DEFAULTS INCLUDING INDEXES)",
    "ALTER TABLE sentinel.observations ATTACH PARTITION {partition}"
    " FOR VALUES FROM ({start}) TO ({stop})",
)
CLUSTER_PARTITION: LiteralString = "CLUSTER {partition} USING {index}"

# So that a number prints to its last digit, and a row reads the same in every session.
CANONICAL_OUTPUT = """
SELECT set_config('extra_float_digits', '1', true), set_config('TimeZone', 'UTC', true),
       set_config('DateStyle', 'ISO', true)
"""
FINGERPRINT: LiteralString = """
SELECT count(*), coalesce(sum(hashtextextended(o::text, 0)::numeric), 0)::text
FROM {partition} AS o
"""


class Fingerprint(NamedTuple):
    """What a day holds: its rows, and the sum of their digests, which no order changes."""

    rows: int
    digest: str


@contextlib.contextmanager
def writer_transaction(connection: Connection) -> Iterator[Days]:
    """Run one transaction under the writers' lock, in pipeline mode; yield the existing days.

    Raises psycopg.errors.UndefinedTable where the schema is missing or older than this code.
    """
    with pipelined_transaction(connection):
        take_writer_lock(connection, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS)
        yield existing_partitions(connection)


def existing_partitions(connection: Connection) -> Days:
    """Return the days that have a partition. Raises as `schema.require_current`."""
    names = schema.require_current(connection).partition_names
    return {day for day in map(day_of_partition, names) if day}


def day_of_partition(name: str) -> date | None:
    """Return the day that the partition of this name holds, None for any other table."""
    found = _NAME.fullmatch(name)
    return date(*map(int, found.groups())) if found else None


def partition_name(day: date) -> sql.Identifier:
    """Return the qualified name of a day's partition, to be put into a statement."""
    return sql.Identifier("sentinel", f"observations_{day:%Y%m%d}")


def create_partitions(connection: Connection, existing: Days, wanted: Iterable[date]) -> None:
    """Create the partitions of `wanted` that are not in `existing`, and add them there."""
    for day in sorted(set(wanted) - existing):
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for statement in CREATE_PARTITION:
            connection.execute(
                sql.SQL(statement).format(
                    partition=partition_name(day),
                    start=sql.Literal(start),
                    stop=sql.Literal(start + timedelta(days=1)),
                )
            )
        existing.add(day)


def create_upcoming_partitions(connection: Connection, existing: Days, now: datetime) -> None:
    """Create today's partition and those of the next PARTITIONS_AHEAD_DAYS days."""
    create_partitions(connection, existing, _upcoming_days(now))


def is_first_write_of_day(existing: Days, now: datetime) -> bool:
    """Return whether no run has written on this UTC day yet: an upcoming partition is missing."""
    return not _upcoming_days(now) <= existing


def _upcoming_days(now: datetime) -> Days:
    today = now.astimezone(UTC).date()
    return {today + timedelta(days=n) for n in range(PARTITIONS_AHEAD_DAYS + 1)}


def cluster_closed_partition(connection: Connection, now: datetime) -> None:
    """Rewrite yesterday's partition in the order of its primary key (coin, time).

    It was written in order of time, so a third of its index is empty and one coin's week lies on
    thousands of pages. The step is skipped while a query reads that day, or where disk space or
    time is short.
    """
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    faults = psycopg.errors
    optional = (faults.LockNotAvailable, faults.DiskFull, faults.QueryCanceled)
    with contextlib.suppress(*optional), connection.transaction():
        take_writer_lock(connection, PURGE_LOCK_TIMEOUT_SECONDS, UPKEEP_TIMEOUT_SECONDS)
        if yesterday in existing_partitions(connection):
            index = sql.Identifier(f"observations_{yesterday:%Y%m%d}_pkey")
            statement = sql.SQL(CLUSTER_PARTITION)
            connection.execute(statement.format(partition=partition_name(yesterday), index=index))


def compute_fingerprint(connection: Connection, day: date) -> Fingerprint:
    """Return what a day's partition holds. Needs a transaction, whose output settings it changes.

    Raises psycopg.errors.UndefinedTable where the day has no partition.
    """
    connection.execute(CANONICAL_OUTPUT)
    statement = sql.SQL(FINGERPRINT).format(partition=partition_name(day))
    [row] = connection.execute(statement).fetchall()
    return Fingerprint(*row)
