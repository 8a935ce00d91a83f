"""What the API tests share: a running API, an HTTP session for it, and typical requests."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import requests

from sentinel.storage.connection import Address
from services.api.app import create_app
from services.api.connection_pool import ConnectionPool
from services.settings import MonitorSettings
from services.web_server import make_server

TOKEN = "geheim-4711-0123456789"
# Every request that changes something.
WRITES = (
    ("POST", "/portfolio/transactions"),
    ("PUT", "/portfolio/transactions/1"),
    ("DELETE", "/portfolio/transactions/1"),
    ("POST", "/portfolio/transactions/1/restore"),
    ("POST", "/portfolio/transactions.csv"),
    ("POST", "/portfolio/import"),
    ("POST", "/portfolio/import/preview"),
    ("POST", "/portfolio/shares"),
    ("DELETE", "/portfolio/shares/1"),
    ("POST", "/price-targets"),
    ("POST", "/price-targets/preview"),
    ("DELETE", "/price-targets/1"),
    ("POST", "/coins/1/mute"),
    ("DELETE", "/coins/1/mute"),
    ("POST", "/rejections/replay"),
    ("POST", "/rejections/discard"),
    ("PUT", "/coins/1/star"),
    ("DELETE", "/coins/1/star"),
)


class ApiSession(requests.Session):
    """An HTTP session for one API; it sends the token, if one is given, with every request."""

    def __init__(self, base: str, token: str | None = None) -> None:
        super().__init__()
        self.base = base
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: Any, url: Any, *arguments: Any, **options: Any) -> requests.Response:
        options.setdefault("timeout", 30)
        return super().request(method, f"{self.base}{url}", *arguments, **options)

    def empty_cache(self) -> None:
        """Change the stored data and undo it: no response of before is fresh any more."""
        self.put("/coins/bitcoin/star")
        self.delete("/coins/bitcoin/star")

    def get_json(self, path: str, **query: Any) -> Any:
        """Return the content of a successful response."""
        response = self.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()


# Starts an API with the given token and database, and returns a session for it.
StartApi = Callable[..., ApiSession]


@contextlib.contextmanager
def running_api(
    monitor: MonitorSettings, address: Address, now: Callable[[], datetime]
) -> Iterator[str]:
    """Run an API in a thread for as long as the block lasts; yield its base URL."""
    app = create_app(monitor, ConnectionPool(address), now)
    server = make_server(app, port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)  # another thread is starting
    [port] = [s.getsockname()[1] for one in server.servers for s in one.sockets]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def problem_detail(response: requests.Response, status: int) -> str:
    """Return the detail of a problem response with the given status."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    content = response.json()
    assert content["status"] == status
    return str(content["detail"])


def add_transaction(api: ApiSession, **fields: Any) -> requests.Response:
    """Send a transaction of Bitcoin."""
    return api.post("/portfolio/transactions", json={"coin_id": "bitcoin"} | fields)
