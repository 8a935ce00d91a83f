"""The Schema Shield: turn the raw body of a response into valid rows and rejections. Pure.

`transform_and_validate` reads prices, `validate_chart` a coin's history, `validate_entry` one price
and `revalidate` a stored rejection, by the same rules.

pydantic validates a response directly from its bytes, which is three times as fast as through
Python objects. Only a response with an invalid entry is validated coin by coin.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from safe_zone import MAX_CLOCK_SKEW, MAX_PRICE, MAX_RAW_CHARACTERS, RETENTION
from sentinel.models import Batch, MarketRow, Rejection

__all__ = [
    "Batch",
    "MarketRow",
    "Rejection",
    "revalidate",
    "transform_and_validate",
    "validate_chart",
    "validate_entry",
]


class _Quote(BaseModel):
    """One coin of a `/simple/price` response. Strict: `true` and "1.5" are not numbers."""

    model_config = ConfigDict(strict=True, frozen=True)

    usd: float
    # UNIX seconds.
    last_updated_at: float
    usd_market_cap: float | None = None
    usd_24h_vol: float | None = None
    idr: float | None = None


_QUOTES = TypeAdapter(dict[str, _Quote])
# Fields that count as unknown if they are invalid.
_OPTIONAL = frozenset({"usd_market_cap", "usd_24h_vol", "idr"})
# The series of a chart, and the quote's field with the same meaning. The raw entry of a rejected
# point is a list: its time in UNIX seconds, then the values of these series.
_SERIES = {"prices": "usd", "market_caps": "usd_market_cap", "total_volumes": "usd_24h_vol"}


def transform_and_validate(
    body: bytes, requested_ids: Iterable[str], now: datetime, run_id: str = ""
) -> Batch:
    """Turn the body of one `/simple/price` response into a Batch.

    `body` is a JSON object by coin id; the client raises an error for anything else. Coins that
    are not among `requested_ids` are ignored. The rejections carry `now` (with a time zone) and
    `run_id`.

    Reasons of rejection: null_price, not_a_number, negative_price, price_too_high,
    missing_timestamp, future_timestamp, stale_timestamp, malformed.
    """
    quotes, reasons = _read_quotes(body)
    requested = sorted(set(requested_ids))
    rows: list[MarketRow] = []
    for coin_id in requested:
        if quote := quotes.get(coin_id):
            reason = _find_problem(quote, now)
            if reason is None:
                rows.append(_to_row(coin_id, quote))
            else:
                reasons[coin_id] = reason
    rejected = {i: reasons[i] for i in requested if i in reasons}
    content = json.loads(body) if rejected else {}
    rejections = tuple(
        Rejection(i, reason, _as_raw(content[i]), run_id, now) for i, reason in rejected.items()
    )
    missing = (i for i in requested if i not in quotes and i not in reasons)
    accepted = (quotes[row.coin_id] for row in rows)
    return Batch(tuple(rows), rejections, tuple(missing), _implied_rate(accepted))


def validate_chart(
    body: bytes, coin_id: str, now: datetime, run_id: str = ""
) -> tuple[list[MarketRow], list[Rejection]]:
    """Turn the body of one `/market_chart` response into backfilled rows, by time, each time once.

    CoinGecko's series have jitter and are sometimes out of order. Only the first invalid point
    becomes a rejection, for all of them. A response without prices is rejected as `malformed`.
    """
    content = json.loads(body)
    if not isinstance(content, dict) or not isinstance(content.get("prices"), list):
        return [], [Rejection(coin_id, "malformed", _as_raw(content), run_id, now)]
    series = {name: _points(content.get(name)) for name in _SERIES}
    rows: dict[datetime, MarketRow] = {}
    rejections: list[Rejection] = []
    for at in series["prices"]:
        entry = {name: series[key].get(at) for key, name in _SERIES.items()}
        found = validate_entry(entry | {"last_updated_at": at}, coin_id, now)
        if isinstance(found, MarketRow):
            rows[found.observed_at] = found._replace(source="backfilled")
        elif not rejections:
            raw = _as_raw([at, *entry.values()])
            rejections.append(Rejection(coin_id, found, raw, run_id, now))
    return [rows[at] for at in sorted(rows)], rejections


def validate_entry(entry: Any, coin_id: str, now: datetime) -> MarketRow | str:
    """Return the row of one entry as `/simple/price` has it, or the reason of its rejection."""
    try:
        quote = _read_quote(entry)
    except ValidationError as error:
        return _shape_reason(entry, error)
    return _find_problem(quote, now) or _to_row(coin_id, quote)


def revalidate(rejection: Rejection) -> MarketRow | str:
    """Return the row of a stored rejection by today's rules, or the reason why it has none.

    Its age counts at the time of the rejection. A point of a chart becomes a backfilled row. The
    reason is `cut` where the raw entry was too long to be stored whole.
    """
    try:
        entry = json.loads(rejection.raw)
    except ValueError:
        return "cut"
    # A list that arrived as the entry of a price was rejected as malformed; a chart's point never.
    if not isinstance(entry, list) or rejection.reason == "malformed":
        return validate_entry(entry, rejection.coin_id, rejection.rejected_at)
    point = dict(zip(("last_updated_at", *_SERIES.values()), entry, strict=False))
    found = validate_entry(point, rejection.coin_id, rejection.rejected_at)
    return found._replace(source="backfilled") if isinstance(found, MarketRow) else found


def _points(series: Any) -> dict[float | None, Any]:
    """Return a series as time (UNIX seconds) → value. Entries that are not pairs are skipped."""
    listed = series if isinstance(series, list) else []
    pairs = (pair for pair in listed if isinstance(pair, list) and len(pair) == 2)
    return {_seconds(at): value for at, value in pairs}


def _seconds(milliseconds: Any) -> float | None:
    is_number = isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool)
    return milliseconds / 1000 if is_number and abs(milliseconds) < 1e300 else None


def _read_quotes(body: bytes) -> tuple[dict[str, _Quote], dict[str, str]]:
    """Return all quotes of the right shape, and the reason of rejection for each other entry."""
    try:
        return _QUOTES.validate_json(body), {}
    except ValidationError:
        pass
    quotes: dict[str, _Quote] = {}
    reasons: dict[str, str] = {}
    for coin_id, entry in json.loads(body).items():
        try:
            quotes[coin_id] = _read_quote(entry)
        except ValidationError as error:
            reasons[coin_id] = _shape_reason(entry, error)
    return quotes, reasons


def _read_quote(entry: Any) -> _Quote:
    """Validate one coin. An invalid market cap, volume or rupiah price counts as unknown."""
    try:
        return _Quote.model_validate(entry)
    except ValidationError as error:
        invalid = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
        if not isinstance(entry, dict) or not invalid & _OPTIONAL:
            raise
        return _Quote.model_validate(
            {k: v for k, v in entry.items() if k not in _OPTIONAL & invalid}
        )


def _shape_reason(entry: Any, error: ValidationError) -> str:
    if not isinstance(entry, dict):
        return "malformed"
    invalid = {detail["loc"][0] for detail in error.errors()}
    if "usd" in invalid:
        return "null_price" if entry.get("usd") is None else "not_a_number"
    return "missing_timestamp" if entry.get("last_updated_at") is None else "malformed"


def _find_problem(quote: _Quote, now: datetime) -> str | None:
    """Return the reason why a quote of the right shape is rejected; None if it is valid."""
    if not math.isfinite(quote.usd):
        return "not_a_number"
    if quote.usd < 0:
        return "negative_price"
    if quote.usd > MAX_PRICE:
        return "price_too_high"
    # In seconds, because the timestamp may lie outside the range of datetime.
    age = now.timestamp() - quote.last_updated_at
    if not age >= -MAX_CLOCK_SKEW.total_seconds():
        return "future_timestamp"
    return "stale_timestamp" if age > RETENTION.total_seconds() else None


def _as_raw(entry: Any) -> str:
    """Return an entry as JSON. The beginning of a long one is enough to see what was wrong."""
    text = json.dumps(entry)
    if len(text) <= MAX_RAW_CHARACTERS:
        return text
    return f"{text[:MAX_RAW_CHARACTERS]}… (the first of {len(text):,} characters)"


def _to_row(coin_id: str, quote: _Quote) -> MarketRow:
    # CoinGecko sends a market cap of 0 if it does not know the supply. A volume of 0 is
    # valid: a day without a trade.
    cap = _known(quote.usd_market_cap)
    return MarketRow(
        coin_id,
        datetime.fromtimestamp(quote.last_updated_at, UTC),
        quote.usd,
        cap or None,
        _known(quote.usd_24h_vol),
    )


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and value >= 0 else None


def _implied_rate(quotes: Iterable[_Quote]) -> float | None:
    """Return the rupiah for one USD: the median over coins, so that one bad quote is harmless."""
    rates = [q.idr / q.usd for q in quotes if q.usd > 0 and q.idr]
    valid = [rate for rate in rates if 0 < rate < math.inf]
    return statistics.median(valid) if valid else None
