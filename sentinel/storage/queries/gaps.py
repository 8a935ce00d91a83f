"""Finds gaps: pauses of a coin's observations that are too long for the configured cadence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from safe_zone import DETAIL_MINUTES, DETAIL_WINDOW, GAP_FACTOR, GAP_WINDOW, HOURLY_DETAIL
from sentinel.models import Gap, GapReason
from sentinel.storage.connection import Connection

# The pauses that are longer than a limit. An unfillable gap carries its reason, also where a part
# of it has been filled since. A gap without 5-minute points that is too short for hourly ones has
# its reason from its age: to store these would take a row for each gap of each coin.
FOUND_GAPS: LiteralString = """
WITH pauses AS (
    SELECT coin_key, o.observed_at AS start,
           lead(o.observed_at, 1, %(until)s) OVER (
               PARTITION BY coin_key ORDER BY o.observed_at) AS stop
    FROM sentinel.coins c JOIN sentinel.observations o USING (coin_key)
    WHERE (%(coin_ids)s::text[] IS NULL OR c.coin_id = ANY (%(coin_ids)s::text[]))
      AND o.observed_at >= %(since)s AND o.observed_at <= %(now)s
),
gaps AS MATERIALIZED (
    SELECT coin_key, start, stop,
           stop - greatest(start, %(detail_since)s) > %(slot)s AS has_detail
    FROM pauses
    WHERE stop - start > %(limit)s
),
found AS (
    SELECT DISTINCT ON (p.coin_key, p.start) p.coin_key, p.start, p.stop, p.has_detail,
           coalesce(g.reason, CASE WHEN NOT p.has_detail AND p.stop - p.start <= %(hourly)s
                                   THEN 'only_hourly_left' END) AS reason
    FROM gaps p
    LEFT JOIN (SELECT * FROM sentinel.unfillable_gaps
               WHERE stop >= %(since)s AND (retry_after IS NULL OR retry_after > %(now)s)) AS g
        ON g.coin_key = p.coin_key AND g.start <= p.start AND g.stop >= p.stop
    ORDER BY p.coin_key, p.start, g.start DESC NULLS LAST
)
{selected}
"""

LIST_GAPS: LiteralString = """
SELECT c.coin_id, f.start, f.stop, %(slot)s AS slot,
       round(extract(epoch FROM f.stop - f.start) / extract(epoch FROM %(slot)s))::int - 1
           AS missed,
       f.reason
FROM found f JOIN sentinel.coins c USING (coin_key)
ORDER BY c.rank NULLS LAST, c.coin_id, f.start
"""

# One row a coin: with an unreliable schedule, 500 coins have tens of thousands of gaps in a week.
FILLABLE_COINS: LiteralString = """
SELECT c.coin_id, min(f.start) FILTER (WHERE f.has_detail) AS detailed_since,
       min(f.start) FILTER (WHERE NOT f.has_detail) AS hourly_since
FROM found f JOIN sentinel.coins c USING (coin_key)
WHERE f.reason IS NULL
GROUP BY c.coin_id
"""

GAPS_BY_REASON: LiteralString = """
SELECT reason, count(*) AS gaps, count(DISTINCT coin_key) AS coins, max(stop - start) AS longest,
       max(start) AS newest
FROM found
GROUP BY reason
ORDER BY gaps DESC, reason
"""


class GapGroup(NamedTuple):
    """The gaps that have one reason."""

    # None: a backfill may still fill them.
    reason: GapReason | None
    gaps: int
    coins: int
    longest: timedelta
    # When the newest of them began.
    newest: datetime


class FillableCoin(NamedTuple):
    """A coin with gaps that a call may fill: where the oldest gap of each kind begins."""

    coin_id: str
    # Of the gaps that CoinGecko still has 5-minute points for; None: there are none.
    detailed_since: datetime | None
    # Of the gaps that only hourly points are left for.
    hourly_since: datetime | None


def find_gaps(
    connection: Connection,
    now: datetime,
    *,
    cadence: timedelta,
    coin_ids: Sequence[str] | None = None,
    until: datetime | None = None,
    factor: float = GAP_FACTOR,
) -> psycopg.Cursor[Gap]:
    """Return the gaps of the last GAP_WINDOW in order of rank, of `coin_ids` or of all coins.

    The gaps arrive when the caller fetches them. A gap is longer than `factor` times the cadence as
    `limit_slot` has it. With `until`, the pause from a coin's newest observation until then counts
    too.
    """
    parameters = _parameters(now, cadence, coin_ids, until, factor)
    return connection.cursor(row_factory=class_row(Gap)).execute(_select(LIST_GAPS), parameters)


def group_gaps(
    connection: Connection, now: datetime, *, cadence: timedelta, coin_ids: Sequence[str]
) -> psycopg.Cursor[GapGroup]:
    """Return the gaps of the coins by reason, the most frequent one first.

    The groups arrive when the caller fetches them. The parameters are `find_gaps`'s.
    """
    parameters = _parameters(now, cadence, coin_ids, None, GAP_FACTOR)
    cursor = connection.cursor(row_factory=class_row(GapGroup))
    return cursor.execute(_select(GAPS_BY_REASON), parameters)


def find_fillable_coins(
    connection: Connection,
    now: datetime,
    *,
    cadence: timedelta,
    coin_ids: Sequence[str],
    until: datetime | None = None,
) -> psycopg.Cursor[FillableCoin]:
    """Return which of the coins have gaps that a call may fill. The parameters are `find_gaps`'s.

    The coins arrive when the caller fetches them.
    """
    parameters = _parameters(now, cadence, coin_ids, until, GAP_FACTOR)
    cursor = connection.cursor(row_factory=class_row(FillableCoin))
    return cursor.execute(_select(FILLABLE_COINS), parameters)


def limit_slot(cadence: timedelta) -> timedelta:
    """Return the cadence, but at least DETAIL_MINUTES: no backfill is finer."""
    return max(cadence, timedelta(minutes=DETAIL_MINUTES))


def _select(statement: LiteralString) -> sql.Composed:
    return sql.SQL(FOUND_GAPS).format(selected=sql.SQL(statement))


def _parameters(
    now: datetime,
    cadence: timedelta,
    coin_ids: Sequence[str] | None,
    until: datetime | None,
    factor: float,
) -> dict[str, Any]:
    slot = limit_slot(cadence)
    return {
        "now": now,
        "since": now - GAP_WINDOW,
        "until": until,
        "slot": slot,
        "limit": factor * slot,
        "detail_since": now - DETAIL_WINDOW,
        "hourly": HOURLY_DETAIL,
        "coin_ids": None if coin_ids is None else list(coin_ids),
    }
