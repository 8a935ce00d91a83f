"""The portfolio's transactions in the database, what they are valued by, and their CSV."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from psycopg.rows import class_row

from sentinel.storage.connection import Connection
from services.api.valuation import ZERO, Quote, Rate, Transaction, check, exactly, in_order

SLACK = timedelta(hours=2)  # a price of "24 hours ago" may be this much older
STALE_RATE = timedelta(days=1)  # a rupiah rate is good for so long
HISTORY_DAYS = 60

_LOCK_KEY = 0x504F5254  # "PORT": the advisory lock of who changes transactions

TRANSACTIONS = """
SELECT transaction_id, made_at, coin_id, quantity, price_usd, fee_usd, idr_per_usd, note
FROM transactions
WHERE (%(coin_id)s::text IS NULL OR coin_id = %(coin_id)s::text)
  AND (%(transaction_id)s::bigint IS NULL OR transaction_id = %(transaction_id)s::bigint)
ORDER BY CASE WHEN %(newest_first)s THEN made_at END DESC,
         CASE WHEN %(newest_first)s THEN transaction_id END DESC, made_at, transaction_id
LIMIT %(limit)s OFFSET %(offset)s
"""

ADD = """
INSERT INTO transactions (made_at, coin_id, quantity, price_usd, fee_usd, idr_per_usd, note,
                          identity)
VALUES (%(made_at)s, %(coin_id)s, %(quantity)s, %(price_usd)s, %(fee_usd)s, %(idr_per_usd)s,
        %(note)s, %(identity)s)
ON CONFLICT (identity) DO NOTHING
RETURNING transaction_id
"""

REMOVE = "DELETE FROM transactions WHERE transaction_id = %(transaction_id)s RETURNING coin_id"

# The rate nearest to a moment, if one was observed within a day of it.
RATE_NEAR = """
SELECT per_usd, observed_at FROM fx_rates
WHERE currency = 'idr' AND observed_at BETWEEN %(at)s - %(slack)s AND %(at)s + %(slack)s
ORDER BY abs(extract(epoch FROM observed_at - %(at)s)) LIMIT 1
"""

# Prices and rate as of a moment: the last ones observed before it.
QUOTES_AT = """
SELECT c.coin_id, o.price, o.observed_at
FROM coins c
CROSS JOIN LATERAL (
    SELECT price, observed_at FROM observations
    WHERE coin_key = c.coin_key AND observed_at <= %(at)s AND observed_at > %(oldest)s
    ORDER BY observed_at DESC LIMIT 1) AS o
WHERE c.coin_id = ANY (%(coin_ids)s)
"""
RATE_AT = """
SELECT per_usd, observed_at FROM fx_rates
WHERE currency = 'idr' AND observed_at <= %(at)s AND observed_at > %(oldest)s
ORDER BY observed_at DESC LIMIT 1
"""

# The last price of each held coin on each day, and the day's last rate.
DAILY_QUOTES = """
SELECT d.day, c.coin_id, o.price
FROM generate_series(%(first)s::timestamptz, %(last)s::timestamptz, interval '1 day') AS d (day)
CROSS JOIN coins c
CROSS JOIN LATERAL (
    SELECT price FROM observations
    WHERE coin_key = c.coin_key AND observed_at >= d.day AND observed_at < d.day + interval '1 day'
      AND observed_at <= %(now)s
    ORDER BY observed_at DESC LIMIT 1) AS o
WHERE c.coin_id = ANY (%(coin_ids)s)
"""
DAILY_RATES = """
SELECT DISTINCT ON (date_bin('1 day', observed_at, 'epoch'))
       date_bin('1 day', observed_at, 'epoch') AS day, per_usd
