"""Every write: observations, the newest of each coin, rejections, rates, the run's own record.

A write takes one advisory lock, so that two runs never interleave, and sends what it can in
pipeline mode: at 40 ms each way every round trip is 80 ms more that Neon bills.
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
from psycopg.types.json import Jsonb

from safe_zone import LOAD_CHUNK_ROWS
from sentinel.models import CoinLabel, FxRate, Gap, LoadCounts, MarketRow, Rejection, Source
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
CHUNKS_IN_FLIGHT = 2

# Writes the coins that are new; one that nobody describes is called by its id.
ADD_COINS = """
INSERT INTO sentinel.coins (coin_id, symbol, name, rank)
SELECT coin_id, coalesce(symbol, coin_id), coalesce(name, coin_id), rank
FROM unnest(%(coin_id)b::text[], %(symbol)b::text[], %(name)b::text[], %(rank)b::int4[])
     AS i (coin_id, symbol, name, rank)
ON CONFLICT (coin_id) DO NOTHING
"""

# Upserts one chunk; returns how many stored rows were written again, how many of the chunk were
# stored before, and the coins that are not known yet, whose rows were left out. Only rows that are
# not newer than their coin's latest observation can be stored already; the others, nearly all, are
# spared the search for a conflict. A backfilled value never replaces an observed one, and an
# unchanged row is not written.
UPSERT_OBSERVATIONS = """
WITH incoming AS MATERIALIZED (
    SELECT i.*, c.coin_key, %(source)s::sentinel.observation_source AS source,
           %(revisited)s OR i.observed_at <= c.observed_at AS may_be_stored,
           CASE WHEN %(revisited)s OR i.observed_at <= c.observed_at THEN (
               SELECT true FROM sentinel.observations o
               WHERE o.coin_key = c.coin_key AND o.observed_at = i.observed_at
           ) END AS is_stored
    FROM unnest(%(coin_id)b::text[], %(observed_at)b::timestamptz[], %(price)b::float8[],
                %(market_cap)b::float8[], %(volume_24h)b::float8[])
         AS i (coin_id, observed_at, price_usd, market_cap_usd, volume_24h_usd)
    LEFT JOIN sentinel.coins c USING (coin_id)
),
latest AS (
    UPDATE sentinel.coins c
    SET observed_at = i.observed_at, price_usd = i.price_usd, market_cap_usd = i.market_cap_usd,
        volume_24h_usd = i.volume_24h_usd, source = i.source
    FROM incoming i
    WHERE %(one_a_coin)s AND c.coin_key = i.coin_key
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
            WHERE may_be_stored AND is_stored IS NULL AND coin_key IS NOT NULL),
       (SELECT count(*) FROM incoming WHERE is_stored),
       (SELECT array_agg(DISTINCT coin_id) FROM incoming WHERE coin_key IS NULL)
"""

# Reads the newest observation of these coins (of all, without a list) from the history again: where
# a load brought several of one coin, or somebody wrote by hand.
READ_LATEST_AGAIN = """
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

RECORD_REJECTIONS = """
INSERT INTO sentinel.rejections (rejected_at, run_id, coin_id, reason, raw)
SELECT *
FROM unnest(%(rejected_at)b::timestamptz[], %(run_id)b::text[], %(coin_id)b::text[],
            %(reason)b::text[], %(raw)b::text[])
ON CONFLICT (run_id, coin_id) DO NOTHING
"""

RECORD_FX_RATE = """
INSERT INTO sentinel.fx_rates (observed_at, per_usd, currency)
VALUES (%(observed_at)s, %(per_usd)s, %(currency)s)
ON CONFLICT (currency, observed_at) DO NOTHING
"""

RECORD_RUN = """
INSERT INTO sentinel.pipeline_runs (
    run_id, started_at, recorded_at, mode, status, targets, rows_valid, rows_inserted,
    rows_updated, rows_unchanged, rows_backfilled, rows_drained, rejected, missing, api_calls,
    api_credits, db_seconds, purged_rows, unrecorded_runs,
    backfill_credits)
VALUES (
    %(run_id)s, %(started_at)s, %(finished_at)s, %(mode)s, %(status)s, %(targets)s, %(rows_valid)s,
    %(rows_inserted)s, %(rows_updated)s, %(rows_unchanged)s, %(rows_backfilled)s, %(rows_drained)s,
    %(rejected)s, %(missing)s, %(api_calls)s, %(api_credits)s, %(db_seconds)s, %(purged_rows)s,
    %(unrecorded_runs)s, %(backfill_credits)s)
ON CONFLICT (run_id) DO UPDATE
SET recorded_at = excluded.recorded_at, status = excluded.status,
    rows_backfilled = excluded.rows_backfilled, rejected = excluded.rejected,
    api_calls = excluded.api_calls, api_credits = excluded.api_credits,
    db_seconds = excluded.db_seconds, backfill_credits = excluded.backfill_credits
"""

