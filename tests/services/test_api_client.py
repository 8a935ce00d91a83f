"""The dashboard's API client: caching, outages, rejections."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.api_client import (
    FRESH_SECONDS,
    RETRY_SECONDS,
    ApiClient,
    ApiUnreachable,
    NotFound,
    RequestRejected,
    quote_segment,
)
from tests.conftest import FakeTime


@dataclass
class FakeApi:
    """An API that returns what a test sets, and records its requests."""

    status: int = 200
    content: Any = field(default_factory=lambda: {"n": 1})
    tag: str | None = None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    pause: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    fake.pause.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each body waits for the headers' acknowledgement

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            fake.requests.append((self.command, self.path, headers))
            fake.pause.wait(10)
            status = fake.status
            if fake.tag and self.headers.get("If-None-Match") == fake.tag:
                status = 304
            body = b"" if status in (204, 304) else json.dumps(fake.content).encode()
            self.send_response(status)
            if fake.tag:
                self.send_header("ETag", fake.tag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the client may have closed the connection
                self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fake.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield fake
        fake.pause.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def client(api: FakeApi, time_: FakeTime) -> ApiClient:
    return ApiClient(api.url, "geheim", clock=time_.monotonic, now=time_.now)


def test_a_fresh_response_is_requested_once_for_all_viewers(
    api: FakeApi, client: ApiClient, time_: FakeTime
) -> None:
    assert [client.get("/coins", limit=5).content for _ in range(20)] == [{"n": 1}] * 20
    assert [path for _, path, _ in api.requests] == ["/coins?limit=5"]
    time_.sleep(FRESH_SECONDS)
    client.get("/coins", limit=5)
    assert len(api.requests) == 2


def test_an_unchanged_response_is_not_sent_again(
    api: FakeApi, client: ApiClient, time_: FakeTime
) -> None:
    api.tag = '"v1"'
    first = client.get("/coins")
    time_.sleep(60)
    second = client.get("/coins")
    assert api.requests[1][2]["if-none-match"] == '"v1"'
    assert second.content == first.content
    assert second.fetched_at == time_.now()  # the API confirmed the content


@pytest.mark.parametrize("status", [500, 503, 0], ids=["500", "503", "connection refused"])
def test_during_an_outage_the_last_response_is_kept_and_marked_as_old(
    api: FakeApi, client: ApiClient, time_: FakeTime, status: int
) -> None:
    fetched_at = client.get("/coins").fetched_at
    time_.sleep(60)
    api.status, api.content = status or 200, {"detail": "the database is unavailable"}
    if not status:
        client._base_url = "http://127.0.0.1:9"
    old = client.get("/coins")
    assert (old.content, old.fetched_at) == ({"n": 1}, fetched_at)
    assert old.problem
    time_.sleep(60)
    api.status, api.content, client._base_url = 200, {"n": 2}, api.url
    assert client.get("/coins").problem is None  # and it recovers by itself


def test_an_api_that_never_answered_is_unavailable_and_the_error_has_no_token(
    time_: FakeTime,
) -> None:
    client = ApiClient("http://127.0.0.1:9", "geheim", clock=time_.monotonic, now=time_.now)
    with pytest.raises(ApiUnreachable, match="does not answer") as caught:
        client.get("/coins")
    assert "geheim" not in str(caught.value)


def test_a_rejection_has_the_message_of_the_api(api: FakeApi, client: ApiClient) -> None:
    api.status, api.content = 409, {"detail": "The sale is larger than the holding."}
    with pytest.raises(RequestRejected, match="larger than the holding"):
        client.send("POST", "/portfolio/transactions", {"coin_id": "bitcoin"})
    api.status = 404
    with pytest.raises(NotFound):
        client.get("/coins/unknown")


def test_a_change_without_a_response_is_reported_as_possibly_saved(
    api: FakeApi, client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api_client.TIMEOUT_SECONDS", (1.0, 0.05))
    client.get("/portfolio")
    api.pause.clear()
    with pytest.raises(ApiUnreachable, match="may have been saved"):
        client.send("POST", "/portfolio/transactions", {})
    api.pause.set()
    client._base_url, url = "http://127.0.0.1:9", client._base_url
    with pytest.raises(ApiUnreachable) as caught:
        client.send("POST", "/portfolio/transactions", {})
    assert "may have been saved" not in str(caught.value)  # the connection was refused
    client._base_url = url
    client.get("/portfolio")
    assert [method for method, _, _ in api.requests] == ["GET", "POST", "GET"]


def test_a_failed_path_is_not_requested_again_at_once(
    api: FakeApi, client: ApiClient, time_: FakeTime
) -> None:
    api.status, api.content = 500, {"detail": "the database is unavailable"}
    for _ in range(3):
        with pytest.raises(ApiUnreachable, match="database is unavailable"):
            client.get("/alerts")
    assert len(api.requests) == 1
    time_.sleep(FRESH_SECONDS)
    api.status, api.content = 200, {"n": 1}
    assert client.get("/alerts").content == {"n": 1}


def test_an_unhealthy_health_check_has_content(api: FakeApi, client: ApiClient) -> None:
    api.status, api.content = 503, {"status": "unhealthy", "checks": {}}
    assert client.get("/health").content["status"] == "unhealthy"


def test_after_a_change_everything_is_requested_again(api: FakeApi, client: ApiClient) -> None:
    client.get("/portfolio")
    client.send("POST", "/portfolio/transactions", {"coin_id": "bitcoin"})
    client.get("/portfolio")
    assert [method for method, _, _ in api.requests] == ["GET", "POST", "GET"]
    assert api.requests[1][2]["authorization"] == "Bearer geheim"


def test_one_viewers_slow_request_does_not_delay_other_viewers(
    api: FakeApi, client: ApiClient, time_: FakeTime
) -> None:
    client.get("/coins")
    time_.sleep(60)
    api.pause.clear()  # from now on the API does not answer
    slow = threading.Thread(target=client.get, args=("/coins",))
    slow.start()
    while len(api.requests) < 2:
        slow.join(0.01)
    assert client.get("/coins").content == {"n": 1}  # at once: the earlier response
    assert slow.is_alive()
    api.pause.set()
    slow.join(10)


def test_an_unreachable_api_is_not_requested_again_for_some_seconds(
    api: FakeApi, client: ApiClient, time_: FakeTime
) -> None:
    client.get("/coins")
    time_.sleep(60)
    client._base_url = "http://127.0.0.1:9"
    assert client.get("/coins").problem
    client._base_url = api.url
    with pytest.raises(ApiUnreachable, match="does not answer"):
        client.get("/alerts")  # at once, without another timeout
    assert len(api.requests) == 1
    time_.sleep(RETRY_SECONDS)
    assert client.get("/alerts").problem is None


def test_a_rejection_is_cached_like_a_response(
    api: FakeApi, client: ApiClient, time_: FakeTime
) -> None:
    api.status, api.content = 404, {"detail": "no forecast"}
    for _ in range(3):
        with pytest.raises(NotFound):
            client.get("/coins/bitcoin/forecast")
    assert len(api.requests) == 1
    api.status, api.content = 200, {"n": 3}
    time_.sleep(FRESH_SECONDS)
    assert client.get("/coins/bitcoin/forecast").content == {"n": 3}


def test_a_health_check_without_a_database_keeps_the_earlier_one(
    api: FakeApi, client: ApiClient, time_: FakeTime
) -> None:
    api.content = {"newest_observation": "2026-11-20T12:00:00Z", "checks": {}}
    client.get("/health")
    time_.sleep(60)
    api.status = 503
    api.content = {
        "newest_observation": None,
        "checks": {"database": {"is_ok": False, "message": "the database is unavailable"}},
    }
    old = client.get("/health")
    assert old.content["newest_observation"]
    assert old.problem == "the database is unavailable"


def test_a_response_requested_before_a_change_is_not_used_after_it(
    api: FakeApi, client: ApiClient
) -> None:
    api.pause.clear()
    early = threading.Thread(target=client.get, args=("/portfolio",))
    early.start()
    while not api.requests:
        early.join(0.01)
    client._generation += 1  # another viewer added a holding in the meantime
    api.pause.set()
    early.join(10)
    api.content = {"n": 2}
    assert client.get("/portfolio").content == {"n": 2}


@pytest.mark.usefixtures("api")
def test_the_number_of_cached_responses_is_limited(
    client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api_client.MAX_RESPONSES", 5)
    for n in range(8):
        client.get("/coins", offset=n)
    assert len(client._entries) == 5


def test_a_coin_id_is_one_segment_of_a_path() -> None:
    assert quote_segment("a/../b?c#d") == "a%2F..%2Fb%3Fc%23d"