FROM fx_rates
WHERE currency = 'idr' AND observed_at >= %(first)s AND observed_at <= %(now)s
ORDER BY date_bin('1 day', observed_at, 'epoch'), observed_at DESC
"""
LABELS = "SELECT coin_id, symbol, name FROM coins WHERE coin_id = ANY (%(coin_ids)s)"

REQUIRED = frozenset({"made_at", "coin_id", "quantity"})
FIELDS = ("made_at", "coin_id", "quantity", "price_usd", "fee_usd", "idr_per_usd", "note")


class Worth(NamedTuple):
    """The net worth at a moment; None where `missing` says why."""

    at: datetime
    usd: Decimal | None
    idr: Decimal | None
    missing: list[str]


def transactions(
    connection: Connection,
    *,
    coin_id: str | None = None,
    transaction_id: int | None = None,
    limit: int | None = None,
    offset: int = 0,
    newest_first: bool = False,
) -> list[Transaction]:
    """Transactions in order of time: all, or those of one coin or id."""
    asked = {
        "coin_id": coin_id,
        "transaction_id": transaction_id,
        "limit": limit,
        "offset": offset,
        "newest_first": newest_first,
    }
    with connection.cursor(row_factory=class_row(Transaction)) as cursor:
        return cursor.execute(TRANSACTIONS, asked).fetchall()


def add(connection: Connection, new: Transaction) -> int:
    """Keep a transaction; returns its id. One that says what another says is one more.

    Raises Oversold where sales would exceed purchases; the caller's transaction is void then.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
    nth = 1
    while (kept := _keep(connection, new, nth)) is None:
        nth += 1
    check(transactions(connection))
    return kept


def add_imported(connection: Connection, new: Iterable[Transaction]) -> int:
    """Keep those that are not there yet; returns how many these were.

    A transaction is known by what it says, and of several alike the n-th is the n-th: a file may be
    imported twice, and an export where it came from. Raises Oversold as `add` does.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
    alike: Counter[str] = Counter()
    added = 0
    for one in new:
        alike[_said(one)] += 1
        added += _keep(connection, one, alike[_said(one)]) is not None
    check(transactions(connection))
    return added


def _keep(connection: Connection, one: Transaction, nth: int) -> int | None:
    """The id of the n-th transaction of its kind, None where that is there already."""
    key = hashlib.sha256(f"{_said(one)}|{nth}".encode()).hexdigest()
    row = connection.execute(ADD, one._asdict() | {"identity": key}).fetchone()
    return row[0] if row else None


def _said(one: Transaction) -> str:
    """What tells a transaction from others; not the rate, which may become known later."""
    return "|".join(_cell(getattr(one, name)) for name in FIELDS if name != "idr_per_usd")


def remove(connection: Connection, transaction_id: int) -> bool:
    """Forget a transaction; False where there is none.

    Raises Oversold where later sales need it.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
    gone = connection.execute(REMOVE, {"transaction_id": transaction_id}).fetchall()
    check(transactions(connection))
    return bool(gone)


# --- what they are valued by -----------------------------------------------------------------


def rate_near(connection: Connection, at: datetime) -> Decimal | None:
    """The rupiah's rate of a date, None where none was observed within a day of it."""
    row = connection.execute(RATE_NEAR, {"at": at, "slack": STALE_RATE}).fetchone()
    return _decimal(row[0]) if row else None


def quotes_at(
    connection: Connection, coin_ids: Sequence[str], at: datetime, slack: timedelta
) -> dict[str, Quote]:
    """The last price of each coin before a moment, not older than `slack` then."""
    asked = {"coin_ids": list(coin_ids), "at": at, "oldest": at - slack}
    rows = connection.execute(QUOTES_AT, asked)
    return {coin_id: Quote(_decimal(price), when) for coin_id, price, when in rows}


def rate_at(connection: Connection, at: datetime, slack: timedelta) -> Rate | None:
    """The last rupiah rate before a moment, not older than `slack` then."""
    row = connection.execute(RATE_AT, {"at": at, "oldest": at - slack}).fetchone()
    return Rate(_decimal(row[0]), row[1]) if row else None


