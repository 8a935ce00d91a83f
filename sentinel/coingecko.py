"""The one place that calls CoinGecko: session, pacing, retries, circuit breaker, counting."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pybreaker
import requests
import tenacity
import urllib3

from api_library import (
    GOOD,
    Meaning,
    ResponseStatus,
    chart_url,
    choose_plan,
    decipher_response,
    list_url,
    markets_url,
    price_url,
)
from safe_zone import (
    API_ATTEMPTS,
    API_DEADLINE_SECONDS,
    BREAKER_FAILURES,
    BREAKER_RESET_SECONDS,
    CONNECT_TIMEOUT_SECONDS,
    MAX_BODY_BYTES,
    NO_RESPONSE_LIMIT_SECONDS,
    READ_TIMEOUT_SECONDS,
)
from sentinel.errors import ApiRefused, ApiUnavailable, CoinUnknown, ConfigurationError

log = logging.getLogger("sentinel.coingecko")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class PriceResponse:
    """The raw body of one `/simple/price` call and the ids it was asked for."""

    ids: tuple[str, ...]
    body: bytes


class _Session(requests.Session):
    """Follows no redirect and reads none: the key's header would travel to wherever it points."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        return None


class _TryAgain(Exception):
    """One try failed in a way that the next may not."""

    def __init__(self, verdict: ResponseStatus, status: int | None) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict
        self.status = status


class _TooLong(Exception):
    """The url is too long for the server: ask for fewer ids."""


class RateLimiter:
    """How many calls may go out in a minute, and how far apart they must be."""

    def __init__(self, calls_per_minute: int, seconds_between_calls: float) -> None:
        self._sent: deque[float] = deque(maxlen=calls_per_minute)
        self._gap = seconds_between_calls

    def wait_seconds(self, now: float) -> float:
        """How long a call at `now` (seconds of any steady clock) has to wait."""
        if not self._sent:
            return 0.0
        full = len(self._sent) == self._sent.maxlen
        until = max(self._sent[-1] + self._gap, self._sent[0] + 60.0 if full else 0.0)
        return max(0.0, until - now)

    def note(self, now: float) -> None:
        """Remember that a call went out at `now`."""
        self._sent.append(now)


