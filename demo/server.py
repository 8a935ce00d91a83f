"""The stand-in for CoinGecko: an HTTP server with a simulated market and scripted faults."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from demo.market import Market

MAX_URL_BYTES = 8_190  # the longest request line that common servers accept


@dataclass(frozen=True, slots=True)
class Fault:
    """A scripted response."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    # Only requests whose path contains this text get the response.
    path: str = ""
    # Send only this many bytes of the announced body.
    cut: int | None = None
    # Seconds before the first byte.
    hang: float = 0.0
    # Sends the normal response, with its body changed by this function.
    rewrite: Callable[[bytes], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a client."""

    path: str
    headers: dict[str, str]


class StandIn(ThreadingHTTPServer):
    """A server that behaves like CoinGecko's API.

    Each fault in `faults` is sent once, in order; then `always`, if set, is sent every time.
    `requests` records the requests. Prices are those of `now`; `clock` is in the Date header, and
    None means `now` too.
    """

    daemon_threads = True

    def __init__(
        self,
        market: Market | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency_seconds: float = 0.0,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__((host, port), _Handler)
        self.market = market or Market()
        self.latency_seconds = latency_seconds
        self.now = now
        self.clock = clock
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.requests: list[Request] = []
        self.closing = threading.Event()

    @property
    def base_url(self) -> str:
        """The value of COINGECKO_BASE_URL for this server."""
        return f"http://127.0.0.1:{self.server_address[1]}/api/v3"

    def respond(self, path: str) -> tuple[int, bytes]:
        """Return the status and the body of the normal response to a path with its query."""
        return make_response(self.market, path, self.now())

    def next_fault(self, path: str) -> Fault | None:
        """Return the scripted response to this path; None for the normal response."""
        for fault in self.faults:
            if fault.path in path:
                self.faults.remove(fault)
                return fault
        return self.always if self.always and self.always.path in path else None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the error of a request, unless the client is gone: it may have been killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def paths(self, part: str = "") -> list[str]:
        """Return the requested paths that contain this text."""
        return [request.path for request in self.requests if part in request.path]


@contextlib.contextmanager
def running(stand_in: StandIn) -> Iterator[StandIn]:
    """Serve in a thread until the end of the block."""
    thread = threading.Thread(target=stand_in.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.closing.set()
        stand_in.shutdown()
        stand_in.server_close()
        thread.join()


def make_response(market: Market, path: str, now: float) -> tuple[int, bytes]:
    """Return the status and the body of CoinGecko's response at a UNIX time."""
    if len(path) > MAX_URL_BYTES:
        return 414, b"<html><head><title>414 Request-URI Too Large</title></head></html>"
    split = urlsplit(path)
    query = {name: values[-1] for name, values in parse_qs(split.query).items()}
    endpoint = split.path.removeprefix("/api/v3")
    if endpoint == "/coins/list":
        return 200, _json(market.list_coins())
    if endpoint == "/coins/markets":
        return _respond_markets(market, query, now)
    if endpoint == "/simple/price":
        return _respond_prices(market, split.query, query, now)
    if endpoint.endswith("/market_chart"):
        return _respond_chart(market, unquote(endpoint.split("/")[2]), query, now)
    return 404, _json({"error": "Incorrect path. Please check https://www.coingecko.com/api/"})


def _respond_markets(market: Market, query: dict[str, str], now: float) -> tuple[int, bytes]:
    if "vs_currency" not in query:
        return 422, _json({"error": "Missing parameter vs_currency"})
    per_page, page = min(250, int(query.get("per_page", "100"))), int(query.get("page", "1"))
    return 200, _json(market.make_markets_page(per_page, page, now))


def _respond_prices(
    market: Market, raw: str, query: dict[str, str], now: float
) -> tuple[int, bytes]:
    for name in ("ids", "vs_currencies"):
        if name not in query:
            return 422, _json({"error": f"Missing parameter {name}"})
    # Split before decoding: an id may contain an encoded comma.
    encoded = next(part[4:] for part in raw.split("&") if part.startswith("ids="))
    currencies = query["vs_currencies"].split(",")
    quotes = {
        coin_id: market.make_quote(coin_id, currencies, now)
        for coin_id in map(unquote, encoded.split(","))
    }
    return 200, _json({i: quote for i, quote in quotes.items() if quote is not None})


def _respond_chart(
    market: Market, coin_id: str, query: dict[str, str], now: float
) -> tuple[int, bytes]:
    for name in ("vs_currency", "days"):
        if name not in query:
            return 422, _json({"error": f"Missing parameter {name}"})
    chart = market.make_chart(coin_id, int(query["days"]), now)
    return (404, _json({"error": "coin not found"})) if chart is None else (200, _json(chart))


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"
    # Otherwise each body waits 40 ms until the client has acknowledged the headers.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.server.requests.append(
            Request(self.path, {name.lower(): value for name, value in self.headers.items()})
        )
        time.sleep(self.server.latency_seconds)
        fault = self.server.next_fault(self.path)
        if fault is None:
            self._send(*self.server.respond(self.path))
            return
        self.server.closing.wait(fault.hang)
        if fault.rewrite:
            status, body = self.server.respond(self.path)
            fault = Fault(status, fault.rewrite(body), fault.headers, cut=fault.cut)
        self._send(fault.status, fault.body, fault.headers, cut=fault.cut)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        self.send_response_only(status)
        sent = {
            "Date": self.date_time_string((self.server.clock or self.server.now)()),
            "Content-Type": "application/json; charset=utf-8",
            "Cache-Control": "max-age=30",
        }
        for name, value in (sent | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the parent's name)
        """Log nothing: the tests read `requests`."""


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()
