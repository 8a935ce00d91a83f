"""CoinGecko's API: endpoints, plans, URLs, and the meaning of a response. No socket, no clock.

Sources: the OpenAPI files of coingecko/coingecko-api-oas (2026-06-22) and
https://docs.coingecko.com/docs/errors-and-rate-limits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, StrEnum
from typing import Any
from urllib.parse import quote

from safe_zone import (
    CHUNK_IDS,
    CHUNK_PROBES,
    MAX_URL_BYTES,
    MIN_FAILED_COINS,
    MonthlyQuota,
)


class CoinGeckoEndpoints(StrEnum):
    """The paths that this project requests, below the plan's base URL."""

    SIMPLE_PRICE = "/simple/price"
    COINS_LIST = "/coins/list"
    COINS_MARKETS = "/coins/markets"
    MARKET_CHART = "/coins/{id}/market_chart"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a key (or no key) gives access to."""

    name: str
    base_url: str
    # The header that carries the key; None: the plan has no key.
    key_header: str | None
    calls_per_minute: int
    # Minimum pause between two calls.
    seconds_between_calls: float
    # Credits in a month; None: CoinGecko promises no number.
    credits_per_month: MonthlyQuota | None


# CoinGecko promises no number for the public plan. Older documents say 5 to 15 calls a minute, and
# users get status 429 at the third to fifth call of a burst. Hence the pause between its calls.
# CoinGecko advises against the public plan for regular polling.
# https://docs.coingecko.com/docs/errors-and-rate-limits
KEYLESS = Plan("keyless", "https://api.coingecko.com/api/v3", None, 10, 1.5, None)
_PRICING = "https://www.coingecko.com/en/api/pricing"
_DEMO_CREDITS = MonthlyQuota(10_000, _PRICING, date(2026, 9, 6))
# The errors page says 100 calls a minute, the pricing page and all older documents say 30. The
# lower number is safe.
DEMO = Plan("Demo", KEYLESS.base_url, "x-cg-demo-api-key", 30, 0.0, _DEMO_CREDITS)
# Basic, the smallest paid plan.
_BASIC_CREDITS = MonthlyQuota(100_000, _PRICING, date(2026, 9, 6))
PRO = Plan(
    "Pro", "https://pro-api.coingecko.com/api/v3", "x-cg-pro-api-key", 250, 0.0, _BASIC_CREDITS
)


def choose_plan(api_key: str | None, *, is_pro: bool) -> Plan:
    """Return the plan that a key belongs to."""
    if not api_key:
        return KEYLESS
    return PRO if is_pro else DEMO


def build_url(
    base_url: str,
    endpoint: CoinGeckoEndpoints,
    coin_id: str = "",
    **parameters: str | Iterable[str],
) -> str:
    """Return the whole URL; `coin_id` replaces `{id}` in the path.

    Lists are joined by a bare comma. With a blank after it, CoinGecko silently drops ids, and an
    encoded comma costs three bytes per id.
    """
    pairs = (
        f"{name}={quote(value, safe='') if isinstance(value, str) else _join(value)}"
        for name, value in parameters.items()
    )
    query = "&".join(pairs)
    path = endpoint.replace("{id}", quote(coin_id, safe=""))
    return f"{base_url}{path}" + (f"?{query}" if query else "")


def _join(values: Iterable[str]) -> str:
    return ",".join(quote(value, safe="") for value in values)


def price_url(base_url: str, ids: Iterable[str]) -> str:
    """Return the URL of `/simple/price` for these ids: USD and, for the same credit, rupiah.

    The ids are sorted, so that CoinGecko's cache sees the same URL each time.
    https://docs.coingecko.com/reference/simple-price
    """
    return build_url(
        base_url,
        CoinGeckoEndpoints.SIMPLE_PRICE,
        ids=sorted(ids),
        vs_currencies=("usd", "idr"),
        include_market_cap="true",
        include_24hr_vol="true",
        include_last_updated_at="true",
        precision="full",
    )


def chunk_ids(
    base_url: str, ids: Sequence[str], probes: Sequence[str] = ()
) -> Iterator[tuple[str, ...]]:
    """Split ids into calls of at most CHUNK_IDS ids and MAX_URL_BYTES bytes.

    `probes` fill the space that is left in these calls; probes without space wait for the next run.
    Without ids there is no call, and therefore no probe.
    """
    waiting = list(reversed(probes))
    chunk: list[str] = []
    bytes_left = bytes_per_call = MAX_URL_BYTES - len(price_url(base_url, ()))

    def with_probes() -> tuple[str, ...]:
        free = bytes_left
        limit = min(CHUNK_IDS, len(chunk)) + CHUNK_PROBES
        while waiting and len(chunk) < limit and (cost := _url_bytes(waiting[-1])) <= free:
            free -= cost
            chunk.append(waiting.pop())
        return tuple(sorted(chunk))

    for coin_id in ids:
        cost = _url_bytes(coin_id)
        if chunk and (len(chunk) == CHUNK_IDS or cost > bytes_left):
            yield with_probes()
            chunk, bytes_left = [], bytes_per_call
        chunk.append(coin_id)
        bytes_left -= cost
    if chunk:
        yield with_probes()


def _url_bytes(coin_id: str) -> int:
    return len(quote(coin_id, safe="")) + len(",")


class Meaning(Enum):
    """What the caller does next."""

    OK = "use the body"
    RETRY = "wait and send the request again"
    REFUSED = "a retry does not help"
    WRONG_KEY = "the user has to change the key or the plan"
    TOO_LONG = "request fewer ids"


@dataclass(frozen=True, slots=True)
class ResponseStatus:
    """The meaning of one response."""

    meaning: Meaning
    # One sentence for the user; empty if the response is usable.
    message: str = ""
    # How long CoinGecko asks to wait, in seconds; None: it sent no Retry-After.
    retry_after: float | None = None


OK = ResponseStatus(Meaning.OK)
# CoinGecko's own error codes: https://docs.coingecko.com/docs/errors-and-rate-limits
_FIX_BY_CODE = {
    10002: "Set COINGECKO_API_KEY: the paid host accepts no call without a key.",
    10005: "This endpoint needs a paid plan: set a Pro key and COINGECKO_IS_PRO=true.",
    10010: "The key is a Pro key: set COINGECKO_IS_PRO=true.",
    10011: "The key is a Demo key: unset COINGECKO_IS_PRO.",
    10012: "Free plans cover only the last 365 days: request a later time.",
}
# Codes that concern the key or the plan, so that every later call would fail too.
_KEY_CODES = frozenset({10002, 10005, 10010, 10011})


def decipher_response(
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    *,
    endpoint: str,
    expected_keys: Sequence[str],
    now: datetime,
) -> ResponseStatus:
    """Return what an HTTP response means.

    `headers` has lower-case names. `endpoint` is the path, for the message. `expected_keys` are
    the keys that the body's object should have (mostly coin ids); none if the body is a list.
    `now` resolves a Retry-After header that is a date.
    """
    if status == 200:
        return _decipher_body(body, expected_keys)
    if status == 414:
        return ResponseStatus(Meaning.TOO_LONG, "CoinGecko finds the URL too long (414).")
    if status == 429 or status >= 500 or status in (408, 425) or _is_blocked(status, body):
        wait = retry_after_seconds(headers.get("retry-after"), now)
        return ResponseStatus(Meaning.RETRY, f"{status} {error_message(body)}", wait)
    return _decipher_refusal(status, body, endpoint)


def _decipher_body(body: bytes, expected_keys: Sequence[str]) -> ResponseStatus:
    """Check a body with status 200: only complete JSON of the expected shape is usable."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return _retry(f"200 with a body that is not JSON: {_excerpt(body)}")
    if not expected_keys:
        is_list = isinstance(content, list)
        return OK if is_list else _retry(f"200 without a list of coins: {_excerpt(body)}")
    if not isinstance(content, dict) or _is_error_shaped(content):
        return _retry(f"200 with an error inside: {error_message(body)}")
    # CoinGecko leaves out unknown ids, so `{}` is valid for a few unknown coins. For many coins, or
    # with other content, it is an error of CoinGecko and says nothing about the coins.
    has_any = any(key in content for key in expected_keys)
    if not has_any and (content or len(expected_keys) > MIN_FAILED_COINS):
        return _retry(f"200 with none of the requested coins: {_excerpt(body)}")
    return OK


