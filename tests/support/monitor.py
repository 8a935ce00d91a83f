"""Shared by the tests of the monitor: stored prices, and an alert target with scripted replies."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zoneinfo import ZoneInfo

import database
from sentinel.models import CoinLabel, FxRate, MarketRow, Source
from sentinel.notifications.messages import MessageFormatter
from sentinel.storage import partitions, run_records
from sentinel.storage.connection import Address, Connection, Session
from tests.support.serving import serving

ENGLISH = MessageFormatter("en", ZoneInfo("Asia/Jakarta"))


def load(
    target: Address | Session,
    prices: Sequence[tuple[datetime, str, float]],
    now: datetime,
    *,
    source: Source = "observed",
    idr: float | None = None,
) -> None:
    """Store prices of any coins as a run does. Coins are ranked in the order of their ids.

    `target` is an open session where a test stores often: the database's part of a new connection
    takes 10 ms.
    """
    rows = [MarketRow(coin_id, at, price, None, None, source) for at, coin_id, price in prices]
    ranks = {coin_id: n for n, coin_id in enumerate(sorted({row.coin_id for row in rows}), start=1)}

    def work(connection: Connection, days: partitions.Days) -> None:
        database.load_batch(
            connection,
            rows,
            lambda coin_id: CoinLabel(coin_id[:4], coin_id.title(), ranks[coin_id]),
            days,
        )
        if idr is not None:
            run_records.record_fx_rates(connection, [FxRate(now, "idr", idr)])

    if isinstance(target, Session):
        database.run_write_transaction(target, work, now)
        return
    with Session(target) as session:
        database.run_write_transaction(session, work, now)


@dataclass(frozen=True, slots=True)
class Reply:
    """One response of a target."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    # Seconds without any response.
    stall: float = 0.0


class Target(ThreadingHTTPServer):
    """An alert target over HTTP, for Apprise's json:// addresses and for Telegram's API.

    It sends the scripted `replies` first, then always `always`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: deque[Reply] = deque()
        self.always = Reply()
        self.accepted: list[tuple[str, str]] = []
        # The path and the content of every request.
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server_address[1]}/secret-path-4711"

    @property
    def base_url(self) -> str:
        """The address that stands in for Telegram's API."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def request_count(self) -> int:
        return len(self.requests)

    @property
    def titles(self) -> list[str]:
        return [title for title, _ in self.accepted]

    @property
    def messages(self) -> list[str]:
        """Every message that arrived: title and body."""
        return [f"{title}\n{body}" for title, body in self.accepted]


class _Handler(BaseHTTPRequestHandler):
    server: Target

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, message))
        reply = self.server.replies.popleft() if self.server.replies else self.server.always
        if reply.stall:
            self.server.closing.wait(reply.stall)
            return
        if reply.status < 300:
            title, _, body = message.get("text", "").partition("\n")
            self.server.accepted.append((message.get("title", title), message.get("message", body)))
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


@contextlib.contextmanager
def listening() -> Iterator[Target]:
    """Yield a target that listens until the end of the block."""
    with serving(Target()) as target:
        yield target
        target.closing.set()


def minutes(n: float) -> timedelta:
    """Return a number of minutes as a timedelta."""
    return timedelta(minutes=n)
