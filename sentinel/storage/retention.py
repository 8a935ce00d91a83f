"""The retention policy: what is older than 60 days (safe_zone.RETENTION) is dropped once a day."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import LiteralString

import psycopg
from psycopg import sql

from safe_zone import PURGE_LOCK_TIMEOUT_SECONDS, RETENTION, UPKEEP_TIMEOUT_SECONDS
from sentinel.process import describe_error
from sentinel.storage.connection import Connection
from sentinel.storage.locks import take_writer_lock
from sentinel.storage.partitions import (
    Days,
    Fingerprint,
    compute_fingerprint,
    existing_partitions,
    is_first_write_of_day,
    partition_name,
)

log = logging.getLogger("sentinel.retention")

# Archives days before they are dropped; returns the fingerprint that each archived day had.
ArchiveBeforeDrop = Callable[[Connection, Sequence[date], datetime], Mapping[date, Fingerprint]]

# Single forecasts are scored and drawn for a week.
FORECAST_RETENTION = timedelta(days=8)

# A wrong system clock must not delete the history: the window ends at most this long after the
# newest observation.
MAX_CLOCK_LEAD = timedelta(days=7)

NEWEST_OBSERVATION = "SELECT max(observed_at) FROM sentinel.coins"
DROP_PARTITION: LiteralString = "DROP TABLE {partition}"
VACUUM: LiteralString = "VACUUM (SKIP_LOCKED, ANALYZE) {}"
DROPPED_WITHOUT_ARCHIVE = (
    "dropped %d observations of %s, which were older than the retention: set ARCHIVE_URL to keep "
    "such days as files"
)

# A coin whose newest observation was dropped has none.
CLEAR_EXPIRED_LATEST = """
UPDATE sentinel.coins
SET observed_at = NULL, price_usd = NULL, market_cap_usd = NULL, volume_24h_usd = NULL,
    source = NULL
