"""A client of the API: one request for all viewers, and old data while the API is down."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import requests

Json = Mapping[str, Any]  # one object of a response
# A response younger than this is not requested again.
FRESH_SECONDS = 3.0
# To connect, and between two packets of a response.
TIMEOUT_SECONDS = (2.0, 8.0)
# After a failed connection the API is not requested again for this long, by any viewer.
RETRY_SECONDS = 5.0
# The least recently used responses are dropped first.
MAX_RESPONSES = 400
MAX_CONNECTIONS = 16
# The health check has content even with an error status, and the summary even without a database.
HEALTH_PATH, SUMMARY_PATH = "/health", "/summary"

FILE_MEDIA_TYPE = "text/csv"

Query = Mapping[str, str | int | list[str]]


class ApiUnreachable(Exception):
    """The API does not answer, and there is no earlier response."""


class RequestRejected(Exception):
    """The API rejected a request; the message is the API's."""


class NotFound(RequestRejected):
    """The API has no such object (404)."""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """The content of a response and when it was fetched."""

    content: Any
    fetched_at: datetime
    # Why there is no newer response; None: this one is current.
    problem: str | None = None


@dataclass(slots=True)
class _CacheEntry:
    """What is known about one path and query."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    response: ApiResponse | None = None
    rejection: RequestRejected | None = None
    problem: str | None = None
    etag: str | None = None
    # Monotonic time of the last request, and the generation of the data that it saw.
    requested_at: float = float("-inf")
    generation: int = 0


class ApiClient:
    """The API at one base URL, shared by all viewers.

    While one viewer's request is under way, the others get the response before it instead of
    waiting.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._base_url = base_url
        self._clock = clock
        self._now = now
        self._session = requests.Session()
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=MAX_CONNECTIONS)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)
        # Ignore proxies and .netrc: the token must reach the API only.
        self._session.trust_env = False
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        self._entries: OrderedDict[tuple[str, str], _CacheEntry] = OrderedDict()
        self._entries_lock = threading.Lock()
        # Every change through this client starts a new generation of the data.
        self._generation = 0
        self._down_until = float("-inf")
        self._down_problem = ""

    def get(self, path: str, **query: str | int | list[str]) -> ApiResponse:
        """Return the response for a path and query, or the last one while the API is down.

        Raises ApiUnreachable if there was never a response, RequestRejected for a 4xx status.
        """
        entry = self._find_entry(path, query)
        if not self._is_fresh(entry):
            must_wait = entry.response is None or entry.generation != self._generation
            if entry.lock.acquire(blocking=must_wait):
                try:
                    if not self._is_fresh(entry):
                        generation = self._generation
                        self._request(entry, path, query)
                        entry.requested_at, entry.generation = self._clock(), generation
                finally:
                    entry.lock.release()
        if rejection := entry.rejection:
            raise type(rejection)(*rejection.args)
        if entry.response is None:
            raise ApiUnreachable(entry.problem)
        return entry.response

    def _is_fresh(self, entry: _CacheEntry) -> bool:
        is_known = entry.response or entry.rejection or entry.problem
        is_young = self._clock() - entry.requested_at < FRESH_SECONDS
        return bool(is_known) and is_young and entry.generation == self._generation

    def send(self, method: str, path: str, content: Mapping[str, object] | None = None) -> Any:
        """Send a change and return the content of the response; every cached response expires.

        Raises ApiUnreachable, NotFound, and RequestRejected with the API's message.
        """
        return self._send(method, path, json=content)

    def upload(self, path: str, content: bytes, **query: str) -> Any:
        """Send a file as `send` sends a change."""
        headers = {"Content-Type": FILE_MEDIA_TYPE}
        return self._send("POST", path, data=content, params=query, headers=headers)

    def download(self, path: str) -> bytes:
        """Return a file. Raises ApiUnreachable and RequestRejected."""
        try:
            response = self._session.get(self._base_url + path, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise ApiUnreachable(self._describe(error)) from error
        if not response.ok:
            raise RequestRejected(_read_detail(response))
        return response.content

    def _send(self, method: str, path: str, **content: Any) -> Any:
        try:
            response = self._session.request(
                method, self._base_url + path, timeout=TIMEOUT_SECONDS, **content
            )
            result = response.json() if response.ok and response.content else None
        except (requests.ConnectTimeout, requests.exceptions.ProxyError) as error:
            raise ApiUnreachable(self._describe(error)) from error
        except requests.RequestException as error:
            was_refused = isinstance(error, requests.ConnectionError) and "refused" in str(error)
            self._start_generation()
            # The API may have saved the change before the connection broke.
            doubt = "" if was_refused else " It may have been saved: check before you try again."
            raise ApiUnreachable(self._describe(error) + doubt) from error
        if not response.ok:
            raise _find_rejection(response)
        self._start_generation()
        return result

    def _start_generation(self) -> None:
        with self._entries_lock:
            self._generation += 1

    def _find_entry(self, path: str, query: Query) -> _CacheEntry:
        key = (path, repr(sorted(query.items())))
        with self._entries_lock:
            entry = self._entries.setdefault(key, _CacheEntry())
            self._entries.move_to_end(key)
            while len(self._entries) > MAX_RESPONSES:
                self._entries.popitem(last=False)
        return entry

    def _request(self, entry: _CacheEntry, path: str, query: Query) -> None:
        """Request a path and store the outcome in its entry."""
        if self._clock() < self._down_until:
            _store_problem(entry, self._down_problem)
            return
        headers = {"If-None-Match": entry.etag} if entry.etag and not entry.rejection else {}
        try:
            response = self._session.get(
                self._base_url + path, params=dict(query), headers=headers, timeout=TIMEOUT_SECONDS
            )
            content = response.json() if response.status_code != 304 else None
        except requests.exceptions.JSONDecodeError:
            _store_problem(entry, f"The server at {self._base_url} is not the API.")
        except requests.RequestException as error:
            self._down_problem = self._describe(error)
            self._down_until = self._clock() + RETRY_SECONDS
            _store_problem(entry, self._down_problem)
        else:
            self._store(entry, path, response, content)

    def _store(
        self, entry: _CacheEntry, path: str, response: requests.Response, content: Any
    ) -> None:
        if problem := _find_problem(response, content):
            if path in (HEALTH_PATH, SUMMARY_PATH) and content and not entry.response:
                entry.response = ApiResponse(content, self._now())
            _store_problem(entry, problem)
            return
        entry.rejection = entry.problem = None
        if response.status_code == 304 and entry.response:
            entry.response = ApiResponse(entry.response.content, self._now())
        elif response.ok or path == HEALTH_PATH:
            entry.response = ApiResponse(content, self._now())
            entry.etag = response.headers.get("ETag")
        else:
            entry.rejection = _find_rejection(response)

    def _describe(self, error: requests.RequestException) -> str:
        is_timeout = isinstance(error, requests.Timeout)
        reason = "takes too long to answer" if is_timeout else "does not answer"
        return f"The API at {self._base_url} {reason}."


def quote_segment(text: str) -> str:
    """Return a coin id or a wallet name as one segment of a path."""
    return quote(text, safe="")


def _store_problem(entry: _CacheEntry, problem: str) -> None:
    """Keep the response, marked as old."""
    if entry.response:
        entry.response = replace(entry.response, problem=problem)
    entry.problem = problem


def _find_problem(response: requests.Response, content: Any) -> str | None:
    """Return why a response has no stored data in it, None if it has."""
    if response.status_code < 500:
        return _find_database_problem(content)
    checks = content.get("checks") if isinstance(content, dict) else None
    if checks is None:
        return _read_detail(response)
    # A health check that fails for another reason than the database still has data.
    database = checks.get("database", {})
    return None if database.get("is_ok", True) else str(database.get("message"))


def _find_database_problem(content: Any) -> str | None:
    """Return why the summary was made without a database."""
    problems = content.get("problems") if isinstance(content, dict) else None
    return next((str(p["message"]) for p in problems or [] if p["name"] == "database"), None)


def _find_rejection(response: requests.Response) -> RequestRejected:
    error_class = NotFound if response.status_code == 404 else RequestRejected
    return error_class(_read_detail(response))


def _read_detail(response: requests.Response) -> str:
    """Return the detail of a problem (RFC 9457), or the status."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The API returned status {response.status_code}."
