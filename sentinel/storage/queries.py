"""Every read. Functions take a connection (postgres.Session.use) and return frozen values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import class_row, scalar_row

from safe_zone import (
    CADENCE_WINDOW,
    DETAIL_MINUTES,
    GAP_FACTOR,
    GAP_FACTOR_ROUGH,
    GAP_WINDOW,
    MIN_PAUSES_FOR_CADENCE,
    RETENTION,
)
from sentinel.budget import schedule
from sentinel.budget.schedule import ScheduleCoverage
from sentinel.budget.usage_log import Usage
from sentinel.models import Gap, Source
from sentinel.storage.connection import Connection

# The newest observation of each coin stands beside the coin: no walk through the history.
LATEST_PRICES = """
SELECT coin_id, symbol, name, rank, price_usd, market_cap_usd, volume_24h_usd, observed_at, source
FROM sentinel.coins
WHERE observed_at IS NOT NULL
ORDER BY rank NULLS LAST, coin_id
LIMIT %(limit)s
"""

# Times as parameters let the planner leave out the other days' partitions.
PRICE_SERIES = """
SELECT o.observed_at, o.price_usd, o.market_cap_usd, o.volume_24h_usd, o.source::text
FROM sentinel.observations o
WHERE o.coin_key = (SELECT coin_key FROM sentinel.coins WHERE coin_id = %(coin_id)s)
  AND o.observed_at >= %(start)s AND o.observed_at < %(stop)s
ORDER BY o.observed_at
"""

# Pauses between a coin's observations, measured against its usual one: the median between those
# that were observed. Five minutes is the finest that a repair can be. What was given up carries its
# reason.
GAPS = """
WITH points AS MATERIALIZED (
    SELECT coin_key, o.observed_at AS start, o.source,
           lead(o.observed_at, 1, %(until)s) OVER (
               PARTITION BY coin_key ORDER BY o.observed_at) AS stop
    FROM sentinel.coins c JOIN sentinel.observations o USING (coin_key)
    WHERE (%(coin_ids)s::text[] IS NULL OR c.coin_id = ANY (%(coin_ids)s::text[]))
      AND o.observed_at >= %(since)s AND o.observed_at <= %(now)s
),
pauses AS (
    SELECT coin_key, start - lag(start) OVER (PARTITION BY coin_key ORDER BY start) AS pause
    FROM points
    WHERE source = 'observed'
),
usual AS (
    SELECT coin_key,
           greatest(coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY pause), %(cadence)s),
                    %(finest)s) AS slot,
           CASE WHEN count(pause) < %(few)s THEN %(factor_of_few)s ELSE %(factor)s END AS factor
    FROM pauses
    GROUP BY coin_key
)
SELECT c.coin_id, p.start, p.stop, u.slot,
       round(extract(epoch FROM p.stop - p.start) / extract(epoch FROM u.slot))::int - 1 AS missed,
       (SELECT g.reason FROM sentinel.unfillable_gaps g
        WHERE g.coin_key = p.coin_key AND g.start <= p.start AND g.stop >= p.stop
          AND (g.retry_after IS NULL OR g.retry_after > %(now)s) LIMIT 1)
FROM points p JOIN usual u USING (coin_key) JOIN sentinel.coins c USING (coin_key)
WHERE p.stop - p.start > u.factor * u.slot
ORDER BY c.rank NULLS LAST, c.coin_id, p.start
"""

# When runs came, and how many before each did not reach the database.
RUNS = """
SELECT started_at, unrecorded_runs, mode
FROM sentinel.pipeline_runs
WHERE started_at >= %(since)s AND started_at <= %(now)s
ORDER BY started_at
"""

USUAL_PAUSE = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY pause)
FROM (SELECT started_at - lag(started_at) OVER (ORDER BY started_at) AS pause
      FROM sentinel.pipeline_runs
      WHERE mode = 'ingest' AND started_at >= %(since)s AND started_at <= %(now)s) AS pauses
"""

# What runs used, as far as the database knows.
USAGES = """
SELECT started_at, greatest(extract(epoch FROM recorded_at - started_at), 0)::float8, api_credits,
       db_seconds, backfill_credits
FROM sentinel.pipeline_runs
WHERE started_at >= %(since)s AND started_at < %(now)s
ORDER BY started_at
"""

DATABASE_BYTES = "SELECT pg_database_size(current_database())"

COUNT_OBSERVATIONS = "SELECT count(*) FROM sentinel.observations"

COUNT_TRANSACTIONS = "SELECT count(*) FROM sentinel.transactions"

# What verify_db shows of the tables as a whole.
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

