"""Net worth at the end of each day, beside what had been paid until then. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from services.api.portfolio.arithmetic import exact_arithmetic, multiply_known
from services.api.portfolio.models import NetWorth, Transaction
from services.api.portfolio.price_book import PriceBook, Wanted
from services.api.portfolio.timeline import Snapshot, take_snapshots

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


def list_days(transactions: Sequence[Transaction], now: datetime, days: int) -> list[Snapshot]:
    """Return the portfolio at the end of each of the last `days` days (UTC), the last one now.

    The first is the day of the first transaction at the earliest.
    """
    if not transactions:
        return []
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begins_at = min(transaction.made_at for transaction in transactions)
    past_days = min(days - 1, -((begins_at - today) // DAY))
    # A day ends before the next one begins, so that its last price is one of its own.
    ends = [today - number * DAY - MICROSECOND for number in range(past_days - 1, -1, -1)]
    return list(take_snapshots(transactions, [*ends, now]))


def list_prices(days: Iterable[Snapshot]) -> set[Wanted]:
    """Return the coins and times of all prices that the days need."""
    return {(coin_id, day.at) for day in days for coin_id in day.held}


@exact_arithmetic()
def compute_net_worth(day: Snapshot, book: PriceBook) -> NetWorth:
    """Return the net worth of a day; amounts are None if a price or a rate is missing."""
    missing = [
        f"{coin_id}: no price{book.note}"
        for coin_id in day.held
        if (coin_id, day.at) not in book.quotes
    ]
    usd = None if missing else book.value(day.held, day.at, "usd")
    rate = book.rates.get(day.at)
    if rate is None:
        missing.append("no rupiah rate")
    if day.paid_idr is None:
        missing.append("no rupiah rate on the date of a payment")
    return NetWorth(
        valued_at=day.at + MICROSECOND if _is_day_end(day.at) else day.at,
        net_worth_usd=usd,
        net_worth_idr=multiply_known(usd, rate.idr_per_usd if rate else None),
        net_invested_usd=day.paid_usd,
        net_invested_idr=day.paid_idr,
        missing=missing,
    )


def _is_day_end(at: datetime) -> bool:
    return (at + MICROSECOND).astimezone(UTC).time() == datetime.min.time()
