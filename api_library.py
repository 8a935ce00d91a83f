"""What CoinGecko's API is: endpoints, plans, urls, and what an answer means. No socket, no clock.

Facts from the OpenAPI files of coingecko/coingecko-api-oas (2026-06-22) and
https://docs.coingecko.com/docs/errors-and-rate-limits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum, StrEnum
from typing import Any
from urllib.parse import quote

from safe_zone import CHUNK_IDS, CHUNK_PROBES, MARKETS_PER_PAGE, MAX_URL_BYTES, MIN_FAILED_COINS


class CoinGeckoEndpoints(StrEnum):
    """The paths this product asks for, below the plan's base url."""

    SIMPLE_PRICE = "/simple/price"
    COINS_LIST = "/coins/list"
    COINS_MARKETS = "/coins/markets"
    MARKET_CHART = "/coins/{id}/market_chart"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a key (or none) buys: the host, the header that carries it, the pace and the month.

    `credits_per_month` is None where no number is promised.
    """

    name: str
    base_url: str
    key_header: str | None
    calls_per_minute: int
    seconds_between_calls: float
    credits_per_month: int | None


# Keyless has no promised number: older documents say 5 to 15 a minute, users meet 429 at the
# third to fifth call of a burst; hence a gap between its calls.
KEYLESS = Plan("keyless", "https://api.coingecko.com/api/v3", None, 10, 1.5, None)
# The errors page says 100 a minute, the pricing page and all older documents 30: plan for 30.
DEMO = Plan("Demo", KEYLESS.base_url, "x-cg-demo-api-key", 30, 0.0, 10_000)
# Basic, the smallest paid plan.
PRO = Plan("Pro", "https://pro-api.coingecko.com/api/v3", "x-cg-pro-api-key", 250, 0.0, 100_000)


def choose_plan(api_key: str | None, *, is_pro: bool) -> Plan:
    """The plan that a key belongs to."""
    if not api_key:
        return KEYLESS
    return PRO if is_pro else DEMO


def build_url(
    base_url: str,
    endpoint: CoinGeckoEndpoints,
    coin_id: str = "",
    **parameters: str | Iterable[str],
) -> str:
    """The whole url; `coin_id` fills the path's place for one.

    Lists are joined by a bare comma: a blank behind it silently drops ids, and an encoded one costs
    three bytes an id.
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
    """`/simple/price` for these ids: USD and, for the same credit, rupiah.

    The ids are sorted, so that the provider's cache sees the same url each time.
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


def markets_url(base_url: str, page: int) -> str:
    """One page of `/coins/markets`, the largest market cap first."""
    return build_url(
        base_url,
        CoinGeckoEndpoints.COINS_MARKETS,
        vs_currency="usd",
        order="market_cap_desc",
        per_page=str(MARKETS_PER_PAGE),
        page=str(page),
    )


def list_url(base_url: str) -> str:
    """`/coins/list`: every active coin, unpaginated."""
    return build_url(base_url, CoinGeckoEndpoints.COINS_LIST)


def chart_url(base_url: str, coin_id: str, days: int) -> str:
    """`/coins/{id}/market_chart` in USD, from `days` ago until now.

    Without an interval it has 5-minute points for one day, hourly ones for 2 to 90
    (https://docs.coingecko.com/reference/coins-id-market-chart).
    """
    return build_url(
        base_url,
        CoinGeckoEndpoints.MARKET_CHART,
        coin_id,
        vs_currency="usd",
        days=str(days),
        precision="full",
    )


def chunk_ids(
    base_url: str, ids: Sequence[str], probes: Sequence[str] = ()
) -> Iterator[tuple[str, ...]]:
    """Cut ids into calls of at most CHUNK_IDS and MAX_URL_BYTES.

    `probes` fill the room that is left in calls which are made anyway; those that find none are
    left out. Without ids there is no call, and so no probe.
    """
    waiting = list(reversed(probes))
    chunk: list[str] = []
    room = budget = MAX_URL_BYTES - len(price_url(base_url, ()))

    def with_probes() -> tuple[str, ...]:
        free = room
        limit = min(CHUNK_IDS, len(chunk)) + CHUNK_PROBES
        while waiting and len(chunk) < limit and (cost := _cost(waiting[-1])) <= free:
            free -= cost
            chunk.append(waiting.pop())
        return tuple(sorted(chunk))

    for coin_id in ids:
        cost = _cost(coin_id)
        if chunk and (len(chunk) == CHUNK_IDS or cost > room):
            yield with_probes()
            chunk, room = [], budget
        chunk.append(coin_id)
        room -= cost
    if chunk:
        yield with_probes()


def _cost(coin_id: str) -> int:
    return len(quote(coin_id, safe="")) + len(",")


class Meaning(Enum):
    """What to do with an answer."""

    GOOD = "take it"
    TRY_AGAIN = "wait and ask again"
    REFUSED = "asking again does not help"
    WRONG_KEY = "a person has to change the key or the plan"
    TOO_LONG = "ask for fewer ids"


@dataclass(frozen=True, slots=True)
class ResponseStatus:
    """The meaning of one answer, with a sentence for a person.

    `retry_after` is the wait in seconds that the server asked for, None where it said nothing.
    """

    meaning: Meaning
    message: str = ""
    retry_after: float | None = None


GOOD = ResponseStatus(Meaning.GOOD)
_FIX_BY_CODE = {
    10002: "Set COINGECKO_API_KEY: the paid host takes no call without one.",
    10005: "This needs a paid plan: set a Pro key and COINGECKO_IS_PRO=true.",
    10010: "The key is a Pro key: set COINGECKO_IS_PRO=true.",
    10011: "The key is a Demo key: unset COINGECKO_IS_PRO.",
    10012: "Free plans reach back 365 days: ask for a later time.",
}
_KEY_CODES = frozenset({10002, 10005, 10010, 10011})


def decipher_response(
    status: int, body: bytes, headers: Mapping[str, str], *, asked: Sequence[str], now: datetime
) -> ResponseStatus:
    """Say what an HTTP answer means.

    `headers` is looked up by lower-case names; `asked` are the keys of the answer, ids mostly, none
    for a list; `now` resolves a Retry-After that is a date.
    """
    if status == 200:
        return _decipher_body(body, asked)
    said = error_message(body)
    if status == 414:
        return ResponseStatus(Meaning.TOO_LONG, "CoinGecko finds the url too long (414).")
    if status == 429 or status >= 500 or status in (408, 425) or _is_blocked(status, body):
        wait = retry_after_seconds(headers.get("retry-after"), now)
        return ResponseStatus(Meaning.TRY_AGAIN, f"{status} {said}", wait)
    return _decipher_refusal(status, body, said)


def _decipher_body(body: bytes, asked: Sequence[str]) -> ResponseStatus:
    """A body with status 200: only whole JSON of the expected shape is an answer."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return ResponseStatus(
            Meaning.TRY_AGAIN, f"200 with a body that is no JSON: {_excerpt(body)}"
        )
    if not asked:
        if isinstance(content, list):
            return GOOD
        return ResponseStatus(Meaning.TRY_AGAIN, f"200 with no list of coins: {_excerpt(body)}")
    if not isinstance(content, dict) or _is_error_shaped(content):
        return ResponseStatus(Meaning.TRY_AGAIN, f"200 with an error inside: {error_message(body)}")
    # Unknown ids are left out, so a few of them alone are answered `{}`; for many, or with
    # something else inside, that is a fault and not a verdict on the coins.
    if not any(coin_id in content for coin_id in asked) and (
        content or len(asked) > MIN_FAILED_COINS
    ):
        return ResponseStatus(
            Meaning.TRY_AGAIN, f"200 with none of the coins asked for: {_excerpt(body)}"
        )
    return GOOD