WHERE observed_at < %(oldest)s
"""

# Small tables without partitions: their rows expire with the observations.
DELETE_EXPIRED_ROWS: dict[LiteralString, LiteralString] = {
    "rejections": "DELETE FROM sentinel.rejections WHERE rejected_at < %(oldest)s",
    # The last rate of each day stays: no archive has rates, and the portfolio's history needs them.
    "fx_rates": """
        DELETE FROM sentinel.fx_rates AS r WHERE observed_at < %(oldest)s AND EXISTS (
            SELECT FROM sentinel.fx_rates AS later
            WHERE later.currency = r.currency AND later.observed_at > r.observed_at
              AND later.observed_at < date_bin('1 day', r.observed_at, 'epoch') + interval '1 day')
        """,
    "pipeline_runs": "DELETE FROM sentinel.pipeline_runs WHERE started_at < %(oldest)s",
    "unfillable_gaps": "DELETE FROM sentinel.unfillable_gaps WHERE stop < %(oldest)s",
    "alerts": "DELETE FROM sentinel.alerts WHERE observed_at < %(oldest)s",
    "outbox": "DELETE FROM sentinel.outbox WHERE created_at < %(oldest)s",
    # A target of ingest_config.json must not come back while it is in the file.
    "price_targets": (
        "DELETE FROM sentinel.price_targets WHERE closed_at < %(oldest)s AND source <> 'settings'"
    ),
    "egress": "DELETE FROM sentinel.egress WHERE day < %(oldest)s::date",
    # One that never ended was forgotten, for example by a monitor that was switched off.
    "incidents": ("DELETE FROM sentinel.incidents WHERE coalesce(ended_at, began_at) < %(oldest)s"),
    # The scores of forecasts stay as long as the prices, the forecasts themselves do not.
    "forecasts": "DELETE FROM sentinel.forecasts WHERE made_at < %(oldest_forecast)s",
    "forecast_scores": "DELETE FROM sentinel.forecast_scores WHERE hour < %(oldest)s",
}


def enforce_retention_policy(
    connection: Connection,
    now: datetime,
    newest_seen: datetime | None = None,
    archive_hook: ArchiveBeforeDrop | None = None,
) -> int:
    """Drop the days that lie wholly before the retention window, and expired rows of the other
    tables; return the number of observations that were dropped.

    Expired rows go on the first write of a UTC day, even while days wait for the archive. With
    `archive_hook` a day is dropped only if the hook says that it is safe and the day has not
    changed since. A query that holds a table for long postpones the purge to the next run.
    `newest_seen` is the time of the newest price in CoinGecko's response (None: trust the clock);
    the window ends MAX_CLOCK_LEAD after it, or after the newest stored observation.
    """
    days = existing_partitions(connection)
    is_new_day = is_first_write_of_day(days, now)
    now = trusted_now(connection, now, newest_seen)
    expired = days_to_drop(days, now)
    archived = archive_hook(connection, expired, now) if archive_hook and expired else {}
    try:
        with connection.transaction():
            take_writer_lock(connection, PURGE_LOCK_TIMEOUT_SECONDS, UPKEEP_TIMEOUT_SECONDS)
            expired = days_to_drop(existing_partitions(connection), now)
            dropped = _drop_partitions(connection, expired, archived if archive_hook else None)
            if dropped or is_new_day:
                is_complete = len(dropped) == len(expired)
                _delete_expired_rows(connection, now - RETENTION, clear_latest=is_complete)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        log.warning("the purge waits for the next run: a query reads what it would drop")
        return 0
    for day, rows in dropped.items():
        if rows and not archive_hook:
            log.warning(DROPPED_WITHOUT_ARCHIVE, rows, day)
    return sum(dropped.values())


def _drop_partitions(
    connection: Connection, days: Sequence[date], archived: Mapping[date, Fingerprint] | None
) -> dict[date, int]:
    """Drop the days, with an archive only those that it holds as they are now; return the number of
    observations of each dropped day."""
    dropped: dict[date, int] = {}
    for day in days:
        if archived is not None and day not in archived:
            continue
        current = compute_fingerprint(connection, day)
        if archived is not None and archived[day] != current:
            continue
        connection.execute(sql.SQL(DROP_PARTITION).format(partition=partition_name(day)))
        dropped[day] = current.rows
    return dropped


def _delete_expired_rows(connection: Connection, oldest: datetime, *, clear_latest: bool) -> None:
    if clear_latest:
        connection.execute(CLEAR_EXPIRED_LATEST, {"oldest": oldest})
    parameters = {"oldest": oldest, "oldest_forecast": oldest + RETENTION - FORECAST_RETENTION}
    for statement in DELETE_EXPIRED_ROWS.values():
        connection.execute(statement, parameters)


def vacuum_small_tables(connection: Connection) -> None:
    """Vacuum the tables of which a purge deletes rows: Neon forgets autovacuum's statistics when it
    suspends. A table that another session has locked is left out, and an error is only logged."""
    errors = {}
    for table in (*DELETE_EXPIRED_ROWS, "coins"):
        try:
            connection.execute(sql.SQL(VACUUM).format(sql.Identifier("sentinel", table)))
        except psycopg.Error as error:
            errors[table] = error
    if errors:
        cause = describe_error(next(iter(errors.values())))
        log.warning("VACUUM of %s failed, the rows are stored: %s", ", ".join(errors), cause)


def days_to_drop(existing: Days, now: datetime) -> list[date]:
    """Return the days that lie wholly before the retention window that ends at `now`."""
    oldest_kept = (now - RETENTION).astimezone(UTC).date()
    return sorted(day for day in existing if day < oldest_kept)


def overdue_partitions(connection: Connection, now: datetime) -> list[date]:
    """Return the days that a purge should have dropped by yesterday: today's first run may still
    come."""
    return days_to_drop(existing_partitions(connection), now - timedelta(days=1))


def is_upkeep_due(existing: Days, now: datetime) -> bool:
    """Return whether this is the first write of a UTC day, or a purge was postponed."""
    return is_first_write_of_day(existing, now) or bool(days_to_drop(existing, now))


def trusted_now(connection: Connection, now: datetime, newest_seen: datetime | None) -> datetime:
    """Return `now`, but at most MAX_CLOCK_LEAD after the newest observation."""
    if newest_seen is None:
        return now
    [(newest,)] = connection.execute(NEWEST_OBSERVATION).fetchall()
    return min(now, max(newest_seen, newest or newest_seen) + MAX_CLOCK_LEAD)
