"""The CoinGecko client: session, rate limit, retries, circuit breaker and counters.

No other module calls CoinGecko. api_library.py decides what a response means.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pybreaker
import requests
import tenacity
import urllib3

from api_library import (
    OK,
    CoinGeckoEndpoints,
    Meaning,
    ResponseStatus,
    build_url,
    choose_plan,
    decipher_response,
    price_url,
)
from safe_zone import (
    API_ATTEMPTS,
    API_DEADLINE_SECONDS,
    BREAKER_FAILURES,
    BREAKER_RESET_SECONDS,
    CONNECT_TIMEOUT_SECONDS,
    MARKETS_PER_PAGE,
    MAX_BODY_BYTES,
    NO_RESPONSE_LIMIT_SECONDS,
    READ_TIMEOUT_SECONDS,
)
from sentinel.errors import ApiRefused, ApiUnavailable, CoinUnknown, ConfigurationError

log = logging.getLogger("sentinel.coingecko")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class PriceResponse:
    """The raw body of one `/simple/price` call."""

    # The requested ids; the body may lack some of them.
    ids: tuple[str, ...]
    body: bytes


class _Session(requests.Session):
    """Follows no redirect, because the header with the key would be sent to its target."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        return None


class _Retryable(Exception):
    """One try failed, and the next one may succeed."""

    def __init__(self, response: ResponseStatus, status: int | None) -> None:
        super().__init__(response.message)
        self.response = response
        # The HTTP status; None if there was no complete response.
        self.status = status


class _TooLong(Exception):
    """The URL is too long for the server, so the call must have fewer ids."""


class RateLimiter:
    """The plan's limit: calls in any 60 seconds, and the minimum pause between two calls.

    https://docs.coingecko.com/docs/errors-and-rate-limits
    """

    def __init__(self, calls_per_minute: int, seconds_between_calls: float) -> None:
        # When the last calls went out, in seconds of any monotonic clock.
        self._sent: deque[float] = deque(maxlen=calls_per_minute)
        self._pause_seconds = seconds_between_calls

    def wait_seconds(self, now: float) -> float:
        """Return how long a call at `now` has to wait."""
        if not self._sent:
            return 0.0
        is_full = len(self._sent) == self._sent.maxlen
        until = max(self._sent[-1] + self._pause_seconds, self._sent[0] + 60.0 if is_full else 0.0)
        return max(0.0, until - now)

    def note_call(self, now: float) -> None:
        """Remember that a call went out at `now`."""
        self._sent.append(now)


