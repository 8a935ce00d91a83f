"""The month's egress quota is asked before a large read of a Neon database."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

import psycopg

from safe_zone import MIN_EGRESS_PERIOD, SKIP_SHARE, Settings
from sentinel import console
from sentinel.budget import neon_api
from sentinel.budget.quota_usage import Month
from sentinel.budget.quotas import measure_egress
from sentinel.budget.usage_log import Usage
from sentinel.errors import BudgetExhausted
from sentinel.storage import egress, partitions
from sentinel.storage.connection import Connection
from sentinel.storage.egress import MonthEgress

# Received for each byte of a table, and for each observation: measured with 192,000 observations
# of 15 digits each (1.33 and 93 for a dump, 87 for an export).
BYTES_PER_STORED_BYTE = 1.35
BYTES_PER_OBSERVATION = 90

# The bytes that each table takes, without its indexes.
TABLE_SIZES = """
SELECT relname::text, pg_table_size(oid)
FROM pg_class
WHERE relnamespace = 'sentinel'::regnamespace AND relkind = 'r'
"""


class LargeRead(NamedTuple):
    """What a command is about to read."""

    # Such as "This backup".
    subject: str
    # What it will receive, in bytes.
    estimated_bytes: int
    # What to do instead.
    remedy: str
    # How often it would happen in a month if it were a habit, and the habit's name.
    times_a_month: int = 0
    habit: str = ""


def estimate_copy(connection: Connection, days: Collection[date] | None = None) -> int:
    """Return about how many bytes a copy of all tables, or of the observations of days, receives.

    The sizes of the tables are known to the server, so this reads no rows.
    """
    size = sum(
        size_bytes
        for name, size_bytes in connection.execute(TABLE_SIZES)
        if days is None or partitions.day_of_partition(name) in days
    )
    return int(size * BYTES_PER_STORED_BYTE)


def request_read(
    connection: Connection,
    settings: Settings,
    read: LargeRead,
    now: datetime,
    *,
    is_forced: bool,
) -> None:
    """Print what a read costs. Raises BudgetExhausted if it does not fit, unless it is forced.

    Nothing happens if the database is not Neon's, or its egress has no limit.
    """
    if text := check_read(connection, settings, read, now, is_forced=is_forced):
        console.print_notice(text)


def check_read(
    connection: Connection,
    settings: Settings,
    read: LargeRead,
    now: datetime,
    *,
    is_forced: bool = False,
) -> str | None:
    """Return one sentence about a read that fits; None if no quota limits it.

    A read fits if it leaves what runs and monitor will receive in the rest of the month, and the
    share above SKIP_SHARE. Raises BudgetExhausted for others, unless the read is forced.
    """
    if not egress.find_compute(connection):
        return None
    month = _read_month(connection)
    usage = measure_egress(
        [Usage(now, 0.0, egress_bytes=month.total)],
        now,
        settings.quotas["neon_egress_bytes"],
        neon_api.read_project(settings),
    )
    if usage.quota is None:
        return None
    spent = usage.spent or 0.0
    elapsed = max(now - Month.of(now).start, MIN_EGRESS_PERIOD)
    to_come = month.steady * ((usage.resets_at - now) / elapsed)
    free = max(0.0, SKIP_SHARE * usage.quota - spent - to_come)
    text = _describe(read, usage.quota - spent, usage.quota)
    if read.estimated_bytes > free and not is_forced:
        raise BudgetExhausted(
            f"{text}. It was not started: {format_size(free)} are free, because runs and monitor "
            f"will need about {format_size(to_come)} until {usage.resets_at:%Y-%m-%d}, and "
            f"{1 - SKIP_SHARE:.0%} are kept back. {read.remedy}"
        )
    egress.add_estimate(connection, read.estimated_bytes)
    return f"{text}."


def _read_month(connection: Connection) -> MonthEgress:
    """Return what was received in this month; nothing if the schema is older than this code."""
    with contextlib.suppress(psycopg.Error), connection.transaction():
        return egress.read_month(connection)
    return MonthEgress(0, 0)


def _describe(read: LargeRead, left: float, quota: float) -> str:
    text = (
        f"{read.subject} reads about {format_size(read.estimated_bytes)} from Neon; "
        f"{format_size(max(0.0, left))} of {format_size(quota)} are left this month"
    )
    if not read.times_a_month:
        return text
    total = format_size(read.estimated_bytes * read.times_a_month)
    return f"{text}; {read.habit} would use {total} a month"


def format_size(size_bytes: float) -> str:
    """Return a size in GB, or in MB below 0.1 GB."""
    return f"{size_bytes / 1e9:.2f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.1f} MB"