def _decipher_refusal(status: int, body: bytes, said: str) -> ResponseStatus:
    code = error_code(body)
    fix = _FIX_BY_CODE.get(code or 0, "")
    message = f"CoinGecko refuses the request ({status}): {said}" + (f" {fix}" if fix else "")
    if code in _KEY_CODES or (status in (401, 403) and code is None):
        hint = fix or "Check COINGECKO_API_KEY, or unset it to use the public plan."
        return ResponseStatus(
            Meaning.WRONG_KEY, f"CoinGecko refuses the key or plan ({status}): {said} {hint}"
        )
    return ResponseStatus(Meaning.REFUSED, message)


def _is_blocked(status: int, body: bytes) -> bool:
    """Cloudflare turns callers away for a while with a page; CoinGecko itself answers in JSON."""
    return status in (403, 1020) and _parse(body) is None


def _is_error_shaped(content: Mapping[str, Any]) -> bool:
    """True for the three error shapes. `status` alone is no sign: it is also a coin's id."""
    if "error" in content and not (
        isinstance(content["error"], dict) and "usd" in content["error"]
    ):
        return True
    status = content.get("status")
    return isinstance(status, dict) and "error_code" in status


def error_code(body: bytes) -> int | None:
    """CoinGecko's own error code (10002, 10010, …) in any of its shapes, else None."""
    status = _error_status(body)
    code = status.get("error_code") if status else None
    return code if isinstance(code, int) else None


def error_message(body: bytes) -> str:
    """The server's own words on one line, shortened for a person."""
    status = _error_status(body)
    if status and isinstance(status.get("error_message"), str):
        return _one_line(status["error_message"])
    content = _parse(body)
    if isinstance(content, dict) and isinstance(content.get("error"), str):
        return _one_line(content["error"])
    return _excerpt(body)


def _error_status(body: bytes) -> dict[str, Any] | None:
    """The object that holds error_code: under `status`, or under `error.status`."""
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
    """Seconds to wait by a Retry-After header (a number or an HTTP date), None where unreadable.

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
