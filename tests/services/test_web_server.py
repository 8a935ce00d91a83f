"""Requests that never end do not keep others waiting."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from sentinel.errors import ConfigurationError
from services import web_server

COMPLETE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UNFINISHED = (
    b"GET / HTTP/1.1\r\nHost: x\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1",
)


IS_BLOCKED, MAY_GO_ON = threading.Event(), threading.Event()


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        if scope["path"] == "/block":  # the whole server
            IS_BLOCKED.set()
            MAY_GO_ON.wait(20)
        body = await Request(scope, receive).body()
        await PlainTextResponse(body or "empty")(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server with the limits."""
    server = web_server.make_server(_app)
    with web_server.open_listener("API", "127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def _open(port: int, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(data)
    return connection


def _read_until(connection: socket.socket, end: bytes) -> None:
    received = b""
    while not received.endswith(end):
        part = connection.recv(10_000)
        assert part, received
        received += part


def _is_closed(connection: socket.socket) -> bool:
    """Wait until the server closes a connection; it must not send anything first."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("data", UNFINISHED)
def test_twice_as_many_unfinished_requests_as_connections_do_not_stop_others(
    port: int, data: bytes
) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(2 * web_server.MAX_CONNECTIONS):
            stack.enter_context(_open(port, data))
        began = time.monotonic()
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=20).text == "empty"
        assert time.monotonic() - began < 5


def test_connections_that_are_accepted_at_once_close_as_many_old_ones(port: int) -> None:
    many = 50  # BACKLOG allows so many to wait
    with contextlib.ExitStack() as stack:
        old = [stack.enter_context(_open(port, b"")) for _ in range(web_server.MAX_CONNECTIONS - 1)]
        stack.enter_context(_open(port, b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n"))
        assert IS_BLOCKED.wait(20)
        for _ in range(many):
            stack.enter_context(_open(port, b""))
        MAY_GO_ON.set()
        assert all(_is_closed(connection) for connection in old[:many])


@pytest.mark.parametrize("data", [*UNFINISHED, b""])
@pytest.mark.parametrize("is_first", [True, False])
def test_an_unfinished_request_is_dropped_at_its_deadline(
    port: int, data: bytes, is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_server, "REQUEST_SECONDS", 0.05)
    with _open(port, b"" if is_first else COMPLETE) as connection:
        if not is_first:
            _read_until(connection, b"empty")
            data = data or b"G"  # without a byte it is uvicorn's to close an idle connection
        connection.sendall(data)
        assert _is_closed(connection)


def test_a_request_in_pieces_and_a_second_one_are_served(port: int) -> None:
    with _open(port, UNFINISHED[1]) as connection:
        connection.sendall(b"23456789")
        _read_until(connection, b"123456789")
        connection.sendall(COMPLETE)
        _read_until(connection, b"empty")


def test_a_port_in_use_is_reported_with_the_variables_that_choose_another(port: int) -> None:
    with pytest.raises(ConfigurationError, match="SENTINEL_API_PORT"):
        web_server.open_listener("API", "127.0.0.1", port)
