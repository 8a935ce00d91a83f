"""What the dashboard gets from the API, and shows when the API says nothing."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.dashboard.api_client import (
    FRESH_SECONDS,
    MOST_ANSWERS,
    SILENCE_SECONDS,
    ApiClient,
    Missing,
    Refused,
    Unavailable,
    segment,
)
from tests.conftest import FakeTime


@dataclass
class Api:
    """An API that answers what it is told, and remembers what it was asked."""

    status: int = 200
    content: Any = field(default_factory=lambda: {"n": 1})
    tag: str | None = None
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    pause: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@pytest.fixture
def api() -> Iterator[Api]:
    found = Api()
    found.pause.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.asked.append((self.command, self.path, headers))
            found.pause.wait(10)
            status = found.status
            if found.tag and self.headers.get("If-None-Match") == found.tag:
                status = 304
            body = b"" if status in (204, 304) else json.dumps(found.content).encode()
            self.send_response(status)
            if found.tag:
                self.send_header("ETag", found.tag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # who asked may have given up
                self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Silence."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield found
        found.pause.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def feed(api: Api, time_: FakeTime) -> ApiClient:
    return ApiClient(api.url, "geheim", clock=time_.monotonic, now=time_.now)


def test_many_viewers_are_one_request_while_it_is_fresh(
    api: Api, feed: ApiClient, time_: FakeTime
) -> None:
    assert [feed.get("/coins", limit=5).content for _ in range(20)] == [{"n": 1}] * 20
    assert [path for _, path, _ in api.asked] == ["/coins?limit=5"]
    time_.sleep(FRESH_SECONDS)
    feed.get("/coins", limit=5)
    assert len(api.asked) == 2


def test_what_has_not_changed_is_not_sent_again(api: Api, feed: ApiClient, time_: FakeTime) -> None:
    api.tag = '"v1"'
    first = feed.get("/coins")
    time_.sleep(60)
    second = feed.get("/coins")
    assert api.asked[1][2]["if-none-match"] == '"v1"'
    assert second.content == first.content
    assert second.fetched_at == time_.now()  # the API says: still so


@pytest.mark.parametrize("status", [500, 503, 0], ids=["500", "503", "nobody listens"])
def test_when_the_api_falls_silent_what_it_said_before_stays_and_says_so(
    api: Api, feed: ApiClient, time_: FakeTime, status: int
) -> None:
    said_at = feed.get("/coins").fetched_at
    time_.sleep(60)
    api.status, api.content = status or 200, {"detail": "the database is away"}
    if not status:
        feed._base_url = "http://127.0.0.1:9"
    kept = feed.get("/coins")
    assert (kept.content, kept.fetched_at) == ({"n": 1}, said_at)
    assert kept.problem
    time_.sleep(60)
    api.status, api.content, feed._base_url = 200, {"n": 2}, api.url
    assert feed.get("/coins").problem is None  # and it recovers by itself


def test_an_api_that_never_answered_is_unavailable_and_no_secret_is_told(time_: FakeTime) -> None:
    feed = ApiClient("http://127.0.0.1:9", "geheim", clock=time_.monotonic, now=time_.now)
    with pytest.raises(Unavailable, match="does not answer") as trouble:
        feed.get("/coins")
    assert "geheim" not in str(trouble.value)


def test_a_refusal_is_told_in_the_apis_own_words(api: Api, feed: ApiClient) -> None:
    api.status, api.content = 409, {"detail": "More would be sold than is held."}
    with pytest.raises(Refused, match="More would be sold"):
        feed.send("POST", "/portfolio/transactions", {"coin_id": "bitcoin"})
    api.status = 404
    with pytest.raises(Missing):
        feed.get("/coins/nobody")


def test_a_change_whose_answer_is_lost_may_have_been_made_and_that_is_said(
    api: Api, feed: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.dashboard.api_client.TIMEOUT_SECONDS", (1.0, 0.05))
    feed.get("/portfolio")
    api.pause.clear()
    with pytest.raises(Unavailable, match="may have been kept"):
        feed.send("POST", "/portfolio/transactions", {})
    api.pause.set()
    feed._base_url, url = "http://127.0.0.1:9", feed._base_url
    with pytest.raises(Unavailable) as trouble:
        feed.send("POST", "/portfolio/transactions", {})
    assert "may have been kept" not in str(trouble.value)  # nobody was there to keep it
    feed._base_url = url
    feed.get("/portfolio")
    assert [method for method, _, _ in api.asked] == ["GET", "POST", "GET"]


def test_what_fails_without_an_answer_is_not_asked_at_every_look(
    api: Api, feed: ApiClient, time_: FakeTime
) -> None:
    api.status, api.content = 500, {"detail": "the database is away"}
    for _ in range(3):
        with pytest.raises(Unavailable, match="database is away"):
            feed.get("/alerts")
    assert len(api.asked) == 1
    time_.sleep(FRESH_SECONDS)
    api.status, api.content = 200, {"n": 1}
    assert feed.get("/alerts").content == {"n": 1}


def test_health_is_read_also_where_it_is_bad(api: Api, feed: ApiClient) -> None:
    api.status, api.content = 503, {"status": "unhealthy", "checks": {}}
    assert feed.get("/health").content["status"] == "unhealthy"


def test_after_a_change_everything_is_asked_again(api: Api, feed: ApiClient) -> None:
    feed.get("/portfolio")
    feed.send("POST", "/portfolio/transactions", {"coin_id": "bitcoin"})
    feed.get("/portfolio")
    assert [method for method, _, _ in api.asked] == ["GET", "POST", "GET"]
    assert api.asked[1][2]["authorization"] == "Bearer geheim"


def test_a_viewer_who_waits_does_not_keep_another_waiting(
    api: Api, feed: ApiClient, time_: FakeTime
) -> None:
    feed.get("/coins")
    time_.sleep(60)
    api.pause.clear()  # from now on the API takes its time
    slow = threading.Thread(target=feed.get, args=("/coins",))
    slow.start()
    while len(api.asked) < 2:
        slow.join(0.01)
    assert feed.get("/coins").content == {"n": 1}  # at once: what was said before
    assert slow.is_alive()
    api.pause.set()
    slow.join(10)


def test_an_api_found_silent_is_left_alone_for_a_while_by_everybody(
    api: Api, feed: ApiClient, time_: FakeTime
) -> None:
    feed.get("/coins")
    time_.sleep(60)
    feed._base_url = "http://127.0.0.1:9"
    assert feed.get("/coins").problem
    feed._base_url = api.url
    with pytest.raises(Unavailable, match="does not answer"):
        feed.get("/alerts")  # at once: nobody waits out the same silence again
    assert len(api.asked) == 1
    time_.sleep(SILENCE_SECONDS)
    assert feed.get("/alerts").problem is None


def test_a_refusal_is_kept_as_long_as_an_answer(api: Api, feed: ApiClient, time_: FakeTime) -> None:
    api.status, api.content = 404, {"detail": "no forecast"}
    for _ in range(3):
        with pytest.raises(Missing):
            feed.get("/coins/bitcoin/forecast")
    assert len(api.asked) == 1
    api.status, api.content = 200, {"n": 3}
    time_.sleep(FRESH_SECONDS)
    assert feed.get("/coins/bitcoin/forecast").content == {"n": 3}


def test_a_health_without_a_database_does_not_hide_what_was_known(
    api: Api, feed: ApiClient, time_: FakeTime
) -> None:
    api.content = {"newest_observation": "2026-11-20T12:00:00Z", "checks": {}}
    feed.get("/health")
    time_.sleep(60)
    api.status = 503
    api.content = {
        "newest_observation": None,
        "checks": {"database": {"is_ok": False, "message": "the database is away"}},
    }
    kept = feed.get("/health")
    assert kept.content["newest_observation"]
    assert kept.problem == "the database is away"


def test_what_was_asked_before_a_change_is_not_taken_for_what_is_after(
    api: Api, feed: ApiClient
) -> None:
    api.pause.clear()
    early = threading.Thread(target=feed.get, args=("/portfolio",))
    early.start()
    while not api.asked:
        early.join(0.01)
    feed._generation += 1  # somebody's holding was kept meanwhile
    api.pause.set()
    early.join(10)
    api.content = {"n": 2}
    assert feed.get("/portfolio").content == {"n": 2}


@pytest.mark.slow
@pytest.mark.usefixtures("api")
def test_no_more_answers_are_kept_than_are_looked_at(feed: ApiClient) -> None:
    for n in range(MOST_ANSWERS + 20):
        feed.get("/coins", offset=n)
    assert len(feed._kept) == MOST_ANSWERS


def test_an_id_is_one_segment_of_a_path() -> None:
    assert segment("a/../b?c#d") == "a%2F..%2Fb%3Fc%23d"
