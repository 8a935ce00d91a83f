"""Which users of this machine may use a server that listens on 127.0.0.1."""

from __future__ import annotations

import os
import pwd
import socket
import sys
import threading
from collections.abc import Iterator

import pytest
import requests
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from services import local_users, web_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux names the user")
ONLY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
OTHER_USER = 65534


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await PlainTextResponse("data")(scope, receive, send)


def _refuse(status: int, reason: str) -> Response:
    return PlainTextResponse(reason, status)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server that only its own user may use."""
    with web_server.open_listener("API", "127.0.0.1", 0) as listener:
        users = local_users.list_allowed_users(listener, ())
        assert users == frozenset({0, os.geteuid()})
        server = web_server.make_server(local_users.LocalUserMiddleware(_app, users, _refuse))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def as_other_user() -> Iterator[None]:
    """New sockets belong to another user for as long as the test runs."""
    os.seteuid(OTHER_USER)
    yield
    os.seteuid(0)


def test_the_own_user_is_served_again_and_again_over_one_connection(url: str) -> None:
    with requests.Session() as session:
        assert [session.get(url, timeout=20).text for _ in range(2)] == ["data", "data"]


@ONLY_ROOT
@pytest.mark.usefixtures("as_other_user")
def test_another_user_is_refused_and_the_setting_named(url: str) -> None:
    response = requests.get(url, timeout=20)
    assert response.status_code == 403
    assert "SENTINEL_LOCAL_USERS" in response.text
    assert local_users.describe_user(OTHER_USER) in response.text


@ONLY_ROOT
def test_another_user_is_refused_who_claims_to_send_for_the_own_users_connection(url: str) -> None:
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as own:
        os.seteuid(OTHER_USER)
        try:
            sender = f"127.0.0.1:{own.getsockname()[1]}"
            response = requests.get(url, headers={"X-Forwarded-For": sender}, timeout=20)
        finally:
            os.seteuid(0)
    assert response.status_code == 403


@pytest.mark.parametrize("sender", ["203.0.113.7", "unknown"])
def test_a_proxy_of_the_own_user_may_name_whom_it_sends_for(url: str, sender: str) -> None:
    response = requests.get(url, headers={"X-Forwarded-For": sender}, timeout=20)
    assert response.text == "data"


@ONLY_ROOT
def test_a_connection_that_its_process_closed_has_no_user() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        ends = client.getsockname(), client.getpeername()
        assert local_users.find_user_id(*ends) == os.geteuid()
        client.close()
        assert local_users.find_user_id(*ends) is None


@pytest.mark.parametrize(
    ("family", "server", "client"),
    [
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET, "127.0.0.1", "::ffff:127.0.0.1"),
    ],
)
def test_the_user_of_an_ipv6_socket_is_found(family: int, server: str, client: str) -> None:
    with (
        socket.create_server((server, 0), family=family) as listener,
        socket.socket(socket.AF_INET6) as connection,
    ):
        connection.connect((client, listener.getsockname()[1]))
        port = connection.getsockname()[1]
        found = local_users.find_user_id((server, port), listener.getsockname()[:2])
    assert found == os.geteuid()


def test_a_server_for_the_network_lets_every_user_in() -> None:
    with web_server.open_listener("API", "0.0.0.0", 0) as listener:
        assert local_users.list_allowed_users(listener, ()) is None


def test_named_users_and_the_one_behind_sudo_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "4711")
    with web_server.open_listener("API", "127.0.0.1", 0) as listener:
        users = local_users.list_allowed_users(listener, [pwd.getpwuid(OTHER_USER).pw_name])
    behind_sudo = {4711} if os.geteuid() == 0 else set()
    assert users == frozenset({0, os.geteuid(), OTHER_USER, *behind_sudo})
