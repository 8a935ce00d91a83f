"""A cache of responses: the data changes once per run, and clients request it far more often.

It keeps this promise: over ten million rows, on two cores and for 32 connections at once, 99 of 100
requests for a week of any coin get their response within 100 ms, also while new prices are stored
every minute. `benchmarks/api.py` measures this, and the same requests without the cache.

Each response carries an ETag; a client that sends it back gets a 304 without a body. A response
that clients request all the time is served for a few seconds longer while the app renders it
again, one at a time (stale-while-revalidate, https://www.rfc-editor.org/rfc/rfc5861): otherwise
every run would make all clients wait. A stale response is never served after a write through the
API.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sentinel.errors import SentinelError
from services.api import docs_page
from services.api.auth import SHARE_PREFIX

log = logging.getLogger("sentinel.api.caching")

# Room for the week's history of 500 coins, and as much again. The least recently used responses
# are dropped first.
MAX_BODY_BYTES = 96 * 1024 * 1024
MAX_RESPONSES = 5_000
# Longer paths and queries are not cached.
MAX_KEY_CHARACTERS = 500
# How often the data version is read from the database.
VERSION_CHECK_SECONDS = 0.5
# "The last 24 hours" moves on even if nothing is written.
MAX_AGE_SECONDS = 60.0
# How long after its last fresh use a response may still be served stale.
MAX_STALE_SECONDS = 10.0
UNCACHED_PATHS = docs_page.PATHS | {"/health", "/metrics", "/openapi.json", "/summary"}
OK, NOT_MODIFIED = 200, 304

CacheKey = tuple[str, str, bool]  # path, query, whether the client accepts gzip


@dataclass(slots=True)
class _CachedResponse:
    """A response and what it was rendered from."""

    # Version of the stored data, and the number of writes through the API, at that time.
    version: str
    writes: int
    # Monotonic times: when the response expires, and when it was last known to be fresh.
    expires_at: float
    fresh_at: float
    headers: list[tuple[bytes, bytes]]
    body: bytes
    etag: str


class CacheMiddleware:
    """Cache successful responses to GET."""

    def __init__(
        self,
        app: ASGIApp,
        read_version: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Cache `app`; `read_version` returns a text that changes with the stored data."""
        self._app = app
        self._read_version = read_version
        self._clock = clock
        self._version = ""
        self._version_read_at = float("-inf")
        self._version_lock = asyncio.Lock()
        # A thread of its own: requests that are served from the cache must not wait for others.
        self._version_limiter = CapacityLimiter(1)
        self._writes = 0
        self._responses: OrderedDict[CacheKey, _CachedResponse] = OrderedDict()
        self._bytes = 0
        self._locks: dict[CacheKey, asyncio.Lock] = {}
        self._refreshes: dict[CacheKey, asyncio.Task[None]] = {}
        self._one_refresh = asyncio.Semaphore(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond from the cache, or let the app respond and cache its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, self._invalidate_before(send))
        elif scope["method"] == "GET" and self._is_cacheable(scope) and await self._has_version():
            await self._respond(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @staticmethod
    def _is_cacheable(scope: Scope) -> bool:
        is_short = len(scope["path"]) + len(scope["query_string"]) <= MAX_KEY_CHARACTERS
        # A revoked link must not work from here, and no token may be kept.
        is_kept = scope["path"] not in UNCACHED_PATHS and not scope["path"].startswith(SHARE_PREFIX)
        return is_short and is_kept

    def _invalidate_before(self, send: Send) -> Send:
        """Invalidate the version before a write's response goes out.

        So a client that reads after its own write sees the write.
        """

        async def invalidate_and_send(message: Message) -> None:
            self._writes += 1
            self._version_read_at = float("-inf")
            await send(message)

        return invalidate_and_send

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        accepts_gzip = "gzip" in headers.get("accept-encoding", "")
        key = (scope["path"], scope["query_string"].decode("latin-1"), accepts_gzip)
        cached = self._find_fresh(key)
        if cached is None and (cached := self._find_stale(key)) is not None:
            self._start_refresh(key, scope)
        if cached is None:
            # One request renders the response; others for the same one wait for it.
            try:
                async with self._locks.setdefault(key, asyncio.Lock()):
                    cached = self._find_fresh(key) or await self._render(key, scope, receive, send)
            finally:
                self._locks.pop(key, None)
        if cached is not None:
            await _send_cached(cached, headers.get("if-none-match", ""), send)

    def _start_refresh(self, key: CacheKey, scope: Scope) -> None:
        if key not in self._refreshes:
            # A copy, because the app adds to the scope of the request that is under way.
            self._refreshes[key] = asyncio.create_task(self._refresh(key, dict(scope)))

    async def _refresh(self, key: CacheKey, scope: Scope) -> None:
        """Render a response again in the background, with no client behind it."""

        async def receive_empty_body() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def discard(_message: Message) -> None:
            """Drop an error: the next request renders again and returns its own error."""

        try:
            async with self._one_refresh:
                await self._render(key, scope, receive_empty_body, discard)
        except Exception:
            log.exception("A response could not be rendered again.")
        finally:
            self._refreshes.pop(key, None)

    async def _has_version(self) -> bool:
        """Return whether the data version is known; read it again if it is old."""
        if self._is_version_fresh():
            return True
        # One request reads the version; the others wait for it.
        async with self._version_lock:
            while not self._is_version_fresh():
                writes = self._writes
                try:
                    version = await to_thread.run_sync(
                        self._read_version, limiter=self._version_limiter
                    )
                except SentinelError:
                    return False  # the app itself responds with the reason
                # A write in the meantime makes the version that was just read too old.
                if writes == self._writes:
                    self._version, self._version_read_at = version, self._clock()
        return True

    def _is_version_fresh(self) -> bool:
        return self._clock() - self._version_read_at < VERSION_CHECK_SECONDS

    def _find_fresh(self, key: CacheKey) -> _CachedResponse | None:
        cached, now = self._responses.get(key), self._clock()
        if cached is None or cached.version != self._version or cached.expires_at < now:
            return None
        cached.fresh_at = now
        self._responses.move_to_end(key)
        return cached

    def _find_stale(self, key: CacheKey) -> _CachedResponse | None:
        """Return a response that was fresh a moment ago, unless the API wrote since."""
        cached = self._responses.get(key)
        if cached is None or cached.writes != self._writes:
            return None
        return cached if self._clock() - cached.fresh_at <= MAX_STALE_SECONDS else None

    async def _render(
        self, key: CacheKey, scope: Scope, receive: Receive, send: Send
    ) -> _CachedResponse | None:
        """Let the app respond. Return the response if it was cached; send an error on."""
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
        # A browser may keep the response, but must check its ETag before each use.
        headers["cache-control"] = "no-cache"
        headers["vary"] = "Accept-Encoding"
        now = self._clock()
        expires_at = now + MAX_AGE_SECONDS
        cached = _CachedResponse(version, writes, expires_at, now, headers.raw, body, etag)
        self._store(key, cached)
        return cached

    def _store(self, key: CacheKey, cached: _CachedResponse) -> None:
        old = self._responses.pop(key, None)
        self._bytes += len(cached.body) - (len(old.body) if old else 0)
        self._responses[key] = cached
        while self._bytes > MAX_BODY_BYTES or len(self._responses) > MAX_RESPONSES:
            _, oldest = self._responses.popitem(last=False)
            self._bytes -= len(oldest.body)


async def _send_cached(cached: _CachedResponse, if_none_match: str, send: Send) -> None:
    known_etags = {etag.strip().removeprefix("W/") for etag in if_none_match.split(",")}
    is_unchanged = "*" in known_etags or cached.etag.removeprefix("W/") in known_etags
    status, body, headers = OK, cached.body, cached.headers
    if is_unchanged:
        status, body = NOT_MODIFIED, b""
        headers = [pair for pair in headers if pair[0] in (b"etag", b"cache-control", b"vary")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
