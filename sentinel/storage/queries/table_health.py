"""Reads counts and sizes of the tables, and finds observations that are stored twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from safe_zone import RETENTION
from sentinel.storage.connection import Connection
from sentinel.storage.schema import has_schema

COUNT_OBSERVATIONS = "SELECT count(*) FROM sentinel.observations"

COUNT_TRANSACTIONS = "SELECT count(*) FROM sentinel.transactions"

TABLE_HEALTH = """
SELECT (SELECT count(*) FROM sentinel.observations) AS rows,
       (SELECT count(*) FROM sentinel.coins WHERE observed_at IS NOT NULL) AS coins,
       (SELECT max(observed_at) FROM sentinel.coins) AS newest,
       (SELECT min(observed_at) FROM sentinel.observations) AS oldest,
       (SELECT count(*) FROM sentinel.observations WHERE observed_at > %(now)s - interval '1 day')
           AS rows_last_day,
       (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint
        FROM pg_inherits WHERE inhparent = 'sentinel.observations'::regclass) AS observation_bytes,
       pg_database_size(current_database()) AS database_bytes
"""

# The same without reading the history: today's and yesterday's rows are counted, those of earlier
# days are estimated from pages and statistics, which the clustering of a closed day renews.
# Without statistics a page has 120 rows: 8 kB of 68 bytes each. The last page may be almost empty,
# so the rows of a few pages are counted, too.
ESTIMATED_TABLE_HEALTH = """
WITH partitions AS (
    SELECT to_date(right(relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' AS day,
           pg_relation_size(c.oid) / current_setting('block_size')::int AS pages,
           CASE WHEN reltuples > 0 AND relpages > 0 THEN reltuples / relpages ELSE 120 END
               AS density,
           pg_total_relation_size(c.oid) AS bytes
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'sentinel.observations'::regclass
),
recent AS (
    SELECT count(*) AS rows, count(*) FILTER (WHERE observed_at > %(now)s - interval '1 day')
               AS rows_last_day
    FROM sentinel.observations
    WHERE observed_at >= date_trunc('day', %(now)s - interval '1 day', 'UTC')
),
oldest AS (SELECT min(day) AS day FROM partitions WHERE pages > 0)
SELECT recent.rows + (SELECT coalesce(round(sum(
           CASE WHEN pages > 8 THEN pages * density ELSE (
               SELECT count(*) FROM sentinel.observations
               WHERE observed_at >= day AND observed_at < day + interval '1 day') END)), 0)::bigint
                      FROM partitions
                      WHERE day < date_trunc('day', %(now)s - interval '1 day', 'UTC')) AS rows,
       (SELECT count(*) FROM sentinel.coins WHERE observed_at IS NOT NULL) AS coins,
       (SELECT max(observed_at) FROM sentinel.coins) AS newest,
       (SELECT min(observed_at) FROM sentinel.observations
        WHERE observed_at < (SELECT day + interval '1 day' FROM oldest)) AS oldest,
       recent.rows_last_day,
       (SELECT coalesce(sum(bytes), 0)::bigint FROM partitions) AS observation_bytes,
       pg_database_size(current_database()) AS database_bytes
FROM recent
"""

# The primary key forbids duplicates, but a damaged index lets them in. Grouping partition by
# partition needs no sort of the whole table.
COUNT_DUPLICATES = """
SELECT coalesce(sum(extra), 0)::bigint
FROM (SELECT count(*) - 1 AS extra
      FROM sentinel.observations
      GROUP BY coin_key, observed_at
      HAVING count(*) > 1) AS repeated
"""
GROUP_BY_PARTITION = "SET LOCAL enable_partitionwise_aggregate = on"


@dataclass(frozen=True, slots=True)
class TableHealth:
    """How many observations are stored, how old they are, and how much space they take."""

    # All observations.
    rows: int
    # Coins that have at least one observation.
    coins: int
    # Time of the newest and of the oldest observation; None: nothing is stored.
    newest: datetime | None
    oldest: datetime | None
    # Observations of the last 24 hours.
    rows_last_day: int
    # Size of the observations with their indexes.
    observation_bytes: int
    # Size of the whole database.
    database_bytes: int

    @property
    def bytes_per_row(self) -> float | None:
        """Bytes that one observation takes in table and indexes; None: nothing is stored."""
        return self.observation_bytes / self.rows if self.rows else None

    def days_until_full(self, now: datetime, quota_bytes: float | None) -> float | None:
        """Return in how many days the database reaches `quota_bytes` at the last day's growth.

        None: there is no quota, there is less than a day of data, or the database never gets
        there, because the retention drops as much as a day adds.
        """
        if (
            quota_bytes is None
            or not self.bytes_per_row
            or not self.oldest
            or (now - self.oldest).days < 1
        ):
            return None
        growth = self.rows_last_day * self.bytes_per_row
        fixed = self.database_bytes - self.observation_bytes
        # One day more than the retention window, because only whole days are dropped.
        if not growth or fixed + growth * (RETENTION.days + 1) <= quota_bytes:
            return None
        return max(0.0, (quota_bytes - self.database_bytes) / growth)


def read_table_health(connection: Connection, now: datetime) -> TableHealth:
    """Return counts, ages and sizes of what is stored."""
    with connection.cursor(row_factory=class_row(TableHealth)) as cursor:
        [health] = cursor.execute(TABLE_HEALTH, {"now": now}).fetchall()
    return health


def estimate_table_health(connection: Connection, now: datetime) -> psycopg.Cursor[TableHealth]:
    """Return the same with an estimated number of rows: one row, when the caller fetches it.

    It reads the rows of two days only, so an hourly call costs little.
    """
    cursor = connection.cursor(row_factory=class_row(TableHealth))
    return cursor.execute(ESTIMATED_TABLE_HEALTH, {"now": now})


def count_stored(connection: Connection) -> tuple[int, int] | None:
    """Return the number of observations and of portfolio transactions; None without a schema."""
    if not has_schema(connection):
        return None
    [(observations,)] = connection.execute(COUNT_OBSERVATIONS).fetchall()
    try:
        [(transactions,)] = connection.execute(COUNT_TRANSACTIONS).fetchall()
    except psycopg.errors.UndefinedTable:  # the schema is older than the portfolio
        transactions = 0
    return observations, transactions


def count_duplicates(connection: Connection) -> int:
    """Return how many observations are stored more than once, each extra row counted."""
    with connection.transaction():
        connection.execute(GROUP_BY_PARTITION)
        [(count,)] = connection.execute(COUNT_DUPLICATES).fetchall()
    return int(count)
