"""Answers kept until something is written: the data changes once a tick, and is asked for often.

Each answer carries an ETag; who sends it back gets a 304.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import SentinelError

MOST_BYTES = 64 * 1024 * 1024  # of bodies, …
MOST_ANSWERS = 5_000  # … and of answers; those not asked for longest go first
LOOK_AGAIN_SECONDS = 0.5  # for a new version of what is stored
LONGEST_SECONDS = 15.0  # "the last 24 hours" moves on even where nothing is written
UNCACHED = frozenset({"/health", "/metrics", "/openapi.json", "/docs"})
OK, NOT_MODIFIED = 200, 304


class _Kept(NamedTuple):
    """An answer, the version it was made at, and until when it is good."""

    version: str
    until: float
    headers: list[tuple[bytes, bytes]]
    body: bytes
    etag: str


class Cache:
    """Keeps good answers to GET. `version` is a text that changes with what is stored."""

    def __init__(
        self, app: ASGIApp, version: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._ask_version = version
        self._clock = clock
        self._version = ""
        self._looked_at = float("-inf")
        self._kept: OrderedDict[tuple[str, str, bool], _Kept] = OrderedDict()
        self._bytes = 0
        self._locks: dict[tuple[str, str, bool], asyncio.Lock] = {}
        self._version_lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from what is kept, or let the app answer and keep it."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] in UNCACHED:
            await self._app(scope, receive, send)
            if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
                self._looked_at = float("-inf")  # who wrote reads what was written
            return
        headers = Headers(scope=scope)
        takes_gzip = "gzip" in headers.get("accept-encoding", "")
        key = (scope["path"], scope["query_string"].decode("latin-1"), takes_gzip)
        try:
            await self._look_for_version()
        except SentinelError:
            await self._app(scope, receive, send)  # which says what is wrong
            return
        kept = self._find(key)
        if kept is None:
            # One renders; the others who want the same wait for it.
            async with self._locks.setdefault(key, asyncio.Lock()):
                kept = self._find(key) or await self._render(key, scope, receive, send)
            self._locks.pop(key, None)
            if kept is None:
                return
        await _answer(kept, headers.get("if-none-match", ""), send)

    async def _look_for_version(self) -> None:
        if self._clock() - self._looked_at < LOOK_AGAIN_SECONDS:
            return
        async with self._version_lock:
            if self._clock() - self._looked_at >= LOOK_AGAIN_SECONDS:
                self._version = await to_thread.run_sync(self._ask_version)
                self._looked_at = self._clock()

    def _find(self, key: tuple[str, str, bool]) -> _Kept | None:
        kept = self._kept.get(key)
        if kept is None or kept.version != self._version or kept.until < self._clock():
            return None
        self._kept.move_to_end(key)
        return kept

    async def _render(
        self, key: tuple[str, str, bool], scope: Scope, receive: Receive, send: Send
    ) -> _Kept | None:
        """Let the app answer. Returns the answer where it is to be kept; others are sent on."""
        version = self._version
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, collect)
        start = messages[0]
        if start["status"] != OK:
            for message in messages:
                await send(message)
            return None
        body = b"".join(message.get("body", b"") for message in messages[1:])
        etag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
        headers = MutableHeaders(raw=list(start["headers"]))
        headers["etag"] = etag
        headers["cache-control"] = "no-cache"
        headers.add_vary_header("Accept-Encoding")
        kept = _Kept(version, self._clock() + LONGEST_SECONDS, headers.raw, body, etag)
        self._keep(key, kept)
        return kept

    def _keep(self, key: tuple[str, str, bool], kept: _Kept) -> None:
        old = self._kept.pop(key, None)
        self._bytes += len(kept.body) - (len(old.body) if old else 0)
        self._kept[key] = kept
        while self._bytes > MOST_BYTES or len(self._kept) > MOST_ANSWERS:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.body)


async def _answer(kept: _Kept, if_none_match: str, send: Send) -> None:
    wanted = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    is_known = "*" in wanted or kept.etag.removeprefix("W/") in wanted
    status, body, headers = OK, kept.body, kept.headers
    if is_known:
        status, body = NOT_MODIFIED, b""
        headers = [pair for pair in headers if pair[0] in (b"etag", b"cache-control", b"vary")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
