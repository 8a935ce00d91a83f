"""Reaching PostgreSQL: the address, the connection, and trying again when it breaks."""

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
from sentinel.storage import embedded, error_hints

log = logging.getLogger("sentinel.postgres")
T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]

STEADY_ZONES = ("UTC", "Etc/UTC", "GMT")  # psycopg's own, faster loaders will do
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_HOST = re.compile(r"[A-Za-z0-9._,:\[\]%-]+|/.*")
_PORT = re.compile(r"\d+(,\d+)*")
_UNREADABLE = (
    "DATABASE_URL cannot be read as a PostgreSQL address. It must look like "
    "postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require (write @ : / # ? % in a password as "
    "%40 %3A %2F %23 %3F %25)."
)
TCP_KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds; a dead network ends the run, not hangs it
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
    """Yield the address of the configured database; the embedded one runs meanwhile.

    Raises ConfigurationError where DATABASE_URL cannot be understood.
    """
    if settings.database_url:
        yield parse_address(settings.database_url)
        return
    with embedded.ensure_running(settings.state_dir) as conninfo:
        yield Address(conninfo, f"the embedded PostgreSQL of {settings.state_dir}")


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
    """One try to connect, in autocommit mode. Raises psycopg.Error."""
    connection = psycopg.connect(address.conninfo, **connection_options(address))
    return_utc(connection)
    return connection


def connection_options(address: Address) -> dict[str, Any]:
    """How a connection is opened, where the address does not say otherwise: in autocommit mode.

    Nothing is ever prepared on the server: a transaction pooler (Neon's `-pooler` host) may hand
    the next statement to another session, and a plan made before a migration would break.
    """
    defaults: dict[str, Any] = {
        "connect_timeout": DATABASE_CONNECT_TIMEOUT_SECONDS,
        "application_name": "market-sentinel",
        "gssencmode": "disable",  # asking for it costs a round trip
        **TCP_KEEPALIVE,
    }
    wished = conninfo_to_dict(address.conninfo)
    unsaid = {key: value for key, value in defaults.items() if key not in wished}
    return {"autocommit": True, "prepare_threshold": None, **unsaid}


def return_utc(connection: Connection) -> None:
    """Bring times to UTC. A server may live in a zone with summer time, where arithmetic on its
    times goes wrong twice a year; its setting cannot be changed through a transaction pooler."""
    if connection.info.parameter_status("TimeZone") not in STEADY_ZONES:
        connection.adapters.register_loader("timestamptz", _UtcLoader)
        connection.adapters.register_loader("timestamptz", _UtcBinaryLoader)


class _UtcLoader(TimestamptzLoader):
    def load(self, data: Buffer) -> datetime:
        return super().load(data).astimezone(UTC)


class _UtcBinaryLoader(Loader):
    """PostgreSQL counts microseconds since its epoch; read so, a long series costs little.

    https://www.postgresql.org/docs/current/datatype-datetime.html
    """

    format = Format.BINARY

    def load(self, data: Buffer) -> datetime:
        return _EPOCH + timedelta(microseconds=int.from_bytes(data, "big", signed=True))


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
            raise StorageUnavailable(
                error_hints.explain(error, self.address.display_name)
            ) from error
        return result

    def _should_stop(self, state: tenacity.RetryCallState) -> bool:
        is_late = self.seconds > STORAGE_DEADLINE_SECONDS
        return is_late or state.attempt_number >= DATABASE_CONNECT_ATTEMPTS

    def _try_once(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None or self._connection.closed:
            self._connection = open_connection(self.address)
        try:
            return work(self._connection)
        except psycopg.Error:
            self.close()
            raise


def _is_worth_another_try(error: BaseException) -> bool:
    return isinstance(error, psycopg.Error) and error_hints.is_transient(error)


def _report_retry(state: tenacity.RetryCallState) -> None:
    wait = state.next_action.sleep if state.next_action else 0.0
    error = state.outcome.exception() if state.outcome else None
    cause = " ".join(str(error).split())[:200]
    log.info("database: try %d in %.1f s: %s", state.attempt_number + 1, wait, cause)
