"""Connects to PostgreSQL: the address, the connection, and retries when a connection breaks."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

import psycopg
import tenacity
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Format
from psycopg.types.datetime import TimestamptzLoader

from safe_zone import (
    DATABASE_CONNECT_ATTEMPTS,
    DATABASE_CONNECT_TIMEOUT_SECONDS,
    STORAGE_DEADLINE_SECONDS,
    Settings,
)
from sentinel.errors import ConfigurationError, StorageUnavailable
from sentinel.storage import egress, embedded, error_hints

log = logging.getLogger("sentinel.postgres")
T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]

# Server time zones that equal UTC. With them psycopg's own loaders return UTC, and they are faster.
UTC_ZONES = ("UTC", "Etc/UTC", "GMT")
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_HOST = re.compile(r"[A-Za-z0-9._,:\[\]%-]+|/.*")
_PORT = re.compile(r"\d+(,\d+)*")
_INVALID_URL_MESSAGE = (
    "DATABASE_URL cannot be read as a PostgreSQL address. It must look like "
    "postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require (write @ : / # ? % in a password as "
    "%40 %3A %2F %23 %3F %25)."
)
TCP_KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # In milliseconds. Without it a run would wait for minutes on a network that is down.
    "tcp_user_timeout": 20_000,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is."""

    # The connection string for libpq; it may contain a password.
    conninfo: str
    # What messages call the database: its name and host, without user and password.
    display_name: str

    def __repr__(self) -> str:
        return f"Address({self.display_name})"


@contextlib.contextmanager
def resolve_database(settings: Settings) -> Iterator[Address]:
    """Yield the address of the configured database; the embedded server runs during the block.

    Raises ConfigurationError if DATABASE_URL is invalid, StorageUnavailable if the embedded server
    does not start.
    """
    if settings.database_url:
        yield parse_address(settings.database_url)
        return
    with embedded.ensure_running(settings.state_dir) as conninfo:
        yield Address(conninfo, f"the embedded PostgreSQL of {settings.state_dir}")


