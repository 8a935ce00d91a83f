"""Streamlit's page and files as the dashboard's server sends them."""

from __future__ import annotations

import asyncio
import gzip
import re
from typing import NamedTuple

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import Message

from services.dashboard.server.streamlit_files import (
    FILES,
    PREFIX,
    StaticFilesMiddleware,
    make_routes,
)

APP = Starlette(routes=make_routes(), middleware=[Middleware(StaticFilesMiddleware)])
SCRIPT = min((name for name in FILES if name.startswith("static/js/index.")), key=len)


class Sent(NamedTuple):
    """A response."""

    status: int
    headers: Headers
    body: bytes

    @property
    def plain(self) -> bytes:
        """The body as a browser reads it."""
        is_compressed = "Content-Encoding" in self.headers
        return gzip.decompress(self.body) if is_compressed else self.body


def request(path: str, coding: str = "gzip, br", method: str = "GET", **headers: str) -> Sent:
    """Return what the server sends; `if_none_match` is the header If-None-Match."""
    fields = {"accept-encoding": coding} | {k.replace("_", "-"): v for k, v in headers.items()}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return await asyncio.Future()  # the client waits for the response

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(APP(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Sent(sent[0]["status"], Headers(raw=sent[0]["headers"]), body)


def test_a_script_is_sent_compressed_and_kept_by_browsers_for_good() -> None:
    whole = FILES[SCRIPT].read_bytes()
    sent = request(f"/{SCRIPT}")
    assert sent.plain == whole
    assert len(sent.body) == int(sent.headers["Content-Length"]) < len(whole) / 3
    assert sent.headers["Cache-Control"] == "public, immutable, max-age=31536000"
    assert sent.headers["Vary"] == "Accept-Encoding"
    assert "javascript" in sent.headers["Content-Type"]
    assert request(f"/{SCRIPT}", method="HEAD").headers == sent.headers
    again = request(f"/{SCRIPT}", if_none_match=sent.headers["ETag"])
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("coding", ["identity", "br", "gzip;q=0", "gzip; q=0.0, br"])
def test_a_client_without_gzip_gets_a_script_as_it_is(coding: str) -> None:
    sent = request(f"/{SCRIPT}", coding)
    assert sent.body == FILES[SCRIPT].read_bytes()
    assert "Content-Encoding" not in sent.headers


def test_a_range_is_one_of_the_file_as_it_is() -> None:
    sent = request(f"/{SCRIPT}", range="bytes=10-19")
    assert (sent.status, sent.body) == (206, FILES[SCRIPT].read_bytes()[10:20])


def test_each_page_has_streamlits_document_without_its_font() -> None:
    pages = [request(path) for path in ("/", "/portfolio", "/index.html")]
    assert {page.headers["Content-Encoding"] for page in pages} == {"gzip"}
    assert {page.headers["Cache-Control"] for page in pages} == {"no-cache"}
    text = pages[0].plain.decode()
    assert {page.plain.decode() for page in pages} == {request("/", "br").plain.decode()} == {text}
    assert "<title>Market Sentinel</title>" in text
    assert SCRIPT in text
    assert 'as="font"' in FILES["index.html"].read_text(encoding="utf-8")
    assert 'as="font"' not in text


def test_no_file_outside_is_sent() -> None:
    for path in ("/static/js/none.js", "/static/../index.html", "/static//etc/passwd"):
        assert request(path).status == 404
    assert request("/favicon.png").headers["Content-Type"] == "image/png"


def test_the_page_names_the_scripts_that_every_page_needs_once_each() -> None:
    text = request("/").plain.decode()
    named = re.findall(r'(?:href|src)="\.?(/[^"]+\.js)"', text)
    assert len(named) == len(set(named))
    for part in ("/BidiComponent.", "/Html.", "/assets/table-", "/assets/chart-"):
        assert any(part in path for path in named), part
    own = [path for path in named if path.startswith(PREFIX)]
    assert {request(path).status for path in own} == {200}
