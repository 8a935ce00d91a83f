"""Answers kept until something is written: the data changes once a tick, and is asked for often.

Each answer carries an ETag; who sends it back gets a 304. What is asked for all the time is served
a few seconds longer while it is rendered anew, one answer at a time (stale-while-revalidate,
https://www.rfc-editor.org/rfc/rfc5861): else each tick would make everybody wait. Never across a
write through the API.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sentinel.errors import SentinelError

log = logging.getLogger("sentinel.api.caching")

MOST_BYTES = 96 * 1024 * 1024  # of bodies: 500 weeks, and as much again; …
MOST_ANSWERS = 5_000  # … and of answers; those not asked for longest go first
LOOK_AGAIN_SECONDS = 0.5  # for a new version of what is stored
LONGEST_KEY = 500  # characters of path and query; longer ones are not kept
LONGEST_SECONDS = 60.0  # "the last 24 hours" moves on even where nothing is written
UNCACHED = frozenset({"/health", "/metrics", "/openapi.json", "/docs"})
STALE_SECONDS = 10.0
Key = tuple[str, str, bool]  # path, query, whether gzip is taken
OK, NOT_MODIFIED = 200, 304


@dataclass(slots=True)
class _Kept:
    """An answer, the version and the count of writes it was made at, until when it is good, and
    when it was last known to be so."""

    version: str
    writes: int
    until: float
    fresh_at: float
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
        self._writes = 0
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._bytes = 0
        self._locks: dict[Key, asyncio.Lock] = {}
        self._version_lock = asyncio.Lock()
        self._refreshing: dict[Key, asyncio.Task[None]] = {}
        self._one_refresh = asyncio.Semaphore(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from what is kept, or let the app answer and keep it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, self._forgetting(send))
        elif scope["method"] == "GET" and self._is_cacheable(scope) and await self._has_version():
            await self._from_kept(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @staticmethod
    def _is_cacheable(scope: Scope) -> bool:
        is_short = len(scope["path"]) + len(scope["query_string"]) <= LONGEST_KEY
        return is_short and scope["path"] not in UNCACHED

    def _forgetting(self, send: Send) -> Send:
        """Who wrote reads what was written: before the answer goes out, the version is void."""

        async def forget_and_send(message: Message) -> None:
            self._writes += 1
            self._looked_at = float("-inf")
            await send(message)

        return forget_and_send

    async def _from_kept(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        takes_gzip = "gzip" in headers.get("accept-encoding", "")
        key = (scope["path"], scope["query_string"].decode("latin-1"), takes_gzip)
        kept = self._find(key)
        if kept is None and (kept := self._find_stale(key)) is not None:
            self._begin_refresh(key, scope)
        if kept is None:
            # One renders; the others who want the same wait for it.
            try:
                async with self._locks.setdefault(key, asyncio.Lock()):
                    kept = self._find(key) or await self._render(key, scope, receive, send)
            finally:
                self._locks.pop(key, None)
        if kept is not None:
            await _answer(kept, headers.get("if-none-match", ""), send)

    def _begin_refresh(self, key: Key, scope: Scope) -> None:
        if key not in self._refreshing:
            self._refreshing[key] = asyncio.create_task(self._refresh(key, dict(scope)))

    async def _refresh(self, key: Key, scope: Scope) -> None:
        """Render an answer anew, for nobody in particular."""

        async def nothing_more() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def to_nobody(_message: Message) -> None:
            """An error is told to the next who asks."""

        try:
            async with self._one_refresh:
                await self._render(key, scope, nothing_more, to_nobody)
        except Exception:
            log.exception("an answer could not be rendered anew")
        finally:
            self._refreshing.pop(key, None)

    async def _has_version(self) -> bool:
        """Whether the version of what is stored is known and fresh; asks for it where it is old."""
        if self._is_fresh():
            return True
        async with self._version_lock:
            while not self._is_fresh():
                writes = self._writes
                try:
                    version = await to_thread.run_sync(self._ask_version)
                except SentinelError:
                    return False  # the app says what is wrong
                if writes == self._writes:  # else somebody wrote while we asked
                    self._version, self._looked_at = version, self._clock()
        return True

    def _is_fresh(self) -> bool:
        return self._clock() - self._looked_at < LOOK_AGAIN_SECONDS

    def _find(self, key: Key) -> _Kept | None:
        kept, now = self._kept.get(key), self._clock()
        if kept is None or kept.version != self._version or kept.until < now:
            return None
        kept.fresh_at = now
        self._kept.move_to_end(key)
        return kept

    def _find_stale(self, key: Key) -> _Kept | None:
        """An answer that was good a moment ago, if nobody wrote through the API since."""
        kept = self._kept.get(key)
        if kept is None or kept.writes != self._writes:
            return None
        return kept if self._clock() - kept.fresh_at <= STALE_SECONDS else None

    async def _render(self, key: Key, scope: Scope, receive: Receive, send: Send) -> _Kept | None:
        """Let the app answer. Returns the answer where it is to be kept; others are sent on."""
        version, writes = self._version, self._writes
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
        headers["vary"] = "Accept-Encoding"
        now = self._clock()
        kept = _Kept(version, writes, now + LONGEST_SECONDS, now, headers.raw, body, etag)
        self._keep(key, kept)
        return kept

    def _keep(self, key: Key, kept: _Kept) -> None:
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
