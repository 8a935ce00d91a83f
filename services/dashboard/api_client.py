"""What the API says, fetched once for all viewers, and kept for when it falls silent."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import requests

FRESH_SECONDS = 3.0  # within which nobody asks again
TIMEOUT_SECONDS = (2.0, 8.0)  # to connect, and between bytes
SILENCE_SECONDS = 5.0  # an API found silent is not asked again so soon, by nobody
MOST_ANSWERS = 400  # kept, the longest unused go first
CONNECTIONS = 16
HEALTH = "/health"  # tells something also with a status that says: unwell


class Unavailable(Exception):
    """The API does not answer, and nothing it said before is kept."""


class Refused(Exception):
    """The API understood and said no; the message is its own."""


class Missing(Refused):
    """There is no such thing."""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """What the API said, and when. `problem` says why there is nothing newer, None: it is fresh."""

    content: Any
    fetched_at: datetime
    problem: str | None = None


@dataclass(slots=True)
class _Kept:
    """One path's last good answer, and who is asking again just now."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: ApiResponse | None = None
    refusal: Refused | None = None
    problem: str | None = None
    tag: str | None = None
    asked_at: float = float("-inf")
    generation: int = 0


class ApiClient:
    """The API at `base_url`. One viewer who asks does not keep the others waiting: while an answer
    is under way the others get the one before, and an API found silent is left alone for a while.
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
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)
        self._session.trust_env = False  # no proxy, no netrc: the token goes to the API alone
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._guard = threading.Lock()
        self._generation = 0  # of what is stored: a change of ours begins a new one
        self._silent_until = float("-inf")
        self._silence = ""

    def get(self, path: str, **query: str | int) -> ApiResponse:
        """What the API says to a path and its query, or said last.

        Raises Unavailable where it never said anything, Refused where it says no.
        """
        kept = self._slot(path, query)
        if not self._is_fresh(kept):
            may_wait = kept.answer is None or kept.generation != self._generation
            if kept.lock.acquire(blocking=may_wait):
                try:
                    if not self._is_fresh(kept):
                        self._ask(kept, path, query)
                finally:
                    kept.lock.release()
        if refusal := kept.refusal:
            raise type(refusal)(*refusal.args)
        if kept.answer is None:
            raise Unavailable(kept.problem)
        return kept.answer

    def _is_fresh(self, kept: _Kept) -> bool:
        is_known = kept.answer or kept.refusal or kept.problem
        is_young = self._clock() - kept.asked_at < FRESH_SECONDS
        return bool(is_known) and is_young and kept.generation == self._generation

    def send(self, method: str, path: str, content: Mapping[str, object] | None = None) -> Any:
        """Change something, after which nothing that was kept counts.

        Raises Unavailable, and Refused with the API's own words.
        """
        try:
            answer = self._session.request(
                method, self._base_url + path, json=content, timeout=TIMEOUT_SECONDS
            )
            said = answer.json() if answer.ok and answer.content else None
        except (requests.ConnectTimeout, requests.exceptions.ProxyError) as error:
            raise Unavailable(self._why(error)) from error
        except requests.RequestException as error:
            refused = isinstance(error, requests.ConnectionError) and "refused" in str(error)
            self._begin_generation()
            doubt = "" if refused else " It may have been kept: look before you try again."
            raise Unavailable(self._why(error) + doubt) from error
        if not answer.ok:
            raise Refused(_said(answer))
        self._begin_generation()
        return said

    def _begin_generation(self) -> None:
        with self._guard:
            self._generation += 1

    def _slot(self, path: str, query: Mapping[str, str | int]) -> _Kept:
        key = (path, repr(sorted(query.items())))
        with self._guard:
            kept = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_ANSWERS:
                self._kept.popitem(last=False)
        return kept

    def _ask(self, kept: _Kept, path: str, query: Mapping[str, str | int]) -> None:
        generation = self._generation
        if self._clock() < self._silent_until:
            self._keep_old(kept, self._silence, generation)
            return
        headers = {"If-None-Match": kept.tag} if kept.tag and not kept.refusal else {}
        try:
            answer = self._session.get(
                self._base_url + path, params=dict(query), headers=headers, timeout=TIMEOUT_SECONDS
            )
            content = answer.json() if answer.status_code != 304 else None
        except requests.exceptions.JSONDecodeError:
            self._keep_old(kept, f"What answers at {self._base_url} is not the API.", generation)
            return
        except requests.RequestException as error:
            self._silence = silence = self._why(error)
            self._silent_until = self._clock() + SILENCE_SECONDS
            self._keep_old(kept, silence, generation)
            return
        if trouble := _trouble(answer, content):
            self._keep_old(kept, trouble, generation, content if path == HEALTH else None)
            return
        kept.refusal = kept.problem = None
        if answer.status_code == 304 and kept.answer:
            kept.answer = ApiResponse(kept.answer.content, self._now())
        elif answer.ok or path == HEALTH:
            kept.answer, kept.tag = ApiResponse(content, self._now()), answer.headers.get("ETag")
        else:
            kept.refusal = (Missing if answer.status_code == 404 else Refused)(_said(answer))
        kept.asked_at, kept.generation = self._clock(), generation

    def _keep_old(self, kept: _Kept, problem: str, generation: int, first: Any = None) -> None:
        """Keep what was said before; `first` is what is said where nothing was."""
        if kept.answer:
            kept.answer = ApiResponse(kept.answer.content, kept.answer.fetched_at, problem)
        elif first:
            kept.answer = ApiResponse(first, self._now(), problem)
        kept.problem = problem
        kept.asked_at, kept.generation = self._clock(), generation

    def _why(self, error: requests.RequestException) -> str:
        why = "takes too long" if isinstance(error, requests.Timeout) else "does not answer"
        return f"The API at {self._base_url} {why}."


def segment(coin_id: str) -> str:
    """A coin's id as one segment of a path."""
    return quote(coin_id, safe="")


def _trouble(answer: requests.Response, content: Any) -> str | None:
    """Why an answer tells nothing about what is stored; None where it does."""
    if answer.status_code < 500:
        return None
    checks = content.get("checks") if isinstance(content, dict) else None
    if checks is None:
        return _said(answer)
    database = checks.get("database", {})
    return None if database.get("is_ok", True) else str(database.get("message"))


def _said(answer: requests.Response) -> str:
    """The words of a problem (RFC 9457), or its status."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The API answered {answer.status_code}."
