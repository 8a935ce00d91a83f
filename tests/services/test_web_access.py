"""Which pages may talk to the API and the dashboard: names, origins, frames."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from services.web_access import POLICY_VIOLATION, WebAccessMiddleware, parse_host

PUBLIC = "sentinel.example.org"


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    headers = {"Content-Security-Policy": "its own"} if scope["path"] == "/own" else {}
    await PlainTextResponse("data", headers=headers)(scope, receive, send)


def _refuse(status: int, reason: str) -> Response:
    return PlainTextResponse(reason, status)


def _request(
    host: str | None, origin: str | None = None, kind: str = "http", path: str = "/"
) -> list[Message]:
    """Return what a guarded app sends for a request."""
    guarded = WebAccessMiddleware(
        _app,
        hosts=frozenset({"localhost", PUBLIC}),
        public_hosts=(PUBLIC,),
        content_policy="default-src 'none'",
        refuse=_refuse,
    )
    named = [(b"host", host), (b"origin", origin)]
    headers = [(name, value.encode()) for name, value in named if value is not None]
    scope = {"type": kind, "method": "GET", "path": path, "headers": headers}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(guarded(scope, receive, send))
    return sent


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("host", "origin", "is_served"),
    [
        ("127.0.0.1:8501", None, True),
        ("[::1]:8501", "http://[::1]:8501", True),
        ("192.168.1.5:8501", "http://192.168.1.5:8501", True),
        ("LOCALHOST.:8501", "http://localhost.:8501", True),
        (PUBLIC, f"https://{PUBLIC}", True),
        ("127.0.0.1:8501", f"https://{PUBLIC}", True),  # a proxy put its own name into Host
        # A name that was rebound to this machine.
        ("evil.example:8501", None, False),
        ("evil.example:8501", "http://evil.example:8501", False),
        (f"x.{PUBLIC}", None, False),
        ("127.0.0.1.evil.example", None, False),
        ("localhost@evil.example", None, False),
        ("evil.example/localhost", None, False),
        ("[::1", None, False),
        ("127.0.0.1:eighty", None, False),
        ("", None, False),
        (None, None, False),
        # A page of another origin.
        ("127.0.0.1:8501", "http://evil.example", False),
        ("localhost:8501", "http://localhost:3000", False),
        ("127.0.0.1:8501", "http://localhost:8501", False),
        ("localhost:8501", "null", False),
        ("localhost:8501", "", False),
    ],
)
def test_only_requests_to_an_own_name_from_an_own_page_are_served(
    kind: str, host: str | None, origin: str | None, is_served: bool
) -> None:
    first = _request(host, origin, kind)[0]
    if kind == "websocket":
        refused = {"type": "websocket.close", "code": POLICY_VIOLATION}
        assert first == ({"type": "websocket.accept"} if is_served else refused)
    else:
        assert first["status"] == (200 if is_served else 403)


def test_a_refusal_names_the_setting_that_lets_a_name_in() -> None:
    for host, origin in (("evil.example", None), ("localhost", "http://evil.example")):
        body = _request(host, origin)[1]["body"].decode()
        assert "'evil.example'" in body.replace("http://", "")
        assert "SENTINEL_PUBLIC_HOSTS" in body


def test_every_response_forbids_frames_and_keeps_a_policy_of_its_own() -> None:
    for host in ("localhost", "evil.example"):
        headers = dict(_request(host)[0]["headers"])
        assert headers[b"x-frame-options"] == b"DENY"
        assert headers[b"content-security-policy"].endswith(b"; frame-ancestors 'none'")
    assert dict(_request("localhost", path="/own")[0]["headers"])[b"content-security-policy"] == (
        b"its own"
    )


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://A.example.:443", "a.example"),
        ("//[::1]:8501", "::1"),
        ("//host:70000", ""),
        ("null", ""),
    ],
)
def test_the_host_of_a_url_is_parsed(url: str, host: str) -> None:
    assert parse_host(url) == host