# The primary key forbids duplicates; this looks whether it kept its word (a damaged index does
# not). Partition by partition it needs no sort.
DUPLICATES = """
SELECT coalesce(sum(extra), 0)::bigint
FROM (SELECT count(*) - 1 AS extra
      FROM sentinel.observations
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
    price_usd: float
    market_cap_usd: float | None
    volume_24h_usd: float | None
    observed_at: datetime
    source: Source


class PricePoint(NamedTuple):
    """One observation of a coin's history, in USD. A tuple, because a week has thousands."""

    observed_at: datetime
    price_usd: float
    market_cap_usd: float | None
    volume_24h_usd: float | None
    source: Source


class RecentActivity(NamedTuple):
    """The size of the whole database in bytes, what runs used, and the gaps."""

    database_bytes: int
    usages: list[Usage]
    gaps: list[Gap]


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

    def days_until_full(self, now: datetime, quota_bytes: float | None) -> float | None:
        """Days until `quota_bytes` are reached at the last day's pace.

        None where they never are, because the retention ends the growth first or there is no
        quota, or where there is less than a day of data to judge by.
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
        # One day more than the window: days go whole.
        if not growth or fixed + growth * (RETENTION.days + 1) <= quota_bytes:
            return None
        return max(0.0, (quota_bytes - self.database_bytes) / growth)


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


def find_gaps(
    connection: Connection,
    now: datetime,
    *,
    cadence: timedelta,
    coin_ids: Sequence[str] | None = None,
    until: datetime | None = None,
) -> list[Gap]:
    """Pauses within GAP_WINDOW that are more than GAP_FACTOR times a coin's usual one, by rank.

    The yardstick is the observed cadence: schedulers deliver less than their cron line says.
    `cadence` stands in where a coin has too few observations to have a usual pause. With `until`
    the pause from a coin's newest observation until then counts too.
    """
    parameters = _gap_parameters(now, cadence, coin_ids, until)
    return list(map(Gap._make, connection.execute(GAPS, parameters)))


def _gap_parameters(
    now: datetime, cadence: timedelta, coin_ids: Sequence[str] | None, until: datetime | None
) -> dict[str, Any]:
    return {
        "now": now,
        "since": now - GAP_WINDOW,
        "until": until,
        "cadence": cadence,
        "finest": timedelta(minutes=DETAIL_MINUTES),
        "factor": GAP_FACTOR,
        "few": MIN_PAUSES_FOR_CADENCE,
        "factor_of_few": GAP_FACTOR_ROUGH,
        "coin_ids": None if coin_ids is None else list(coin_ids),
    }


def load_recent_activity(
    connection: Connection,
    now: datetime,
    *,
    cadence: timedelta,
    coin_ids: Sequence[str],
    until: datetime | None,
    usages_since: datetime,
) -> RecentActivity:
    """What a run wants to know of the runs before it, in one round trip."""
    with connection.pipeline():
        size = connection.execute(DATABASE_BYTES)
        usages = connection.execute(USAGES, {"since": usages_since, "now": now})
        gaps = connection.execute(GAPS, _gap_parameters(now, cadence, coin_ids, until))
        [(database_bytes,)] = size.fetchall()
        return RecentActivity(
            database_bytes,
            [Usage(*row) for row in usages.fetchall()],
            list(map(Gap._make, gaps.fetchall())),
        )


def measure_schedule_coverage(
    connection: Connection, now: datetime, cadence: timedelta
) -> ScheduleCoverage:
    """The slots of the last CADENCE_WINDOW, and the runs that came, whether they stored or not."""
    parameters = {"since": now - CADENCE_WINDOW, "now": now}
    runs = connection.execute(RUNS, parameters).fetchall()
    unseen = sum(unseen for _, unseen, _ in runs)
    scheduled = [at for at, _, mode in runs if mode == "ingest"]
    return schedule.measure_coverage(scheduled, cadence, now, unrecorded_runs=unseen)


def median_run_interval(connection: Connection, now: datetime) -> timedelta | None:
    """The median pause between the runs of the last CADENCE_WINDOW; None before there are two."""
    [(pause,)] = connection.execute(
        USUAL_PAUSE, {"since": now - CADENCE_WINDOW, "now": now}
    ).fetchall()
    return pause or None


def table_health(connection: Connection, now: datetime) -> TableHealth:
    """Counts, ages and sizes."""
    with connection.cursor(row_factory=class_row(TableHealth)) as cursor:
        [found] = cursor.execute(TABLE_HEALTH, {"now": now}).fetchall()
    return found


def count_observations(connection: Connection) -> int:
    """How many observations there are."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(COUNT_OBSERVATIONS).fetchone() or 0)


def count_transactions(connection: Connection) -> int:
    """How many transactions of a portfolio there are; 0 where the monitor never ran."""
    try:
        with connection.cursor(row_factory=scalar_row) as cursor:
            return int(cursor.execute(COUNT_TRANSACTIONS).fetchone() or 0)
    except psycopg.errors.UndefinedTable:
        return 0


def count_duplicates(connection: Connection) -> int:
    """Observations that are stored more than once."""
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute("SET LOCAL enable_partitionwise_aggregate = on")
        return int(cursor.execute(DUPLICATES).fetchone() or 0)
