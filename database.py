"""Writes observations and the newest price of each coin.

`run_write_transaction` is how the pipeline writes: under the lock of all writers, so that two runs
never interleave, and after the daily upkeep of partitions. Statements are sent in pipeline mode,
because Neon bills the time of every round trip: with 40 ms each way one costs 80 ms. What else a
run writes is in `sentinel/storage/coin_labels.py` and `sentinel/storage/run_records.py`.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.rows import namedtuple_row

from safe_zone import LOAD_CHUNK_ROWS
from sentinel.models import CoinLabel, LoadCounts, MarketRow, Source
from sentinel.storage.coin_labels import add_coins
from sentinel.storage.connection import Connection, Session
from sentinel.storage.partitions import (
    Days,
    cluster_closed_partition,
    create_partitions,
    create_upcoming_partitions,
    is_first_write_of_day,
    writer_transaction,
)
from sentinel.storage.retention import (
    ArchiveBeforeDrop,
    enforce_retention_policy,
    is_upkeep_due,
    vacuum_small_tables,
)
from sentinel.storage.schema import apply_migrations

log = logging.getLogger("sentinel.database")
T = TypeVar("T")
# Returns the label of a coin that is not in the database yet, by its id; None: it has none.
FindLabel = Callable[[str], CoinLabel | None]

CHUNKS_IN_FLIGHT = 2  # one is packed while the server works on the other

# Upserts one part of a chunk. Returns how many stored rows it rewrote, how many rows were stored
# before, and the ids of coins that are not in `coins` yet, whose rows it skipped. Only a row that
# is not newer than its coin's latest observation can be stored already, so the search for a
# conflict is limited to these few. A backfilled row never replaces an observed one, and a row that
# changes nothing is not written.
UPSERT_OBSERVATIONS = """
WITH incoming AS MATERIALIZED (
    SELECT i.*, c.coin_key, %(source)s::sentinel.observation_source AS source,
           %(may_repeat)s OR i.observed_at <= c.observed_at AS may_be_stored,
           CASE WHEN %(may_repeat)s OR i.observed_at <= c.observed_at THEN (
               SELECT true FROM sentinel.observations o
               WHERE o.coin_key = c.coin_key AND o.observed_at = i.observed_at
           ) END AS is_stored
    FROM unnest(%(coin_id)b::text[], %(observed_at)b::timestamptz[], %(price_usd)b::float8[],
                %(market_cap_usd)b::float8[], %(volume_24h_usd)b::float8[])
         AS i (coin_id, observed_at, price_usd, market_cap_usd, volume_24h_usd)
    LEFT JOIN sentinel.coins c USING (coin_id)
),
latest AS (
    UPDATE sentinel.coins c
    SET observed_at = i.observed_at, price_usd = i.price_usd, market_cap_usd = i.market_cap_usd,
        volume_24h_usd = i.volume_24h_usd, source = i.source
    FROM incoming i
    WHERE %(is_one_per_coin)s AND c.coin_key = i.coin_key
      AND (c.observed_at IS NULL OR i.observed_at > c.observed_at
           OR (i.observed_at = c.observed_at AND i.source <= c.source
               AND (i.price_usd, i.market_cap_usd, i.volume_24h_usd, i.source)
                   IS DISTINCT FROM (c.price_usd, c.market_cap_usd, c.volume_24h_usd, c.source)))
),
inserted AS (
    INSERT INTO sentinel.observations (observed_at, price_usd, market_cap_usd, volume_24h_usd,
        coin_key, source)
    SELECT observed_at, price_usd, market_cap_usd, volume_24h_usd, coin_key, source
    FROM incoming WHERE may_be_stored IS NOT TRUE AND coin_key IS NOT NULL
),
upserted AS (
    INSERT INTO sentinel.observations AS o (observed_at, price_usd, market_cap_usd,
        volume_24h_usd, coin_key, source)
    SELECT observed_at, price_usd, market_cap_usd, volume_24h_usd, coin_key, source
    FROM incoming WHERE may_be_stored AND coin_key IS NOT NULL
    ON CONFLICT (coin_key, observed_at) DO UPDATE
    SET price_usd = excluded.price_usd, market_cap_usd = excluded.market_cap_usd,
        volume_24h_usd = excluded.volume_24h_usd, source = excluded.source
    WHERE (o.price_usd, o.market_cap_usd, o.volume_24h_usd, o.source)
          IS DISTINCT FROM
          (excluded.price_usd, excluded.market_cap_usd, excluded.volume_24h_usd, excluded.source)
      AND excluded.source <= o.source
    RETURNING 1
)
SELECT (SELECT count(*) FROM upserted)
         - (SELECT count(*) FROM incoming
            WHERE may_be_stored AND is_stored IS NULL AND coin_key IS NOT NULL) AS updated,
       (SELECT count(*) FROM incoming WHERE is_stored) AS stored,
       (SELECT array_agg(DISTINCT coin_id) FROM incoming WHERE coin_key IS NULL) AS unknown_ids