def labels(connection: Connection, coin_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Symbol and name by id."""
    rows = connection.execute(LABELS, {"coin_ids": list(coin_ids)})
    return {coin_id: (symbol, name) for coin_id, symbol, name in rows}


def net_worth(connection: Connection, own: Sequence[Transaction], now: datetime) -> list[Worth]:
    """The net worth at the end of each of the last HISTORY_DAYS days (UTC), now for the last."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=HISTORY_DAYS - 1)
    coin_ids = sorted({one.coin_id for one in own})
    asked = {"first": first, "last": today, "now": now, "coin_ids": coin_ids}
    prices = {
        (day, coin_id): _decimal(price)
        for day, coin_id, price in connection.execute(DAILY_QUOTES, asked)
    }
    rates = {day: _decimal(rate) for day, rate in connection.execute(DAILY_RATES, asked)}
    return _worth_by_day(own, first, now, prices, rates)


@exactly()
def _worth_by_day(
    own: Sequence[Transaction],
    first: datetime,
    now: datetime,
    prices: Mapping[tuple[datetime, str], Decimal],
    rates: Mapping[datetime, Decimal],
) -> list[Worth]:
    found: list[Worth] = []
    for n in range(HISTORY_DAYS):
        day = first + timedelta(days=n)
        end = min(day + timedelta(days=1), now)
        held: dict[str, Decimal] = {}
        for one in own:
            if one.made_at <= end:
                held[one.coin_id] = held.get(one.coin_id, ZERO) + one.quantity
        held = {coin_id: quantity for coin_id, quantity in held.items() if quantity}
        if not held and not found:
            continue  # before the first purchase
        found.append(_worth(end, held, {c: prices.get((day, c)) for c in held}, rates.get(day)))
    return found


def _worth(
    at: datetime,
    held: Mapping[str, Decimal],
    prices: Mapping[str, Decimal | None],
    rate: Decimal | None,
) -> Worth:
    missing = [f"{coin_id}: no price" for coin_id in held if prices[coin_id] is None]
    values = [quantity * (prices[coin_id] or ZERO) for coin_id, quantity in held.items()]
    usd = None if missing else sum(values, ZERO)
    if rate is None:
        missing.append("no rupiah rate")
    return Worth(at, usd, None if usd is None or rate is None else usd * rate, missing)


def _decimal(number: float) -> Decimal:
    """A stored float as the decimal it is written as."""
    return Decimal(repr(number))


# --- CSV -------------------------------------------------------------------------------------


def to_csv(own: Iterable[Transaction]) -> str:
    """Transactions as CSV with a header, in order of time."""
    file = io.StringIO()
    writer = csv.writer(file)  # its line ends are those of RFC 4180, so that notes may hold both
    writer.writerow(FIELDS)
    for one in in_order(own):
        writer.writerow([_cell(getattr(one, name)) for name in FIELDS])
    return file.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        whole, point, places = f"{value:f}".partition(".")
        return (whole + point + places.rstrip("0")).removesuffix(".")
    return str(value)


def from_csv(text: str) -> list[tuple[int, dict[str, str]]]:
    """The lines of a CSV, each with its number and the fields that it fills in.

    Raises ValueError, naming the line.
    """
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = [name.strip() for name in rows.fieldnames or []]
        unknown = [name for name in header if name not in (*FIELDS, "price", "fee", "currency")]
        if unknown or REQUIRED - set(header) or len(set(header)) < len(header):
            raise ValueError(
                f"line 1: the columns must be {', '.join(sorted(REQUIRED))} and some of "
                f"{', '.join(FIELDS)}, price, fee, currency, each once"
                + (f"; unknown: {', '.join(unknown)[:100]}" if unknown else "")
            )
        found = []
        for row in rows:
            if None in row or None in row.values():
                raise ValueError(f"line {rows.line_num}: not {len(header)} fields")
            fields = {k.strip(): v if k.strip() == "note" else v.strip() for k, v in row.items()}
            found.append((rows.line_num, {k: v for k, v in fields.items() if v}))
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from error
    return found
