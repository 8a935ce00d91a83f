"""Every read. Functions take a connection (postgres.Session.use) and return frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from psycopg.rows import class_row, scalar_row

from postgres import Connection
from records import Source
from safe_zone import FREE_STORAGE_BYTES, GAP_FACTOR, GAP_WINDOW, RETENTION

# The newest observation of each coin stands beside the coin: no walk through the history.
LATEST_PRICES = """
SELECT coin_id, symbol, name, rank, price, market_cap, volume_24h, observed_at, source
FROM coins
WHERE observed_at IS NOT NULL
ORDER BY rank NULLS LAST, coin_id
LIMIT %(limit)s
"""

# Times as parameters let the planner leave out the other days' partitions.
PRICE_SERIES = """
SELECT o.observed_at, o.price, o.market_cap, o.volume_24h, o.source::text
FROM observations o
WHERE o.coin_key = (SELECT coin_key FROM coins WHERE coin_id = %(coin_id)s)
  AND o.observed_at >= %(start)s AND o.observed_at < %(stop)s
ORDER BY o.observed_at
"""

# Pauses between runs that brought rows, measured against the usual pause.
GAPS = """
WITH pauses AS (
    SELECT started_at AS start, lead(started_at) OVER (ORDER BY started_at) AS stop
    FROM pipeline_runs
    WHERE rows_valid > 0 AND started_at >= %(since)s AND started_at <= %(now)s
),
usual AS (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY stop - start) AS pause
    FROM pauses
    WHERE stop IS NOT NULL
)
SELECT start, stop, round(extract(epoch FROM stop - start) / extract(epoch FROM pause))::int - 1
       AS missed_runs
FROM pauses, usual
WHERE pause > interval '0' AND stop - start > %(factor)s * pause
ORDER BY start
"""

COUNT_OBSERVATIONS = "SELECT count(*) FROM observations"

HAS_SCHEMA = "SELECT to_regclass('market_data') IS NOT NULL"

# What verify_db shows of the tables as a whole.
TABLE_HEALTH = """
SELECT (SELECT count(*) FROM observations) AS rows,
       (SELECT count(*) FROM coins WHERE observed_at IS NOT NULL) AS coins,
       (SELECT max(observed_at) FROM coins) AS newest,
       (SELECT min(observed_at) FROM observations) AS oldest,
       (SELECT count(*) FROM observations WHERE observed_at > %(now)s - interval '1 day')
           AS rows_last_day,
       (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint
        FROM pg_inherits WHERE inhparent = 'observations'::regclass) AS observation_bytes,
       pg_database_size(current_database()) AS database_bytes
"""

# The primary key forbids duplicates; this looks whether it kept its word (a damaged index does
# not). Partition by partition it needs no sort.
DUPLICATES = """
SELECT coalesce(sum(extra), 0)::bigint
FROM (SELECT count(*) - 1 AS extra
      FROM observations
      GROUP BY coin_key, observed_at
      HAVING count(*) > 1) AS repeated
"""


@dataclass(frozen=True, slots=True)
class LatestPrice:
    """A coin's newest observation; prices, caps and volumes in USD."""

    coin_id: str
    symbol: str
    name: str
    rank: int | None
    price: float
    market_cap: float | None
    volume_24h: float | None
    observed_at: datetime
    source: Source


class PricePoint(NamedTuple):
    """One observation of a coin's history, in USD. A tuple, because a week has thousands."""

    observed_at: datetime
    price: float
    market_cap: float | None
    volume_24h: float | None
    source: Source


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without a run: between two runs, about this many were missed."""

    start: datetime
    stop: datetime
    missed_runs: int


@dataclass(frozen=True, slots=True)
class TableHealth:
    """How much there is, how old it is, and what it costs. `newest` and `oldest` are None where
    nothing is stored."""

    rows: int
    coins: int
    newest: datetime | None
    oldest: datetime | None
    rows_last_day: int
    observation_bytes: int
    database_bytes: int

    @property
    def bytes_per_row(self) -> float | None:
        """Heap and indexes, for one observation."""
        return self.observation_bytes / self.rows if self.rows else None

    def days_until_full(self, now: datetime, quota_bytes: int = FREE_STORAGE_BYTES) -> float | None:
        """Days until `quota_bytes` are reached at the last day's pace.

        None where they never are, because the retention ends the growth first, or where there is
        less than a day of data to judge by.
        """
        if not self.bytes_per_row or not self.oldest or (now - self.oldest).days < 1:
            return None
        growth = self.rows_last_day * self.bytes_per_row
        fixed = self.database_bytes - self.observation_bytes
        # One day more than the window: days go whole.
        if not growth or fixed + growth * (RETENTION.days + 1) <= quota_bytes:
            return None
        return max(0.0, (quota_bytes - self.database_bytes) / growth)


def has_schema(connection: Connection) -> bool:
    """Whether any run has ever stored something here."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(HAS_SCHEMA).fetchone())


def latest_prices(connection: Connection, limit: int) -> list[LatestPrice]:
    """The newest observation of the `limit` best ranked coins."""
    with connection.cursor(row_factory=class_row(LatestPrice)) as cursor:
        return cursor.execute(LATEST_PRICES, {"limit": limit}).fetchall()


def price_series(
    connection: Connection, coin_id: str, start: datetime, stop: datetime
) -> list[PricePoint]:
    """A coin's observations from `start` to before `stop`, in order of time."""
    parameters = {"coin_id": coin_id, "start": start, "stop": stop}
    with connection.cursor(binary=True) as cursor:
        return list(map(PricePoint._make, cursor.execute(PRICE_SERIES, parameters)))


def find_gaps(connection: Connection, now: datetime) -> list[Gap]:
    """Pauses within GAP_WINDOW that are GAP_FACTOR times as long as the usual one.

    The yardstick is the observed cadence: schedulers deliver less than their cron line says.
    """
    with connection.cursor(row_factory=class_row(Gap)) as cursor:
        parameters = {"since": now - GAP_WINDOW, "now": now, "factor": GAP_FACTOR}
        return cursor.execute(GAPS, parameters).fetchall()


def table_health(connection: Connection, now: datetime) -> TableHealth:
    """Counts, ages and sizes."""
    with connection.cursor(row_factory=class_row(TableHealth)) as cursor:
        [found] = cursor.execute(TABLE_HEALTH, {"now": now}).fetchall()
    return found


def count_observations(connection: Connection) -> int:
    """How many observations there are."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(COUNT_OBSERVATIONS).fetchone() or 0)


def count_duplicates(connection: Connection) -> int:
    """Observations that are stored more than once."""
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute("SET LOCAL enable_partitionwise_aggregate = on")
        return int(cursor.execute(DUPLICATES).fetchone() or 0)