# Keeps which gaps stay, and why.
GIVE_UP_GAPS = """
INSERT INTO sentinel.unfillable_gaps (start, stop, decided_at, retry_after, coin_key, reason)
SELECT start, stop, %(decided_at)s, %(until)s, coin_key, reason
FROM unnest(%(coin_id)b::text[], %(start)b::timestamptz[], %(stop)b::timestamptz[],
            %(reason)b::text[]) AS g (coin_id, start, stop, reason)
JOIN sentinel.coins USING (coin_id)
ON CONFLICT (coin_key, start) DO UPDATE
SET stop = greatest(unfillable_gaps.stop, excluded.stop), reason = excluded.reason,
    decided_at = excluded.decided_at, retry_after = excluded.retry_after
"""

# Brings names and ranks up to date. A coin that nobody describes any more keeps its name, and has
# no rank: what left the ranking must not stand in it for ever.
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


def write(
    session: Session,
    work: Callable[[Connection, Days], T],
    now: datetime,
    *,
    newest_seen: datetime | None = None,
    archive_hook: ArchiveBeforeDrop | None = None,
) -> T:
    """Run `work` in one transaction under the writers' lock, again after transient errors.

    The schema is applied first. Once a day, days older than the retention are dropped in a
    transaction of their own before `work`, so that they make room even where the disk is full,
    and coming days are made. `work` gets the connection (in pipeline mode) and the days there
    are; it may run more than once, so it must be idempotent. `newest_seen` and `archive_hook` are
    for the purge (schema.enforce_retention_policy).

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

    return session.use(functools.partial(_with_repairs, attempt))


def add(session: Session, work: Callable[[Connection, Days], T]) -> T:
    """The same without the purge, for who writes beside a run that sees to it."""

    def attempt(connection: Connection) -> T:
        with writer_transaction(connection) as days:
            return work(connection, days)

    return session.use(functools.partial(_with_repairs, attempt))


def _with_repairs(attempt: Callable[[Connection], T], connection: Connection) -> T:
    try:
        return attempt(connection)
    except psycopg.errors.UndefinedTable:
        apply_migrations(connection)
    except psycopg.errors.UniqueViolation:
        log.warning("coins and history disagree, as after writes by hand: reading anew")
        connection.execute(READ_LATEST_AGAIN, {"coin_id": None})
    return attempt(connection)


# --- loading ---------------------------------------------------------------------------------


def load_batch(
    connection: Connection,
    rows: Iterable[MarketRow],
    describe: Callable[[str], CoinLabel | None],
    days: Days,
) -> LoadCounts:
    """Upsert observations and the latest of each coin; needs a transaction in pipeline mode.

    `rows` may be a stream of any length: LOAD_CHUNK_ROWS of them are held at a time. `describe`
    says how a coin is called that is not known yet, by its id; None: it is called by its id.
    `days` are the partitions there are; those that `rows` need besides are made and added to it.
    """
    newest: dict[str, datetime] = {}
    repeated: set[str] = set()
    pending: deque[_Sent] = deque()
    counts = LoadCounts()
    for chunk in _chunks(rows, LOAD_CHUNK_ROWS):
        create_partitions(
            connection, days, {row.observed_at.astimezone(UTC).date() for row in chunk}
        )
        coin_ids = {row.coin_id for row in chunk}
        one_a_coin = len(coin_ids) == len(chunk)
        pending.extend(_send(connection, part, one_a_coin) for part in _split(newest, chunk))
        if not one_a_coin:
            repeated |= coin_ids
        # One chunk is packed here while the server works on the one before.
        in_flight = CHUNKS_IN_FLIGHT
        while len(pending) > in_flight:
            settled, added = _settle(connection, pending.popleft(), describe)
            counts += settled
            repeated |= added
            if added:  # rows under way miss these coins too: in their order, before any later row
                in_flight = 0
    for sent in pending:
        settled, added = _settle(connection, sent, describe)
        counts += settled
        repeated |= added
    if repeated:
        connection.execute(READ_LATEST_AGAIN, {"coin_id": sorted(repeated)})
    return counts


class _Part(NamedTuple):
    """Rows of one chunk that go in one statement, each (coin, time) once."""

    revisited: bool
    source: Source
    rows: list[MarketRow]


class _Sent(NamedTuple):
    """A part under way, and where its result will be."""

    part: _Part
    cursor: psycopg.Cursor[tuple[Any, ...]]


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _send(connection: Connection, part: _Part, one_a_coin: bool) -> _Sent:
    facts = {"source": part.source, "revisited": part.revisited, "one_a_coin": one_a_coin}
    return _Sent(part, connection.execute(UPSERT_OBSERVATIONS, _columns(part.rows) | facts))


def _settle(
    connection: Connection, sent: _Sent, describe: Callable[[str], CoinLabel | None]
) -> tuple[LoadCounts, set[str]]:
    """Read a part's result. Where coins were unknown, add them and send their rows again; returns
    the counts and the coins added."""
    [(updated, stored, unknown)] = sent.cursor.fetchall()
    added: set[str] = set(unknown or ())
    left_out = [row for row in sent.part.rows if row.coin_id in added] if added else []
    known = len(sent.part.rows) - len(left_out)
    counts = LoadCounts(known - stored, updated, stored - updated)
    if left_out:
        labels = {coin_id: describe(coin_id) for coin_id in sorted(added)}
        connection.execute(ADD_COINS, _labels(labels))
        again = _Part(revisited=True, source=sent.part.source, rows=left_out)
        settled, _ = _settle(connection, _send(connection, again, one_a_coin=False), describe)
        counts += settled
    return counts, added


def _labels(labels: Mapping[str, CoinLabel | None]) -> dict[str, Any]:
    """Labels as one array a column, for unnest."""
    unknown = CoinLabel(None, None, None)
    symbols, names, ranks = zip(*(label or unknown for label in labels.values()), strict=True)
    columns = {"symbol": list(symbols), "name": list(names), "rank": list(ranks)}
    return {"coin_id": list(labels)} | columns


def _split(newest: dict[str, datetime], chunk: Iterable[MarketRow]) -> Iterator[_Part]:
    """Part a chunk by source, and into rows in order of time and rows that this load may have
    brought already; `newest` remembers each coin's newest time so far."""
    parts: dict[tuple[bool, Source], dict[tuple[str, datetime], MarketRow]] = {}
    for row in chunk:
        before = newest.get(row.coin_id)
        revisited = before is not None and row.observed_at <= before
        if not revisited:
            newest[row.coin_id] = row.observed_at
        parts.setdefault((revisited, row.source), {})[row[:2]] = row
    for (revisited, source), rows in sorted(parts.items()):
        yield _Part(revisited, source, list(rows.values()))


