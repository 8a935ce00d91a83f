"""The tables as such: schema, the writers' lock, days and their retention."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql

from safe_zone import (
    LOCK_TIMEOUT_SECONDS,
    PARTITIONS_AHEAD_DAYS,
    PURGE_LOCK_TIMEOUT_SECONDS,
    RETENTION,
    ROOT,
    STATEMENT_TIMEOUT_SECONDS,
    UPKEEP_SECONDS,
    Settings,
)
from sentinel.errors import ConfigurationError, Interrupted
from sentinel.storage.connection import Connection, Session, resolve_database

log = logging.getLogger("sentinel.tables")
Days = set[date]


class Fingerprint(NamedTuple):
    """What a day holds: its rows, and the sum of their digests, which no order changes."""

    rows: int
    digest: str


# Puts days away before they are dropped; returns those that are safe, as they were put away.
ArchiveBeforeDrop = Callable[[Connection, Sequence[date], datetime], Mapping[date, Fingerprint]]

_LOCK_KEY = 0x53454E54  # "SENT": the advisory lock of all who write
TRUSTED_SILENCE = timedelta(days=7)
_PARTITION_NAME = re.compile(r"observations_(\d{4})(\d{2})(\d{2})")

SET_TIMEOUTS = """
SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)
"""
TAKE_LOCK = "SELECT pg_advisory_xact_lock(%s)"

# The version and the days there are, for one glance at the start of a write.
STATE_OF_SCHEMA = """
SELECT (SELECT max(version) FROM schema_version),
       (SELECT array_agg(c.relname::text)
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'observations'::regclass)
"""

CREATE_SCHEMA_VERSION = """
CREATE TABLE IF NOT EXISTS schema_version (
    version integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

# Attaching takes a weaker lock than PARTITION OF: readers are not held up.
CREATE_PARTITION: tuple[LiteralString, ...] = (
    "CREATE TABLE {day} (LIKE observations INCLUDING DEFAULTS INCLUDING INDEXES)",
    "ALTER TABLE observations ATTACH PARTITION {day} FOR VALUES FROM ({start}) TO ({stop})",
)
NEWEST_OBSERVATION = "SELECT max(observed_at) FROM coins"
# So that a number is told to its last digit, and a row reads the same in every session.
CANONICAL_OUTPUT = """
SELECT set_config('extra_float_digits', '1', true), set_config('TimeZone', 'UTC', true),
       set_config('DateStyle', 'ISO', true)
"""
FINGERPRINT: LiteralString = """
SELECT count(*), coalesce(sum(hashtextextended(o::text, 0)::numeric), 0)::text FROM {day} AS o
"""
CLUSTER_PARTITION: LiteralString = "CLUSTER {day} USING {index}"
DROP_PARTITION: LiteralString = "DROP TABLE {day}"
DROPPED = (
    "%d observations of %s were older than the retention and are gone: set ARCHIVE_URL to keep "
    "such days as files"
)

# A coin whose newest observation went with its day has none.
FORGET_LATEST = """
UPDATE coins
SET observed_at = NULL, price = NULL, market_cap = NULL, volume_24h = NULL, source = NULL
WHERE observed_at < %(oldest)s
"""

# Small tables without partitions: what is older than the data goes with it.
PURGE_SMALL_TABLES: dict[LiteralString, LiteralString] = {
    "rejections": "DELETE FROM rejections WHERE rejected_at < %(oldest)s",
    "fx_rates": "DELETE FROM fx_rates WHERE observed_at < %(oldest)s",
    "pipeline_runs": "DELETE FROM pipeline_runs WHERE started_at < %(oldest)s",
    "unfillable_gaps": "DELETE FROM unfillable_gaps WHERE stop < %(oldest)s",
    "alerts": "DELETE FROM alerts WHERE observed_at < %(oldest)s",
    "outbox": "DELETE FROM outbox WHERE created_at < %(oldest)s",
    # Single forecasts are scored and drawn for a week; their scores stay as long as the prices.
    "forecasts": "DELETE FROM forecasts WHERE made_at < %(oldest)s + interval '52 days'",
    "forecast_scores": "DELETE FROM forecast_scores WHERE hour < %(oldest)s",
}

DROP_EVERYTHING = """
DROP VIEW IF EXISTS market_data;
DROP TABLE IF EXISTS wallet_events, wallets, archived_days, unfillable_gaps, observations, coins,
    pipeline_runs, rejections, fx_rates, alert_trackers, alerts, outbox, alert_targets, forecasts,
    forecast_scores, transactions, heartbeats, schema_version;
DROP TYPE IF EXISTS observation_source, alert_kind, forecast_direction, wallet_event;
"""


@contextlib.contextmanager
def writer_transaction(connection: Connection) -> Iterator[Days]:
    """One transaction under the writers' lock, in pipeline mode; yields the days there are.

    BEGIN and COMMIT travel with their neighbours: psycopg's own transaction() would wait for each.

    Raises psycopg.errors.UndefinedTable where the schema has to be made or brought up to date.
    """
    try:
        with connection.pipeline(), _cut_off_when_interrupted(connection):
            connection.execute("BEGIN")
            _take_lock(connection, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS)
            yield existing_partitions(connection)
            connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(psycopg.Error):
            connection.rollback()
        raise


@contextlib.contextmanager
def _cut_off_when_interrupted(connection: Connection) -> Iterator[None]:
    """Leaving a pipeline waits for what is under way, a lock perhaps; who is told to stop does
    not wait. The server rolls back."""
    try:
        yield
    except Interrupted:
        connection.close()
        raise


def _take_lock(connection: Connection, timeout_seconds: float, statement_seconds: float) -> None:
    timeouts = (f"{timeout_seconds}s", f"{statement_seconds}s")
    connection.execute(SET_TIMEOUTS, timeouts)
    connection.execute(TAKE_LOCK, [_LOCK_KEY])


def existing_partitions(connection: Connection) -> Days:
    """The days that have a partition, where the schema is the one this code knows."""
    [(version, names)] = connection.execute(STATE_OF_SCHEMA).fetchall()
    if version != len(_migrations()):
        _refuse_newer_schema(version)
        raise psycopg.errors.UndefinedTable("the schema is not up to date")
    return {day for day in map(day_of_partition, names or ()) if day}


def is_up_to_date(connection: Connection) -> bool:
    """Whether the schema is the one this code knows.

    Raises ConfigurationError where the database has seen more than there is.
    """
    try:
        existing_partitions(connection)
    except psycopg.errors.UndefinedTable:
        return False
    return True


@contextlib.contextmanager
def open_session(settings: Settings) -> Iterator[Session]:
    """Yield a session at the configured database, its schema the one this code knows.

    Raises ConfigurationError, StorageUnavailable.
    """
    with resolve_database(settings) as address, Session(address) as session:
        session.use(migrate_if_needed)
        yield session


def migrate_if_needed(connection: Connection) -> None:
    """See that the schema is the one this code knows. Raises ConfigurationError as `init_db`."""
    if not is_up_to_date(connection):
        init_db(connection)


def init_db(connection: Connection) -> None:
    """Apply the numbered files of `schema/` that the database has not seen, all or none.

    Raises ConfigurationError where the database has seen more than there are.
    """
    with connection.transaction():
        _take_lock(connection, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS)
        connection.execute(CREATE_SCHEMA_VERSION)
        row = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
        version = row[0] if row else 0
        _refuse_newer_schema(version)
        for number, path in enumerate(_migrations()[version:], start=version + 1):
            connection.execute(path.read_bytes())
            connection.execute("INSERT INTO schema_version (version) VALUES (%s)", [number])


def drop_everything(connection: Connection) -> None:
    """Remove all that `init_db` made, with all data in it."""
    with connection.transaction():
        _take_lock(connection, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS)
        connection.execute(DROP_EVERYTHING)


@functools.cache
def _migrations() -> list[Path]:
    return sorted((ROOT / "sentinel" / "storage" / "migrations").glob("[0-9]*.sql"))


def _refuse_newer_schema(version: int | None) -> None:
    known = len(_migrations())
    if (version or 0) > known:
        raise ConfigurationError(
            f"The database has schema version {version}, this code knows {known}. Update the code: "
            "git pull"
        )


def day_of_partition(name: str) -> date | None:
    """The day a partition of `observations` holds, by its name."""
    found = _PARTITION_NAME.fullmatch(name)
    return date(*map(int, found.groups())) if found else None


def partition_name(day: date, suffix: str = "") -> sql.Identifier:
    """The name of a day's partition, or with `_pkey` of its index, to be put into a statement."""
    return sql.Identifier(f"observations_{day:%Y%m%d}{suffix}")


def create_partitions(connection: Connection, days: Days, wanted: Iterable[date]) -> None:
    """Make the partitions of `wanted` that are not among `days`, and add them there."""
    for day in sorted(set(wanted) - days):
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for statement in CREATE_PARTITION:
            connection.execute(
                sql.SQL(statement).format(
                    day=partition_name(day),
                    start=sql.Literal(start),
                    stop=sql.Literal(start + timedelta(days=1)),
                )
            )
        days.add(day)


def _ahead(now: datetime) -> set[date]:
    today = now.astimezone(UTC).date()
    return {today + timedelta(days=n) for n in range(PARTITIONS_AHEAD_DAYS + 1)}


def overdue_partitions(connection: Connection, now: datetime) -> list[date]:
    """The days that a purge should have dropped by yesterday: today's first run may be to come."""
    return days_to_drop(existing_partitions(connection), now - timedelta(days=1))


def is_upkeep_due(days: Days, now: datetime) -> bool:
    """Whether this is the first write of a UTC day, or a purge was postponed."""
    return is_first_of_day(days, now) or bool(days_to_drop(days, now))


def is_first_of_day(days: Days, now: datetime) -> bool:
    """Whether this is the first write of a UTC day."""
    return not _ahead(now) <= days


def create_upcoming_partitions(connection: Connection, days: Days, now: datetime) -> None:
    """Make today's partition and those of the coming days."""
    create_partitions(connection, days, _ahead(now))


def cluster_closed_partition(connection: Connection, now: datetime) -> None:
    """Rewrite the day before `now`'s in order of coin: it was written in order of time, so its
    index is a third empty and a coin's week lies on thousands of pages.

    Skipped where somebody reads that day, or where there is no room or time for a copy of it.
    """
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    faults = psycopg.errors
    optional = (faults.LockNotAvailable, faults.DiskFull, faults.QueryCanceled)
    with contextlib.suppress(*optional), connection.transaction():
        _take_lock(connection, PURGE_LOCK_TIMEOUT_SECONDS, UPKEEP_SECONDS)
        if yesterday in existing_partitions(connection):
            names = {"day": partition_name(yesterday), "index": partition_name(yesterday, "_pkey")}
            connection.execute(sql.SQL(CLUSTER_PARTITION).format(**names))


def days_to_drop(days: Days, now: datetime) -> list[date]:
    """The days that lie wholly before the retention window that ends at `now`."""
    oldest_kept = (now - RETENTION).astimezone(UTC).date()
    return sorted(day for day in days if day < oldest_kept)


def fingerprint(connection: Connection, day: date) -> Fingerprint:
    """What a day's partition holds; needs a transaction, which speaks plainly from then on.

    Raises psycopg.errors.UndefinedTable where there is none.
    """
    connection.execute(CANONICAL_OUTPUT)
    statement = sql.SQL(FINGERPRINT).format(day=partition_name(day))
    [row] = connection.execute(statement).fetchall()
    return Fingerprint(*row)


def enforce_retention_policy(
    connection: Connection,
    now: datetime,
    newest_seen: datetime | None = None,
    archive_hook: ArchiveBeforeDrop | None = None,
) -> int:
    """Drop the days that lie wholly before the retention window, and what the other tables hold
    from before it; returns the number of observations that went.

    With `archive_hook` a day goes only if that says it is safe, and it has not changed since. A
    reader that holds a table for long postpones the purge to the next run. `newest_seen` is the
    time of the newest price that another clock vouches for (None: ours is trusted); the window ends
    TRUSTED_SILENCE after it, or after the newest stored one: a clock that leapt must not cost the
    history.
    """
    now = _trusted(connection, now, newest_seen)
    over = days_to_drop(existing_partitions(connection), now)
    safe = archive_hook(connection, over, now) if archive_hook and over else {}
    try:
        with connection.transaction():
            _take_lock(connection, PURGE_LOCK_TIMEOUT_SECONDS, UPKEEP_SECONDS)
            gone: dict[date, int] = {}
            waiting = False
            for day in days_to_drop(existing_partitions(connection), now):
                held = fingerprint(connection, day) if not archive_hook or day in safe else None
                if held is None or (archive_hook and safe[day] != held):
                    waiting = True
                    continue
                connection.execute(sql.SQL(DROP_PARTITION).format(day=partition_name(day)))
                gone[day] = held.rows
            if waiting and not gone:  # as in the run before: nothing else to do again
                return 0
            if not waiting:
                connection.execute(FORGET_LATEST, {"oldest": now - RETENTION})
            for statement in PURGE_SMALL_TABLES.values():
                connection.execute(statement, {"oldest": now - RETENTION})
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        log.warning("the purge waits for the next run: somebody reads what it would drop")
        return 0
    for day, rows in gone.items():
        if rows and not archive_hook:
            log.warning(DROPPED, rows, day)
    # Neon forgets what autovacuum would have done when it sleeps, so the run does it itself.
    for table in (*PURGE_SMALL_TABLES, "coins"):
        connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(table)))
    return sum(gone.values())


def _trusted(connection: Connection, now: datetime, newest_seen: datetime | None) -> datetime:
    """The time, not later than a clock that leapt could have made it."""
    if newest_seen is None:
        return now
    [(newest,)] = connection.execute(NEWEST_OBSERVATION).fetchall()
    return min(now, max(newest_seen, newest or newest_seen) + TRUSTED_SILENCE)
