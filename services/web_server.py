"""Serve an ASGI application over HTTP, with limits that slow clients cannot exhaust.

uvicorn waits without end for the rest of a request. Its `limit_concurrency` would answer 503 to
everybody while others hold connections, health checks included.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from sentinel.errors import ConfigurationError

# Connections that may wait to be accepted. asyncio accepts as many at once, and without a free file
# descriptor fails, with a traceback, as often.
BACKLOG = 128
# A request that has not arrived completely after this time is dropped. 5 MB need 170 kB/s.
REQUEST_SECONDS = 30.0
# One more connection closes the oldest one, of those that wait for a request first. WebSockets are
# not counted. macOS gives a process 256 file descriptors.
MAX_CONNECTIONS = 64
# A stop waits this long for responses under way and open WebSockets.
STOP_SECONDS = 10
# The key in a request's `state` of a dictionary that all requests of a connection share.
CONNECTION = "connection"


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP with a deadline for each request and a limit of connections."""

    # When the connection was opened, by the loop's clock.
    opened_at = 0.0
    _deadline: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the client has still to send a request, or the rest of one."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first request, and close the oldest connection of too many."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, CONNECTION: {}}
        self.opened_at = self.loop.time()
        self._update_deadline()
        if len(others := self._list_others()) >= MAX_CONNECTIONS:
            min(others, key=lambda c: (not c.is_waiting, c.opened_at)).transport.abort()

    def _list_others(self) -> list[LimitedProtocol]:
        others = [c for c in self.connections if isinstance(c, LimitedProtocol) and c is not self]
        return [c for c in others if not c.transport.is_closing()]

    def data_received(self, data: bytes) -> None:
        """Start the deadline of a next request, or end it with the last byte."""
        super().data_received(data)
        self._update_deadline()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """End the deadline: another protocol has the connection now."""
        self._end_deadline()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the deadline."""
        self._end_deadline()
        super().connection_lost(exc)

    def _update_deadline(self) -> None:
        if not self.is_waiting or self.transport.get_protocol() is not self:
            self._end_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def make_server(app: ASGIApp, **options: Any) -> uvicorn.Server:
    """Return a server of an application; `options` are further ones of uvicorn."""
    config = uvicorn.Config(
        app,
        http=LimitedProtocol,
        access_log=False,
        log_level="warning",
        log_config=None,
        backlog=BACKLOG,
        server_header=False,
        # A client could name any other as the sender of its request, and `local_users.py` looks.
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        **options,
    )
    return uvicorn.Server(config)


def open_listener(name: str, host: str, port: int) -> socket.socket:
    """Return a listening socket of the process `name` (API, dashboard).

    Raises ConfigurationError if the address cannot be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns off Nagle's algorithm only for sockets with an explicit protocol; with it,
        # responses wait 40 ms.
        with contextlib.ExitStack() as on_error:
            listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            on_error.enter_context(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(BACKLOG)
            on_error.pop_all()
    except OSError as error:
        variable = f"SENTINEL_{name.upper()}"
        raise ConfigurationError(
            f"The {name} cannot listen on {host}:{port} ({error.strerror}): stop the program that "
            f"uses the address, or set {variable}_HOST and {variable}_PORT."
        ) from error
    return listener
