"""Which responses the API caches, for how long, and what it never serves from the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sentinel.errors import StorageUnavailable
from services.api import caching
from services.api.caching import CacheMiddleware


class CachedApp:
    """A cache over an app that responds with the number of requests it has received."""

    def __init__(self) -> None:
        self.now, self.data_version, self.status = 100.0, "v1", 200
        self.rendered: list[str] = []
        self.while_reading_version: Callable[[], None] = lambda: None
        self.cache = CacheMiddleware(self._app, self._version, lambda: self.now)

    def _version(self) -> str:
        found = self.data_version
        self.while_reading_version()
        return found

    async def _app(self, scope: Any, _receive: Any, send: Any) -> None:
        self.rendered.append(scope["path"])
        if scope["method"] == "POST":
            self.data_version += "+"
        body = f"{scope['path']} {self.data_version} {len(self.rendered)}".encode()
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def get(self, path: str = "/coins", method: str = "GET", query: str = "") -> str:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "query_string": query.encode(),
            "headers": [],
        }  # fmt: skip

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        await self.cache(scope, receive, send)
        return str(sent[-1]["body"].decode())

    async def settle(self) -> None:
        """Wait until the background refreshes end."""
        await asyncio.gather(*self.cache._refreshes.values())


def run(test: Callable[[CachedApp], Awaitable[None]]) -> None:
    async def within() -> None:
        await test(CachedApp())

    asyncio.run(within())


def test_a_response_is_cached_while_nothing_is_written() -> None:
    async def test(cached: CachedApp) -> None:
        first = await cached.get()
        cached.now += 30
        assert await cached.get() == first
        assert len(cached.rendered) == 1

    run(test)


def test_a_rare_request_gets_the_newest_response() -> None:
    async def test(cached: CachedApp) -> None:
        await cached.get()
        cached.now, cached.data_version = cached.now + 11, "v2"
        assert "v2" in await cached.get()

    run(test)


def test_a_frequent_request_gets_a_stale_response_while_the_app_renders_again() -> None:
    async def test(cached: CachedApp) -> None:
        first = await cached.get()
        cached.now, cached.data_version = cached.now + 1, "v2"
        assert [await cached.get() for _ in range(5)] == [first] * 5
        await cached.settle()
        assert "v2" in await cached.get()
        assert len(cached.rendered) == 2

    run(test)


def test_no_response_is_stale_after_a_write_through_the_api() -> None:
    async def test(cached: CachedApp) -> None:
        await cached.get()
        await cached.get("/portfolio/transactions", "POST")
        assert "v1+" in await cached.get()

    run(test)


def test_a_version_read_before_a_write_is_read_again() -> None:
    async def test(cached: CachedApp) -> None:
        loop = asyncio.get_running_loop()

        def write_meanwhile() -> None:
            cached.while_reading_version = lambda: None
            asyncio.run_coroutine_threadsafe(cached.get("/portfolio", "POST"), loop).result()

        cached.while_reading_version = write_meanwhile
        assert "v1+" in await cached.get()
        cached.now += 0.1
        assert "v1+" in await cached.get()

    run(test)


def test_equal_requests_wait_for_one_response() -> None:
    async def test(cached: CachedApp) -> None:
        responses = await asyncio.gather(*(cached.get() for _ in range(20)))
        assert len(set(responses)) == len(cached.rendered) == 1

    run(test)


@pytest.mark.parametrize("status", [404, 500, 503])
def test_only_successful_responses_are_cached(status: int) -> None:
    async def test(cached: CachedApp) -> None:
        cached.status = status
        assert await cached.get() != await cached.get()

    run(test)


def test_health_and_long_queries_are_not_cached() -> None:
    async def test(cached: CachedApp) -> None:
        for path, query in (("/health", ""), ("/coins", "x" * 600)):
            assert await cached.get(path, query=query) != await cached.get(path, query=query)

    run(test)


def test_the_size_of_the_cache_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "MAX_RESPONSES", 10)

    async def test(cached: CachedApp) -> None:
        for n in range(50):
            await cached.get(query=f"n={n}")
        assert len(cached.cache._responses) == 10
        assert cached.cache._bytes == sum(
            len(response.body) for response in cached.cache._responses.values()
        )
        assert cached.cache._locks == {}

    run(test)


def test_without_a_data_version_the_app_responds_itself() -> None:
    async def test(cached: CachedApp) -> None:
        def fail() -> None:
            raise StorageUnavailable

        cached.while_reading_version = fail
        assert await cached.get() != await cached.get()

    run(test)
