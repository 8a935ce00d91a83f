"""Writes the market data: observations, and each coin's labels and newest price.

`run_write_transaction` is how the pipeline writes: under the lock of all writers, so that two runs
never interleave, and after the daily upkeep of partitions. Statements are sent in pipeline mode,
because Neon bills the time of every round trip: with 40 ms each way one costs 80 ms. What a run
records beside prices is in `sentinel/storage/run_records.py`.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.rows import namedtuple_row

from safe_zone import LOAD_CHUNK_ROWS
from sentinel.models import CoinLabel, LoadCounts, MarketRow, Source
from sentinel.storage.connection import Connection, Session
from sentinel.storage.partitions import (
    Days,
    cluster_closed_partition,
    create_partitions,
    create_upcoming_partitions,
    is_first_write_of_day,
    writer_transaction,
)
from sentinel.storage.retention import ArchiveBeforeDrop, enforce_retention_policy, is_upkeep_due
from sentinel.storage.schema import apply_migrations

log = logging.getLogger("sentinel.database")
T = TypeVar("T")
# Returns the label of a coin that is not in the database yet, by its id; None: it has none.
FindLabel = Callable[[str], CoinLabel | None]

CHUNKS_IN_FLIGHT = 2  # one is packed while the server works on the other

# A coin without a label gets its id as symbol and name.
ADD_COINS = """
INSERT INTO sentinel.coins (coin_id, symbol, name, rank)
SELECT coin_id, coalesce(symbol, coin_id), coalesce(name, coin_id), rank
FROM unnest(%(coin_id)b::text[], %(symbol)b::text[], %(name)b::text[], %(rank)b::int4[])
     AS i (coin_id, symbol, name, rank)
ON CONFLICT (coin_id) DO NOTHING
"""

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

# A coin without a label keeps its names and loses its rank: a coin that left the ranking must not
# stay in it.
RELABEL_COINS = """
UPDATE sentinel.coins c
SET symbol = i.symbol, name = i.name, rank = i.rank
FROM (SELECT known.coin_key, l.rank, coalesce(l.symbol, known.symbol) AS symbol,
             coalesce(l.name, known.name) AS name
      FROM sentinel.coins known
      LEFT JOIN unnest(%(coin_id)b::text[], %(symbol)b::text[], %(name)b::text[], %(rank)b::int4[])
                AS l (coin_id, symbol, name, rank) USING (coin_id)) AS i
WHERE c.coin_key = i.coin_key
  AND (c.symbol, c.name, c.rank) IS DISTINCT FROM (i.symbol, i.name, i.rank)
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
    the disk is full; `newest_seen` and `archive_hook` are those of
    `retention.enforce_retention_policy`.

    Raises StorageUnavailable, and ConfigurationError where the schema is newer than the code.
    """

    def attempt(connection: Connection) -> T:
        with writer_transaction(connection) as days:
            if not is_upkeep_due(days, now):
                return work(connection, days)
            is_new_day = is_first_write_of_day(days, now)
        session.purged_rows += enforce_retention_policy(connection, now, newest_seen, archive_hook)
        if is_new_day:
            cluster_closed_partition(connection, now)
        with writer_transaction(connection) as days:
            create_upcoming_partitions(connection, days, now)
            return work(connection, days)

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
    newest: dict[str, datetime] = {}
    to_refresh: set[str] = set()
    pending: deque[_SentPart] = deque()
    counts = LoadCounts()
    for chunk in _chunks(rows, LOAD_CHUNK_ROWS):
        create_partitions(
            connection, days, {row.observed_at.astimezone(UTC).date() for row in chunk}
        )
        coin_ids = {row.coin_id for row in chunk}
        is_one_per_coin = len(coin_ids) == len(chunk)
        pending.extend(
            _send_part(connection, part, is_one_per_coin) for part in _split(newest, chunk)
        )
        if not is_one_per_coin:
            to_refresh |= coin_ids
        in_flight = CHUNKS_IN_FLIGHT
        while len(pending) > in_flight:
            part_counts, added = _complete_part(connection, pending.popleft(), find_label)
            counts += part_counts
            to_refresh |= added
            if added:
                # Parts that are already under way skipped these coins too. Complete them before
                # any later row is sent, so that the last row of a key wins.
                in_flight = 0
    for sent in pending:
        part_counts, added = _complete_part(connection, sent, find_label)
        counts += part_counts
        to_refresh |= added
    if to_refresh:
        connection.execute(REFRESH_LATEST, {"coin_id": sorted(to_refresh)})
    return counts


class _Part(NamedTuple):
    """Rows of one chunk that one statement upserts; each coin and time occurs once."""

    # Whether this load may have stored rows of the same coin and time already.
    may_repeat: bool
    # All rows have this source.
    source: Source
    rows: list[MarketRow]


class _SentPart(NamedTuple):
    """A part whose statement is on its way."""

    part: _Part
    # Receives the result: updated, stored, unknown_ids.
    cursor: psycopg.Cursor[Any]


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
    return _SentPart(part, cursor)


def _complete_part(
    connection: Connection, sent: _SentPart, find_label: FindLabel
) -> tuple[LoadCounts, set[str]]:
    """Read the result of a part. Add its unknown coins and upsert their rows; return the counts of
    the whole part and the ids of the added coins."""
    [result] = sent.cursor.fetchall()
    added: set[str] = set(result.unknown_ids or ())
    skipped = [row for row in sent.part.rows if row.coin_id in added] if added else []
    known = len(sent.part.rows) - len(skipped)
    counts = LoadCounts(known - result.stored, result.updated, result.stored - result.updated)
    if skipped:
        _add_coins(connection, {coin_id: find_label(coin_id) for coin_id in sorted(added)})
        rest = _Part(may_repeat=True, source=sent.part.source, rows=skipped)
        sent_rest = _send_part(connection, rest, is_one_per_coin=False)
        rest_counts, _ = _complete_part(connection, sent_rest, find_label)
        counts += rest_counts
    return counts, added


# --- coins -----------------------------------------------------------------------------------


def _add_coins(connection: Connection, labels: Mapping[str, CoinLabel | None]) -> None:
    connection.execute(ADD_COINS, _label_columns(labels))


def relabel_coins(connection: Connection, labels: Mapping[str, CoinLabel]) -> None:
    """Update the names and ranks of all stored coins. A coin that is not in `labels` keeps its
    names and loses its rank."""
    if labels:
        connection.execute(RELABEL_COINS, _label_columns(labels))


def _label_columns(labels: Mapping[str, CoinLabel | None]) -> dict[str, Sequence[Any]]:
    """Return labels as one array per column, for unnest."""
    unlabeled = CoinLabel(None, None, None)
    found = [label or unlabeled for label in labels.values()]
    return {
        "coin_id": list(labels),
        "symbol": [label.symbol for label in found],
        "name": [label.name for label in found],
        "rank": [label.rank for label in found],
    }
