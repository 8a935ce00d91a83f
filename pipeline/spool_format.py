"""The lines of a spool file: one JSON list per row, rejection or exchange rate.

A reader checks every field, because a line may have been damaged on disk and PostgreSQL would
reject the whole transaction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sentinel.models import FxRate, MarketRow, Rejection

Item = MarketRow | Rejection | FxRate
# How the line of a row begins; Spool.waiting_rows counts such lines without parsing them.
ROW_PREFIX = b'["row"'


def to_line(item: Item) -> str:
    """Return an item as one line, without the line break."""
    if isinstance(item, MarketRow):
        return json.dumps(["row", item.coin_id, item.observed_at.isoformat(), *item[2:]])
    if isinstance(item, Rejection):
        at = item.rejected_at.isoformat()
        return json.dumps(["rejection", item.coin_id, item.reason, item.raw, item.run_id, at])
    return json.dumps(["rate", item.observed_at.isoformat(), item.currency, item.per_usd])


def from_line(line: bytes) -> Item:
    """Return the item of a line.

    Raises ValueError, TypeError, KeyError, OverflowError or RecursionError if the line is damaged.
    """
    kind, *fields = json.loads(line)
    return _READERS[kind](*fields)


def _read_row(
    coin_id: str, at: str, price: float, cap: float | None, volume: float | None, source: Any
) -> MarketRow:
    if source not in ("observed", "backfilled"):
        raise ValueError(f"{source!r} is not a source")
    known_cap, known_volume = (None if x is None else _number(x) for x in (cap, volume))
    return MarketRow(_text(coin_id), _moment(at), _number(price), known_cap, known_volume, source)


def _read_rejection(coin_id: str, reason: str, raw: str, run_id: str, at: str) -> Rejection:
    return Rejection(_text(coin_id), _text(reason), _text(raw), _text(run_id), _moment(at))


def _read_rate(at: str, currency: str, per_usd: float) -> FxRate:
    return FxRate(_moment(at), _text(currency), _number(per_usd))


def _text(value: object) -> str:
    """Return a text that PostgreSQL can store: no NUL and no lone surrogates."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{value!r} is not a text")
    value.encode()  # raises UnicodeEncodeError, a ValueError, for lone surrogates
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return at.astimezone(UTC)


_READERS: dict[str, Callable[..., Item]] = {
    "row": _read_row,
    "rejection": _read_rejection,
    "rate": _read_rate,
}