def _columns(rows: Sequence[MarketRow]) -> dict[str, Any]:
    """Rows as one array a column, for unnest."""
    names = ("coin_id", "observed_at", "price", "market_cap", "volume_24h")
    return dict(zip(names, map(list, zip(*(row[:5] for row in rows), strict=True)), strict=True))


# --- the run's own record --------------------------------------------------------------------


def relabel_coins(connection: Connection, labels: Mapping[str, CoinLabel]) -> None:
    """Bring the names and ranks of all stored coins up to date; who is not in `labels` keeps its
    name and has no rank."""
    if labels:
        connection.execute(RELABEL_COINS, _labels(labels))


def record_rejections(connection: Connection, rejections: Sequence[Rejection]) -> None:
    """Keep the answers that were no rows, as they came."""
    if rejections:
        columns = ("rejected_at", "run_id", "coin_id", "reason", "raw")
        parameters = {name: [getattr(r, name) for r in rejections] for name in columns}
        connection.execute(RECORD_REJECTIONS, parameters)


def record_fx_rates(connection: Connection, rates: Iterable[FxRate]) -> None:
    """Keep exchange rates; one that is there already stays."""
    for rate in rates:
        connection.execute(
            RECORD_FX_RATE,
            {"observed_at": rate.observed_at, "per_usd": rate.per_usd, "currency": rate.currency},
        )


def record_run(
    connection: Connection,
    report: Mapping[str, Any],
    *,
    unrecorded_runs: int,
    backfill_credits: int,
) -> None:
    """Keep what a run did: the fields of its report that RECORD_RUN names, how many runs before it
    did not reach the database, and what of its credits went into repairs. A run that goes on to
    repair gaps is recorded again."""
    details = {
        "rejected": Jsonb(report["rejected"]),
        "unrecorded_runs": unrecorded_runs,
        "backfill_credits": backfill_credits,
    }
    connection.execute(RECORD_RUN, {**report, **details})


def record_unfillable_gaps(
    connection: Connection, gaps: Sequence[Gap], now: datetime, until: datetime | None = None
) -> None:
    """Keep gaps that stay, with their reasons; for good, or `until` then."""
    if gaps:
        columns = ("coin_id", "start", "stop", "reason")
        parameters = {name: [getattr(gap, name) for gap in gaps] for name in columns}
        connection.execute(GIVE_UP_GAPS, {**parameters, "decided_at": now, "until": until})