"""

# Copies the newest observation of these coins (without a list: of all coins) from the history to
# `coins`. Needed where a load had several rows of one coin, or a user changed rows by hand.
REFRESH_LATEST = """
UPDATE sentinel.coins c
SET observed_at = n.observed_at, price_usd = n.price_usd, market_cap_usd = n.market_cap_usd,
    volume_24h_usd = n.volume_24h_usd, source = n.source
FROM (SELECT o.*
      FROM sentinel.coins k
      CROSS JOIN LATERAL (
          SELECT * FROM sentinel.observations
          WHERE coin_key = k.coin_key
          ORDER BY observed_at DESC
          LIMIT 1) AS o
      WHERE %(coin_id)b::text[] IS NULL OR k.coin_id = ANY (%(coin_id)b::text[])) AS n
WHERE c.coin_key = n.coin_key
  AND (c.observed_at, c.price_usd, c.market_cap_usd, c.volume_24h_usd, c.source)
      IS DISTINCT FROM (n.observed_at, n.price_usd, n.market_cap_usd, n.volume_24h_usd, n.source)
"""


def run_write_transaction(
    session: Session,
    work: Callable[[Connection, Days], T],
    now: datetime,
    *,
    newest_seen: datetime | None = None,
    archive_hook: ArchiveBeforeDrop | None = None,
) -> T:
    """Run `work` in one transaction under the writers' lock and return its result.

    `work` gets the connection (in pipeline mode) and the days that have a partition. It is
    repeated after transient errors, so it must be idempotent. The schema is applied first where it
    is missing or old. On the first write of a UTC day, expired partitions are dropped and upcoming
    ones created. The purge has its own transaction before `work`, so that it frees space even if
    the disk is full; the vacuum comes after `work`. `newest_seen` and `archive_hook` are those of
    `retention.enforce_retention_policy`.

    Raises StorageUnavailable, and ConfigurationError where the schema is newer than the code.
    """

    def attempt(connection: Connection) -> T:
        with writer_transaction(connection) as days:
            if not is_upkeep_due(days, now):
                return work(connection, days)
            is_new_day = is_first_write_of_day(days, now)
        purged = enforce_retention_policy(connection, now, newest_seen, archive_hook)
        session.purged_rows += purged
        if is_new_day:
            cluster_closed_partition(connection, now)
        with writer_transaction(connection) as days:
            create_upcoming_partitions(connection, days, now)
            result = work(connection, days)
        if is_new_day or purged:
            vacuum_small_tables(connection)
        return result

    return session.use(functools.partial(_attempt_with_recovery, attempt))


def run_write_without_purge(session: Session, work: Callable[[Connection, Days], T]) -> T:
    """Run `work` like `run_write_transaction`, but leave upkeep and purge to the run itself.

    The backfill uses it for the second write of a run, and `archive.py restore` for archived days.
    """

    def attempt(connection: Connection) -> T:
        with writer_transaction(connection) as days:
            return work(connection, days)

    return session.use(functools.partial(_attempt_with_recovery, attempt))


def _attempt_with_recovery(attempt: Callable[[Connection], T], connection: Connection) -> T:
    """Run `attempt`, and once more after applying the schema or correcting the latest prices."""
    try:
        return attempt(connection)
    except psycopg.errors.UndefinedTable:
        apply_migrations(connection)
    except psycopg.errors.UniqueViolation:
        log.warning(
            "coins and observations disagree, as after a change by hand: "
            "refreshing the latest prices from the observations"
        )
        connection.execute(REFRESH_LATEST, {"coin_id": None})
    return attempt(connection)


# --- loading ---------------------------------------------------------------------------------


def load_batch(
    connection: Connection, rows: Iterable[MarketRow], find_label: FindLabel, days: Days
) -> LoadCounts:
    """Upsert observations and each coin's latest price; return how many rows changed.

    Needs a transaction in pipeline mode. `rows` may be a stream of any length, because only
    LOAD_CHUNK_ROWS of them are held at a time. `days` are the days that have a partition; missing
    partitions are created and added to it.
    """
    load = _Load(connection, find_label)
    for chunk in _chunks(rows, LOAD_CHUNK_ROWS):
        chunk_days = {row.observed_at.astimezone(UTC).date() for row in chunk}
        create_partitions(connection, days, chunk_days)
        load.send(chunk)
        load.complete(leave=CHUNKS_IN_FLIGHT)
    load.complete()
    return load.counts


class _Load:
    """A load in progress: its statements under way, and what is known so far."""

    def __init__(self, connection: Connection, find_label: FindLabel) -> None:
        self.counts = LoadCounts()
        self._connection = connection
        self._find_label = find_label
        # Each coin's newest time in this load.
        self._newest: dict[str, datetime] = {}
        # Coins whose latest price a single statement could not update.
        self._to_refresh: set[str] = set()
        # Parts that were sent and not completed yet, in the order of their rows.
        self._pending: deque[_SentPart] = deque()

    def send(self, chunk: Sequence[MarketRow]) -> None:
        """Send the statements of a chunk without waiting for their results."""
        coin_ids = {row.coin_id for row in chunk}
        is_one_per_coin = len(coin_ids) == len(chunk)
        for part in _split(self._newest, chunk):
            self._pending.append(_send_part(self._connection, part, is_one_per_coin))
        if not is_one_per_coin:
            self._to_refresh |= coin_ids

    def complete(self, *, leave: int = 0) -> None:
        """Complete parts until `leave` of them are under way; with 0, finish the load."""
        in_flight = leave
        while len(self._pending) > in_flight:
            sent = self._pending.popleft()
            counts, added = _complete_part(self._connection, sent, self._find_label)
            self.counts += counts
            self._to_refresh |= added
            if added:
                # Parts that are already under way skipped these coins too. Complete them before
                # any later row is sent, so that the last row of a key wins.
                in_flight = 0
        if not leave and self._to_refresh:
            parameters = {"coin_id": sorted(self._to_refresh)}
            self._connection.execute(REFRESH_LATEST, parameters)


class _Part(NamedTuple):
    """Rows of one chunk that one statement upserts; each coin and time occurs once."""

    # Whether this load may have stored rows of the same coin and time already.
    may_repeat: bool
    # All rows have this source.
    source: Source
    rows: list[MarketRow]


# A part whose statement is on its way, and the cursor that receives its result: updated, stored,
# unknown_ids.
_SentPart = tuple[_Part, psycopg.Cursor[Any]]


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _split(newest: dict[str, datetime], chunk: Iterable[MarketRow]) -> Iterator[_Part]:
    """Split a chunk by source, and into rows that are newer than all earlier rows of their coin in
    this load and rows that are not. `newest` holds each coin's newest time and is updated.

    Of several rows with the same coin and time, the last one wins.
    """
    parts: dict[tuple[bool, Source], dict[tuple[str, datetime], MarketRow]] = {}
    for row in chunk:
        before = newest.get(row.coin_id)
        may_repeat = before is not None and row.observed_at <= before
        if not may_repeat:
            newest[row.coin_id] = row.observed_at
        key = (row.coin_id, row.observed_at)
        parts.setdefault((may_repeat, row.source), {})[key] = row
    for (may_repeat, source), rows in sorted(parts.items()):
        yield _Part(may_repeat, source, list(rows.values()))


def _send_part(connection: Connection, part: _Part, is_one_per_coin: bool) -> _SentPart:
    """Send the upsert of a part. With `is_one_per_coin`, it also updates the latest prices."""
    names = ("coin_id", "observed_at", "price_usd", "market_cap_usd", "volume_24h_usd")
    columns = {name: [getattr(row, name) for row in part.rows] for name in names}
    flags = {"may_repeat": part.may_repeat, "is_one_per_coin": is_one_per_coin}
    cursor = connection.cursor(row_factory=namedtuple_row)
    cursor.execute(UPSERT_OBSERVATIONS, {**columns, **flags, "source": part.source})
    return part, cursor


def _complete_part(
    connection: Connection, sent: _SentPart, find_label: FindLabel
) -> tuple[LoadCounts, set[str]]:
    """Read the result of a part. Add its unknown coins and upsert their rows; return the counts of
    the whole part and the ids of the added coins."""
    part, cursor = sent
    [result] = cursor.fetchall()
    added: set[str] = set(result.unknown_ids or ())
    skipped = [row for row in part.rows if row.coin_id in added] if added else []
    known = len(part.rows) - len(skipped)
    counts = LoadCounts(known - result.stored, result.updated, result.stored - result.updated)
    if skipped:
        add_coins(connection, {coin_id: find_label(coin_id) for coin_id in sorted(added)})
        rest = _Part(may_repeat=True, source=part.source, rows=skipped)
        sent_rest = _send_part(connection, rest, is_one_per_coin=False)
        rest_counts, _ = _complete_part(connection, sent_rest, find_label)
        counts += rest_counts
    return counts, added
