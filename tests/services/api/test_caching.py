"""What the API keeps of its answers, for how long, and what it never serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sentinel.errors import StorageUnavailable
from services.api import caching
from services.api.caching import Cache


class Desk:
    """A cache over an app that answers with the number of times it was asked."""

    def __init__(self) -> None:
        self.now, self.stored, self.status = 100.0, "v1", 200
        self.rendered: list[str] = []
        self.while_asking: Callable[[], None] = lambda: None
        self.cache = Cache(self._app, self._version, lambda: self.now)

    def _version(self) -> str:
        found = self.stored
        self.while_asking()
        return found

    async def _app(self, scope: Any, _receive: Any, send: Any) -> None:
        self.rendered.append(scope["path"])
        if scope["method"] == "POST":
            self.stored += "+"
        body = f"{scope['path']} {self.stored} {len(self.rendered)}".encode()
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def ask(self, path: str = "/coins", method: str = "GET", query: str = "") -> str:
        got: list[Any] = []

        async def send(message: Any) -> None:
            got.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "query_string": query.encode(),
            "headers": [],
        }  # fmt: skip

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        await self.cache(scope, receive, send)
        return str(got[-1]["body"].decode())

    async def settle(self) -> None:
        """Let what was begun in the background end."""
        await asyncio.gather(*self.cache._refreshing.values())


def run(test: Callable[[Desk], Awaitable[None]]) -> None:
    async def within() -> None:
        await test(Desk())

    asyncio.run(within())


def test_an_answer_is_kept_while_nothing_is_written() -> None:
    async def test(desk: Desk) -> None:
        first = await desk.ask()
        desk.now += 30
        assert await desk.ask() == first
        assert len(desk.rendered) == 1

    run(test)


def test_who_asks_seldom_gets_the_newest() -> None:
    async def test(desk: Desk) -> None:
        await desk.ask()
        desk.now, desk.stored = desk.now + 11, "v2"
        assert "v2" in await desk.ask()

    run(test)


def test_what_is_asked_for_all_the_time_is_served_while_it_is_rendered_anew() -> None:
    async def test(desk: Desk) -> None:
        first = await desk.ask()
        desk.now, desk.stored = desk.now + 1, "v2"
        assert [await desk.ask() for _ in range(5)] == [first] * 5
        await desk.settle()
        assert "v2" in await desk.ask()
        assert len(desk.rendered) == 2

    run(test)


def test_an_answer_is_never_old_after_a_write_through_the_api() -> None:
    async def test(desk: Desk) -> None:
        await desk.ask()
        await desk.ask("/portfolio/transactions", "POST")
        assert "v1+" in await desk.ask()

    run(test)


def test_a_version_that_was_asked_for_before_a_write_is_asked_for_again() -> None:
    async def test(desk: Desk) -> None:
        loop = asyncio.get_running_loop()

        def write_meanwhile() -> None:
            desk.while_asking = lambda: None
            asyncio.run_coroutine_threadsafe(desk.ask("/portfolio", "POST"), loop).result()

        desk.while_asking = write_meanwhile
        assert "v1+" in await desk.ask()
        desk.now += 0.1
        assert "v1+" in await desk.ask()

    run(test)


def test_who_want_the_same_wait_for_one() -> None:
    async def test(desk: Desk) -> None:
        answers = await asyncio.gather(*(desk.ask() for _ in range(20)))
        assert len(set(answers)) == len(desk.rendered) == 1

    run(test)


@pytest.mark.parametrize("status", [404, 500, 503])
def test_only_good_answers_are_kept(status: int) -> None:
    async def test(desk: Desk) -> None:
        desk.status = status
        assert await desk.ask() != await desk.ask()

    run(test)


def test_health_and_long_questions_are_not_kept() -> None:
    async def test(desk: Desk) -> None:
        for path, query in (("/health", ""), ("/coins", "x" * 600)):
            assert await desk.ask(path, query=query) != await desk.ask(path, query=query)

    run(test)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "MOST_ANSWERS", 10)

    async def test(desk: Desk) -> None:
        for n in range(50):
            await desk.ask(query=f"n={n}")
        assert len(desk.cache._kept) == 10
        assert desk.cache._bytes == sum(len(kept.body) for kept in desk.cache._kept.values())
        assert desk.cache._locks == {}

    run(test)


def test_without_a_version_the_app_says_what_is_wrong() -> None:
    async def test(desk: Desk) -> None:
        def gone() -> None:
            raise StorageUnavailable

        desk.while_asking = gone
        assert await desk.ask() != await desk.ask()

    run(test)
