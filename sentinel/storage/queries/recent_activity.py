"""Reads what a run needs to know about earlier runs before it fills gaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg.rows import class_row

from safe_zone import FILL_FACTOR, MAX_CLOCK_SKEW
from sentinel.budget.schedule import SlotCoverage
from sentinel.budget.usage_log import Usage
from sentinel.models import Gap
from sentinel.storage import service_status
from sentinel.storage.connection import Connection
from sentinel.storage.queries.failing_coins import DayFailures, find_failing_coins
from sentinel.storage.queries.gaps import FillableCoin, find_fillable_coins, find_gaps
from sentinel.storage.queries.slot_coverage import measure_slot_coverage
from sentinel.storage.service_status import ServiceStatus
from sentinel.storage.transactions import limited_reads

DATABASE_BYTES = "SELECT pg_database_size(current_database())"

# What runs used, as far as they recorded it in the database: also a run that began after this one
# and has ended. The names are those of Usage.
USAGES = """
SELECT started_at,
       greatest(extract(epoch FROM recorded_at - started_at), 0)::float8 AS duration_seconds,
       api_credits, db_seconds, backfill_credits
FROM sentinel.pipeline_runs
WHERE started_at >= %(since)s AND started_at <= %(newest)s
ORDER BY started_at
"""


class RecentActivity(NamedTuple):
    """What a run reads about earlier runs and about the database."""

    # Size of the whole database.
    database_bytes: int
    usages: list[Usage]
    fillable_coins: list[FillableCoin]
    # None: no coins were asked for, or there is less than a day of history.
    slot_coverage: SlotCoverage | None
    # The last activity of the monitor's loop; None: it never ran on this database.
    monitor: ServiceStatus | None
    # The coins that failed on each of the last days.
    failing_coins: list[DayFailures]


def read_recent_activity(
    connection: Connection,
    now: datetime,
    *,
    cadence: timedelta,
    coin_ids: Sequence[str],
    until: datetime | None,
    usages_since: datetime,
    covered_coins: int = 0,
) -> RecentActivity:
    """Return what a run needs to know about earlier runs, in one round trip.

    `cadence`, `coin_ids` and `until` are those of `gaps.find_fillable_coins`. The coverage is that
    of the `covered_coins` best-ranked ones.
    """
    with limited_reads(connection):
        size = connection.execute(DATABASE_BYTES)
        usages = connection.cursor(row_factory=class_row(Usage))
        usages.execute(USAGES, {"since": usages_since, "newest": now + MAX_CLOCK_SKEW})
        coins = find_fillable_coins(
            connection, now, cadence=cadence, coin_ids=coin_ids, until=until
        )
        coverage = measure_slot_coverage(connection, now, cadence=cadence, coins=covered_coins)
        monitor = connection.execute(service_status.READ, {"service": "ingestion"})
        failing = find_failing_coins(connection, now)
    [(database_bytes,)] = size.fetchall()
    status = monitor.fetchone()
    return RecentActivity(
        database_bytes,
        usages.fetchall(),
        coins.fetchall(),
        coverage.fetchone(),
        ServiceStatus._make(status) if status else None,
        failing.fetchall(),
    )


def read_gaps(
    connection: Connection,
    now: datetime,
    *,
    cadence: timedelta,
    coin_ids: Sequence[str],
    until: datetime | None,
) -> list[Gap]:
    """Return all pauses that a chart of these coins is to fill, in one round trip.

    The parameters are those of `gaps.find_gaps`.
    """
    with limited_reads(connection):
        gaps = find_gaps(
            connection, now, cadence=cadence, coin_ids=coin_ids, until=until, factor=FILL_FACTOR
        )
    return gaps.fetchall()