class CoinGecko:
    """A client that keeps to its plan's pace and gives up in time.

    `calls` counts every request that was sent (all of them count toward the minute), `credits`
    the answers with status 200 (they count toward the month).

    All fetching methods raise ApiUnavailable when tries are exhausted, the circuit is open or the
    deadline has come, ApiRefused when CoinGecko says no, and ConfigurationError when it says no
    to the key.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        is_pro: bool = False,
        base_url: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        deadline_seconds: float = API_DEADLINE_SECONDS,
    ) -> None:
        self.plan = choose_plan(api_key, is_pro=is_pro)
        self.base_url = base_url or self.plan.base_url
        self.calls = 0
        self.credits = 0
        self._clock = clock
        self._sleep = sleep
        self._deadline = clock() + deadline_seconds
        self._pace = RateLimiter(self.plan.calls_per_minute, self.plan.seconds_between_calls)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=BREAKER_FAILURES,
            reset_timeout=BREAKER_RESET_SECONDS,
            exclude=[ApiRefused, ConfigurationError, _TooLong],
            throw_new_error_on_trip=False,
        )
        self._api_key = api_key
        self._session = _Session()
        # A proxy of the environment is no way to the stand-in on this machine.
        self._session.trust_env = urlsplit(self.base_url).hostname not in LOOPBACK
        self._session.headers["User-Agent"] = "market-sentinel"
        if self.plan.key_header and api_key:
            self._session.headers[self.plan.key_header] = api_key

    def prices(self, ids: Sequence[str]) -> Iterator[PriceResponse]:
        """Fetch one chunk of ids; in halves where the server finds the url too long (414)."""
        try:
            body = self._get(price_url(self.base_url, ids), asked=ids)
        except _TooLong as error:
            if len(ids) == 1:
                raise ApiRefused(f"CoinGecko finds the url for '{ids[0]}' too long.") from error
            middle = len(ids) // 2
            yield from self.prices(ids[:middle])
            yield from self.prices(ids[middle:])
        else:
            yield PriceResponse(tuple(ids), body)

    def coin_list(self) -> list[Any]:
        """Every active coin, as `{"id", "symbol", "name"}` objects."""
        return _as_list(self._get(list_url(self.base_url)))

    def markets(self, page: int) -> list[Any]:
        """One page (from 1) of coins by market cap, with `market_cap_rank` and `market_cap`."""
        return _as_list(self._get(markets_url(self.base_url, page)))

    def market_chart(self, coin_id: str, days: int, *, should_retry: bool = True) -> bytes:
        """A coin's `prices`, `market_caps` and `total_volumes` of the last `days`, in USD.

        With one try only where the caller is not patient. Raises CoinUnknown besides.
        """
        url = chart_url(self.base_url, coin_id, days)
        return self._get(url, asked=("prices",), attempts=API_ATTEMPTS if should_retry else 1)

    @property
    def is_exhausted(self) -> bool:
        """Whether every further call would fail at once: circuit open, or no time left."""
        is_open = self._breaker.current_state == pybreaker.STATE_OPEN
        return bool(is_open) or self._clock() > self._deadline

    def _get(self, url: str, asked: Sequence[str] = (), attempts: int = API_ATTEMPTS) -> bytes:
        """One request with its tries, under the breaker."""
        try:
            return self._breaker.call(self._get_with_tries, url, asked, attempts)
        except pybreaker.CircuitBreakerError as error:
            raise ApiUnavailable(
                f"CoinGecko failed {BREAKER_FAILURES} requests in a row: the circuit is open and "
                "nothing more is asked. The next run tries again."
            ) from error

    def _get_with_tries(self, url: str, asked: Sequence[str], attempts: int) -> bytes:
        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgain),
            stop=lambda state: state.attempt_number >= attempts or _has_been_silent(state),
            wait=self._wait,
            sleep=self._sleep_before_deadline,
            before_sleep=_report_retry,
            reraise=True,
        )
        try:
            return tries(self._try_once, url, asked)
        except _TryAgain as error:
            raise ApiUnavailable(
                f"CoinGecko gives no answer at {_place(url)} ({error}), however often asked. "
                "The next run tries again."
            ) from error

    def _try_once(self, url: str, asked: Sequence[str]) -> bytes:
        pause = self._pace.wait_seconds(self._clock())
        if pause >= 1:
            log.info("pausing %.1f s to keep to the %s plan's pace", pause, self.plan.name)
        self._sleep_before_deadline(pause)
        self._pace.note(self._clock())
        self.calls += 1
        try:
            status, body, headers = self._read(url)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            verdict = ResponseStatus(Meaning.TRY_AGAIN, _reason(error))
            raise _TryAgain(verdict, None) from error
        verdict = decipher_response(status, body, headers, asked=asked, now=datetime.now(UTC))
        return _body_or_raise(self._without_key(verdict), body, status)

    def _without_key(self, verdict: ResponseStatus) -> ResponseStatus:
        """A server may repeat the key in its complaint; we do not."""
        if not self._api_key or self._api_key not in verdict.message:
            return verdict
        return dataclasses.replace(verdict, message=verdict.message.replace(self._api_key, "***"))

    def _read(self, url: str) -> tuple[int, bytes, dict[str, str]]:
        """Send and read everything; a body that trickles ends at the deadline."""
        timeout = (CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS)
        with self._session.get(url, timeout=timeout, stream=True) as answer:
            if answer.status_code == 200:
                self.credits += 1  # whatever becomes of the body, it is billed
            body = bytearray()
            # Piece by piece as it arrives: waiting for a full buffer would outlast the deadline.
            while piece := answer.raw.read1(65_536, decode_content=True):
                body += piece
                if len(body) > MAX_BODY_BYTES or self._clock() > self._deadline:
                    raise _TryAgain(
                        ResponseStatus(Meaning.TRY_AGAIN, "the body does not end"), None
                    )
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status_code, bytes(body), headers

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Retry-After where given; else exponential with jitter, slower when rate limited."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _TryAgain) and error.verdict.retry_after is not None:
            return error.verdict.retry_after + tenacity.wait_random(0, 0.5)(state)
        rate_limited = isinstance(error, _TryAgain) and error.status == 429
        first = 4.0 if rate_limited else 0.5
        return tenacity.wait_exponential_jitter(multiplier=first, jitter=first)(state)

    def _sleep_before_deadline(self, seconds: float) -> None:
        if seconds <= 0:
            return
        if self._clock() + seconds > self._deadline:
            raise ApiUnavailable(
                f"CoinGecko needs a pause of {seconds:.0f} s and this run has no time left for "
                "it. The next run tries again."
            )
        self._sleep(seconds)


def _body_or_raise(verdict: ResponseStatus, body: bytes, status: int) -> bytes:
    if verdict is GOOD:
        return body
    if verdict.meaning is Meaning.TOO_LONG:
        raise _TooLong(verdict.message)
    if verdict.meaning is Meaning.WRONG_KEY:
        raise ConfigurationError(verdict.message)
    if verdict.meaning is Meaning.REFUSED and status == 404:
        raise CoinUnknown(verdict.message)
    if verdict.meaning is Meaning.REFUSED:
        raise ApiRefused(verdict.message)
    raise _TryAgain(verdict, status)


def _as_list(body: bytes) -> list[Any]:
    content: list[Any] = json.loads(body)
    return content


def _has_been_silent(state: tenacity.RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    is_silent = isinstance(error, _TryAgain) and error.status is None
    waited = state.seconds_since_start or 0.0
    return is_silent and waited > NO_RESPONSE_LIMIT_SECONDS


def _report_retry(state: tenacity.RetryCallState) -> None:
    wait = state.next_action.sleep if state.next_action else 0.0
    cause = state.outcome.exception() if state.outcome else None
    log.info("retry %d of %d in %.1f s: %s", state.attempt_number, API_ATTEMPTS - 1, wait, cause)


def _reason(error: Exception) -> str:
    """A cause without urls: a proxy's address may hold a password."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        reason = getattr(cause, "reason", None) or (
            cause.args[0] if cause.args and isinstance(cause.args[0], BaseException) else None
        )
        cause = reason if isinstance(reason, BaseException) else cause.__cause__
    names = {
        "ReadTimeout": "no answer in time",
        "ReadTimeoutError": "no answer in time",
        "ConnectTimeout": "no connection in time",
        "ProtocolError": "the connection broke",
        "IncompleteRead": "the body is cut off",
    }
    return names.get(type(error).__name__, type(error).__name__)


def _place(url: str) -> str:
    return url.partition("?")[0]