def _retry(message: str) -> ResponseStatus:
    return ResponseStatus(Meaning.RETRY, message)


def _decipher_refusal(status: int, body: bytes, endpoint: str) -> ResponseStatus:
    code, said = error_code(body), error_message(body)
    fix = _FIX_BY_CODE.get(code or 0, "")
    if code in _KEY_CODES or (status in (401, 403) and code is None):
        fix = fix or "Check COINGECKO_API_KEY, or unset it to use the public plan."
        return ResponseStatus(
            Meaning.WRONG_KEY,
            f"CoinGecko rejects the key or plan for {endpoint} ({status}): {said} {fix}",
        )
    message = f"CoinGecko rejects the request for {endpoint} ({status}): {said} {fix}"
    return ResponseStatus(Meaning.REFUSED, message.rstrip())


def _is_blocked(status: int, body: bytes) -> bool:
    """Whether Cloudflare blocks the caller for a while: it sends a page, CoinGecko sends JSON."""
    return status in (403, 1020) and _parse(body) is None


def _is_error_shaped(content: Mapping[str, Any]) -> bool:
    """Whether the object has one of the three error shapes.

    The key `status` alone proves nothing, because a coin has that id.
    """
    if "error" in content and not (
        isinstance(content["error"], dict) and "usd" in content["error"]
    ):
        return True
    status = content.get("status")
    return isinstance(status, dict) and "error_code" in status


def error_code(body: bytes) -> int | None:
    """Return CoinGecko's own error code (10002, 10010, …) from any of its shapes, or None."""
    status = _error_status(body)
    code = status.get("error_code") if status else None
    return code if isinstance(code, int) else None


def error_message(body: bytes) -> str:
    """Return the server's own message on one line, shortened."""
    status = _error_status(body)
    if status and isinstance(status.get("error_message"), str):
        return _one_line(status["error_message"])
    content = _parse(body)
    if isinstance(content, dict) and isinstance(content.get("error"), str):
        return _one_line(content["error"])
    return _excerpt(body)


def _error_status(body: bytes) -> dict[str, Any] | None:
    """Return the object that holds error_code: under `status`, or under `error.status`."""
    content = _parse(body)
    if isinstance(content, dict) and isinstance(content.get("error"), dict):
        content = content["error"]
    status = content.get("status") if isinstance(content, dict) else None
    return status if isinstance(status, dict) else None


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _excerpt(body: bytes) -> str:
    return _one_line(body[:400].decode("utf-8", "replace")) or "(empty body)"


def _one_line(text: str) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= 160 else words[:159] + "…"


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Return the seconds of a Retry-After header (a number or an HTTP date); None if unreadable.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    if value is None:
        return None
    try:
        return max(0.0, float(int(value.strip())))
    except (ValueError, OverflowError):
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