class CoinGecko:
    """A client that keeps its plan's rate limit and ends before its deadline.

    All methods that fetch raise ApiUnavailable if every try failed, the circuit is open or the
    deadline has passed; ApiRefused if CoinGecko rejects the request; and ConfigurationError if it
    rejects the key or the plan.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        is_pro: bool = False,
        base_url: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        deadline_seconds: float = API_DEADLINE_SECONDS,
    ) -> None:
        self.plan = choose_plan(api_key, is_pro=is_pro)
        self.base_url = base_url or self.plan.base_url
        # Requests sent; all of them count toward the plan's minute.
        self.calls = 0
        # Responses with status 200; they count toward the plan's month.
        self.credits = 0
        # How far this machine's clock is ahead of CoinGecko's (negative: behind), to the second;
        # None: no response had a date.
        self.clock_offset: timedelta | None = None
        self._clock = clock
        self._sleep = sleep
        self._now = now
        self._deadline = clock() + deadline_seconds
        self.rate_limiter = RateLimiter(self.plan.calls_per_minute, self.plan.seconds_between_calls)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=BREAKER_FAILURES,
            reset_timeout=BREAKER_RESET_SECONDS,
            exclude=[ApiRefused, ConfigurationError, _TooLong],
            throw_new_error_on_trip=False,
        )
        self._api_key = api_key
        self._session = _Session()
        # A proxy from the environment cannot reach the stand-in on this machine.
        self._session.trust_env = urlsplit(self.base_url).hostname not in _LOOPBACK
        self._session.headers["User-Agent"] = "market-sentinel"
        if self.plan.key_header and api_key:
            self._session.headers[self.plan.key_header] = api_key

    def prices(self, ids: Sequence[str]) -> Iterator[PriceResponse]:
        """Yield the response for these ids, or one for each half if the URL is too long (414)."""
        try:
            body = self._get(price_url(self.base_url, ids), expected_keys=ids)
        except _TooLong as error:
            if len(ids) == 1:
                raise ApiRefused(f"CoinGecko finds the URL for '{ids[0]}' too long.") from error
            middle = len(ids) // 2
            yield from self.prices(ids[:middle])
            yield from self.prices(ids[middle:])
        else:
            yield PriceResponse(tuple(ids), body)

    def coin_list(self) -> list[Any]:
        """Return every active coin, as `{"id", "symbol", "name"}` objects.

        https://docs.coingecko.com/reference/coins-list
        """
        return _as_list(self._get(build_url(self.base_url, CoinGeckoEndpoints.COINS_LIST)))

    def markets(self, page: int) -> list[Any]:
        """Return one page (from 1) of coins by market cap, with rank and market cap.

        https://docs.coingecko.com/reference/coins-markets
        """
        url = build_url(
            self.base_url,
            CoinGeckoEndpoints.COINS_MARKETS,
            vs_currency="usd",
            order="market_cap_desc",
            per_page=str(MARKETS_PER_PAGE),
            page=str(page),
        )
        return _as_list(self._get(url))

    def market_chart(self, coin_id: str, days: int, *, should_retry: bool = True) -> bytes:
        """Return a coin's `prices`, `market_caps` and `total_volumes` of the last `days`, in USD.

        Without an interval parameter CoinGecko sends 5-minute points for one day and hourly points
        for 2 to 90 days: https://docs.coingecko.com/reference/coins-id-market-chart

        Without `should_retry` there is only one try. Raises CoinUnknown in addition.
        """
        url = build_url(
            self.base_url,
            CoinGeckoEndpoints.MARKET_CHART,
            coin_id,
            vs_currency="usd",
            days=str(days),
            precision="full",
        )
        attempts = API_ATTEMPTS if should_retry else 1
        return self._get(url, expected_keys=("prices",), attempts=attempts)

    @property
    def is_exhausted(self) -> bool:
        """Whether every further call would fail at once: open circuit, or no time left."""
        is_open = self._breaker.current_state == pybreaker.STATE_OPEN
        return bool(is_open) or self._clock() > self._deadline

    def _get(
        self, url: str, expected_keys: Sequence[str] = (), attempts: int = API_ATTEMPTS
    ) -> bytes:
        """Send one request with its retries through the circuit breaker, and return the body."""
        try:
            return self._breaker.call(self._get_with_retries, url, expected_keys, attempts)
        except pybreaker.CircuitBreakerError as error:
            raise ApiUnavailable(
                f"CoinGecko failed {BREAKER_FAILURES} requests in a row: the circuit is open and "
                "the run sends no more. The next run tries again."
            ) from error

    def _get_with_retries(self, url: str, expected_keys: Sequence[str], attempts: int) -> bytes:
        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Retryable),
            stop=lambda state: state.attempt_number >= attempts or _was_unresponsive(state),
            wait=self._wait,
            sleep=self._sleep_before_deadline,
            before_sleep=_report_retry,
            reraise=True,
        )
        try:
            return tries(self._try_once, url, expected_keys)
        except _Retryable as error:
            raise ApiUnavailable(
                f"CoinGecko gave no usable response at {_strip_query(url)} ({error}). "
                "The next run tries again."
            ) from error

    def _try_once(self, url: str, expected_keys: Sequence[str]) -> bytes:
        pause = self.rate_limiter.wait_seconds(self._clock())
        if pause >= 1:
            log.info("pausing %.1f s for the rate limit of the %s plan", pause, self.plan.name)
        self._sleep_before_deadline(pause)
        self.rate_limiter.note_call(self._clock())
        self.calls += 1
        try:
            status, body, headers = self._send(url)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if setting := _find_wrong_setting(error):
                self.calls -= 1
                raise ConfigurationError(
                    f"No request to CoinGecko can be sent: {setting}"
                ) from error
            failure = ResponseStatus(Meaning.RETRY, _describe_failure(error))
            raise _Retryable(failure, None) from error
        response = decipher_response(
            status,
            body,
            headers,
            endpoint=_strip_query(url.removeprefix(self.base_url)),
            expected_keys=expected_keys,
            now=self._now(),
        )
        return _body_or_raise(self._mask_key(response), body, status)

    def _mask_key(self, response: ResponseStatus) -> ResponseStatus:
        """Replace the key in the message: a server may repeat it in its error."""
        if not self._api_key or self._api_key not in response.message:
            return response
        return dataclasses.replace(response, message=response.message.replace(self._api_key, "***"))

    def _send(self, url: str) -> tuple[int, bytes, dict[str, str]]:
        """Send one request; return status, body and headers. A slow body ends at the deadline."""
        timeout = (CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS)
        with self._session.get(url, timeout=timeout, stream=True) as response:
            self._note_date(response.headers.get("Date"))
            if response.status_code == 200:
                self.credits += 1  # CoinGecko bills it, even if the body turns out to be unusable
            body = bytearray()
            # Reading stops at each piece that arrives: a full buffer may take past the deadline.
            while chunk := response.raw.read1(65_536, decode_content=True):
                body += chunk
                if len(body) > MAX_BODY_BYTES or self._clock() > self._deadline:
                    failure = ResponseStatus(Meaning.RETRY, "the body does not end")
                    raise _Retryable(failure, None)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return response.status_code, bytes(body), headers

    def _note_date(self, date: str | None) -> None:
        """Update `clock_offset` with a response's Date header.

        A cache may send an old date. So the smallest difference of all responses counts.
        """
        try:
            offset = self._now() - parsedate_to_datetime(date or "").astimezone(UTC)
        except (ValueError, OverflowError):
            return
        self.clock_offset = offset if self.clock_offset is None else min(self.clock_offset, offset)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Return Retry-After, or an exponential back-off with jitter, longer after status 429."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _Retryable) and error.response.retry_after is not None:
            return error.response.retry_after + tenacity.wait_random(0, 0.5)(state)
        is_rate_limited = isinstance(error, _Retryable) and error.status == 429
        first = 4.0 if is_rate_limited else 0.5
        return tenacity.wait_exponential_jitter(multiplier=first, jitter=first)(state)

    def _sleep_before_deadline(self, seconds: float) -> None:
        if seconds <= 0:
            return
        if self._clock() + seconds > self._deadline:
            raise ApiUnavailable(
                f"CoinGecko requires a pause of {seconds:.0f} s, and this run has no time left for "
                "it. The next run tries again."
            )
        self._sleep(seconds)


def _body_or_raise(response: ResponseStatus, body: bytes, status: int) -> bytes:
    """Return the body of a usable response, and raise what the caller does next otherwise."""
    if response is OK:
        return body
    if response.meaning is Meaning.TOO_LONG:
        raise _TooLong(response.message)
    if response.meaning is Meaning.WRONG_KEY:
        raise ConfigurationError(response.message)
    if response.meaning is Meaning.REFUSED and status == 404:
        raise CoinUnknown(response.message)
    if response.meaning is Meaning.REFUSED:
        raise ApiRefused(response.message)
    raise _Retryable(response, status)


def _as_list(body: bytes) -> list[Any]:
    content: list[Any] = json.loads(body)
    return content


def _was_unresponsive(state: tenacity.RetryCallState) -> bool:
    """Whether CoinGecko sent no response at all for so long that a retry is pointless."""
    error = state.outcome.exception() if state.outcome else None
    has_no_response = isinstance(error, _Retryable) and error.status is None
    waited = state.seconds_since_start or 0.0
    return has_no_response and waited > NO_RESPONSE_LIMIT_SECONDS


def _report_retry(state: tenacity.RetryCallState) -> None:
    wait = state.next_action.sleep if state.next_action else 0.0
    cause = state.outcome.exception() if state.outcome else None
    log.info("retry %d of %d in %.1f s: %s", state.attempt_number, API_ATTEMPTS - 1, wait, cause)


def _find_wrong_setting(error: Exception) -> str | None:
    """Return what to correct if the error came before anything was sent, None otherwise.

    Without the value, because a proxy's address may hold a password.
    """
    if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL):
        return (
            "HTTPS_PROXY or ALL_PROXY names no proxy that can be used. Set it to http://HOST:PORT "
            "or unset it; a socks5:// proxy needs the package PySocks."
        )
    # How requests reports a missing file. The system's own errors have a number.
    if type(error) is OSError and error.errno is None:
        return "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a file that does not exist. Correct it."
    return None


def _describe_failure(error: Exception) -> str:
    """Return the cause without URLs, because a proxy's address may hold a password."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        reason = getattr(cause, "reason", None) or (
            cause.args[0] if cause.args and isinstance(cause.args[0], BaseException) else None
        )
        cause = reason if isinstance(reason, BaseException) else cause.__cause__
    names = {
        "ReadTimeout": "no response in time",
        "ReadTimeoutError": "no response in time",
        "ConnectTimeout": "no connection in time",
        "ProtocolError": "the connection broke",
        "IncompleteRead": "the body is incomplete",
    }
    return names.get(type(error).__name__, type(error).__name__)


def _strip_query(url: str) -> str:
    return url.partition("?")[0]