def parse_address(url: str) -> Address:
    """Return the address that a DATABASE_URL names.

    Raises ConfigurationError. Its message repeats no part of the URL, which may be a password.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        # libpq's message is left out, because it quotes the part that it could not parse.
        raise ConfigurationError(_INVALID_URL_MESSAGE) from None
    host = str(parts.get("host") or parts.get("hostaddr") or "localhost")
    port, name = str(parts.get("port") or "5432"), str(parts.get("dbname") or "")
    try:
        host.encode("idna")
        is_valid = _HOST.fullmatch(host) and _PORT.fullmatch(port) and not set(name) & set("@/:")
    except UnicodeError:
        is_valid = host.startswith("/")
    if not is_valid:
        # If a password contains an unescaped @ or /, libpq takes its rest for host, port or name.
        raise ConfigurationError(_INVALID_URL_MESSAGE) from None
    return Address(make_conninfo(url), f"{parts.get('dbname') or 'default'} on {host}")


def open_connection(address: Address) -> Connection:
    """Return a connection in autocommit mode, after one attempt. Raises psycopg.Error."""
    connection = psycopg.connect(address.conninfo, **connection_options(address))
    prepare_connection(connection)
    return connection


def connection_options(address: Address) -> dict[str, Any]:
    """Return the keyword arguments for `psycopg.connect`; options of the address take precedence.

    The client encoding is always UTF8: a database, a role or PGCLIENTENCODING may set another one,
    which has no code for most names of coins; and psycopg returns bytes from a SQL_ASCII database.

    Statements are never prepared on the server: a transaction pooler (Neon's `-pooler` host) may
    send the next statement to another session, and a plan from before a migration would fail.
    """
    defaults: dict[str, Any] = {
        "connect_timeout": DATABASE_CONNECT_TIMEOUT_SECONDS,
        "application_name": "market-sentinel",
        "gssencmode": "disable",  # negotiating it costs a round trip
        **TCP_KEEPALIVE,
    }
    given = conninfo_to_dict(address.conninfo)
    missing = {key: value for key, value in defaults.items() if key not in given}
    fixed = {"autocommit": True, "prepare_threshold": None, "client_encoding": "UTF8"}
    return {**missing, **fixed}


def prepare_connection(connection: Connection) -> None:
    """Make a new connection independent of how database, role and environment show times.

    Times come in UTC: in a zone with summer time, arithmetic on them is wrong twice a year. psycopg
    reads no times in a DateStyle other than ISO, which a database, a role or PGDATESTYLE may set.
    `SET` does not need `options` in the address, which poolers refuse, and costs a round trip only
    where it is necessary. PgBouncer tracks DateStyle, so it keeps the value for all transactions:
    https://www.pgbouncer.org/config.html#track_extra_parameters
    """
    if not (connection.info.parameter_status("DateStyle") or "").startswith("ISO"):
        connection.execute("SET DateStyle TO ISO")
    if connection.info.parameter_status("TimeZone") not in UTC_ZONES:
        connection.adapters.register_loader("timestamptz", _UtcLoader)
        connection.adapters.register_loader("timestamptz", _UtcBinaryLoader)


class _UtcLoader(TimestamptzLoader):
    def load(self, data: Buffer) -> datetime:
        return super().load(data).astimezone(UTC)


class _UtcBinaryLoader(Loader):
    """Converts PostgreSQL's microseconds since 2000 directly, which is fast for long series.

    https://www.postgresql.org/docs/current/datatype-datetime.html
    """

    format = Format.BINARY

    def load(self, data: Buffer) -> datetime:
        return _POSTGRES_EPOCH + timedelta(microseconds=int.from_bytes(data, "big", signed=True))


class Session:
    """A connection that is opened on first use and reopened after it broke.

    `use` runs work on it and retries transient errors. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        address: Address,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = address
        # Observations that the purge dropped in this session; the database module counts them.
        self.purged_rows = 0
        # What all readers had received from the database in this month when the session closed, in
        # bytes; None: unknown, or the database is not Neon's.
        self.month_egress_bytes: int | None = None
        self._connection: Connection | None = None
        self._clock = clock
        self._sleep = sleep
        self._opened_at: float | None = None

    @property
    def held_seconds(self) -> float:
        """Seconds since the first attempt to connect, for which Neon's compute is awake; 0 before.

        They count on after `close`.
        """
        return 0.0 if self._opened_at is None else self._clock() - self._opened_at

    def close(self) -> None:
        """Close the connection if it is open; the next `use` opens another one.

        What it received from Neon is added to the month's count.
        """
        if self._connection is not None:
            try:
                self.month_egress_bytes = egress.record(self._connection)
            finally:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def use(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on the connection (in autocommit mode) and return its result.

        After a transient error `work` is repeated on a new connection, up to
        DATABASE_CONNECT_ATTEMPTS times within STORAGE_DEADLINE_SECONDS, so it must be idempotent.

        Raises StorageUnavailable, with a remedy in the message.
        """
        if self._opened_at is None:
            self._opened_at = self._clock()
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_retryable),
            stop=self._should_stop,
            wait=tenacity.wait_exponential_jitter(multiplier=1, jitter=1),
            sleep=self._sleep,
            before_sleep=_report_retry,
            reraise=True,
        )
        try:
            result: T = attempts(self._attempt, work)
        except psycopg.Error as error:
            raise StorageUnavailable(
                error_hints.explain(error, self.address.display_name)
            ) from error
        return result

    def _should_stop(self, state: tenacity.RetryCallState) -> bool:
        is_late = self.held_seconds > STORAGE_DEADLINE_SECONDS
        return is_late or state.attempt_number >= DATABASE_CONNECT_ATTEMPTS

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None or self._connection.closed:
            self._connection = open_connection(self.address)
        try:
            return work(self._connection)
        except psycopg.Error:
            self.close()
            raise


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, psycopg.Error) and error_hints.is_transient(error)


def _report_retry(state: tenacity.RetryCallState) -> None:
    wait = state.next_action.sleep if state.next_action else 0.0
    error = state.outcome.exception() if state.outcome else None
    cause = " ".join(str(error).split())[:200]
    log.info("database: attempt %d in %.1f s: %s", state.attempt_number + 1, wait, cause)
