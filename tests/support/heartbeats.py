"""A dead man's switch on loopback that records the reports it gets."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.serving import serving

PATH = "/ping/secret-4711"


class HeartbeatReceiver(ThreadingHTTPServer):
    """Accepts every report with `status`, after `stall` seconds."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.stall = 0.0
        self.closing = threading.Event()
        # Method and path without PATH, and the body, in order of arrival.
        self.reports: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{PATH}"


class _Handler(BaseHTTPRequestHandler):
    server: HeartbeatReceiver

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        path = self.path.removeprefix(PATH)
        self.server.reports.append((f"{self.command} {path}".strip(), body))
        self.server.closing.wait(self.server.stall)
        self.send_response(self.server.status)
        self.send_header("Location", f"{self.server.url}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


@contextlib.contextmanager
def receiving() -> Iterator[HeartbeatReceiver]:
    """Yield a receiver that listens until the end of the block."""
    with serving(HeartbeatReceiver()) as receiver:
        yield receiver
        receiver.closing.set()
